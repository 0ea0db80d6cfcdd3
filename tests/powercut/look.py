"""Checks the state after a power cut: all work that was reported as done is there, and nothing is incomplete."""

import hashlib
import json
from pathlib import Path

from bandsight.archive import Archive, ArchiveWriter, archive_exists
from bandsight.archive.admin import upgrade, verify
from bandsight.archive.open import check_archive
from bandsight.errors import ArchiveError
from tests.crash.check import compare_rows
from tests.powercut.work import Operation, State, checkpoints_of

# Backups that were looked at already.
_SEEN: set[tuple[str, str]] = set()


def fingerprint(folder: Path) -> str:
    """Return what differs where any name or byte in a folder does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.relative_to(folder)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def look(root: Path, allowed: list[State], under_way: Operation | None, created: bool, *, read_first: bool) -> None:
    """Compare what is there with what may be there.

    Args:
        root: The folder after the cut.
        allowed: What it may hold: all that was done, and perhaps what was under way.
        under_way: The scene whose parts were reported as saved, if any.
        created: Whether the archive was reported as made.
        read_first: Whether a server opens it before the next writer, which tidies up.
    """
    path = root / "archive"
    if not archive_exists(path):
        assert not created, "the archive is gone"
        return
    try:
        check_archive(path)
    except ArchiveError as error:
        if "run: bandsight upgrade" not in str(error):
            raise
        upgrade(path)
    with Archive.open(path) if read_first else ArchiveWriter.open(path) as reader:
        assert (problems := verify(reader, full=True)) == [], problems
        if under_way is not None:
            parts = checkpoints_of(reader, under_way["scene"], under_way["version"])
            kept = 0 if parts is None else len(list(parts.read()))
            shown = str(under_way["scene"]) in _found(reader)["scenes"]
            assert kept >= allowed[0]["parts"] or shown, (kept, allowed[0]["parts"])
    with ArchiveWriter.open(path) as archive:
        if read_first:
            assert (problems := verify(archive, full=True)) == [], problems
        found = _found(archive)
        expected = [{name: _plain(state[name]) for name in ("scenes", "searches", "labels")} for state in allowed]
        assert found in expected, (found, expected)
        compare_rows(archive, {int(number): version for number, version in found["scenes"].items()})
        named = {file.stem for file in (path / "vectors").iterdir()}
        assert len(named) == archive.stats()["segments"], named
    _look_at_backups(root / "backups", allowed)
    if archive_exists(root / "again"):
        _look_at_copy(root / "again", allowed[-1]["again"])
    else:
        assert allowed[0]["again"] is None, "the restored archive is gone"


def _look_at_backups(folder: Path, allowed: list[State]) -> None:
    for name, content in allowed[-1]["backups"].items():
        path = folder / name.replace(" ", "-")
        if not archive_exists(path):
            assert name not in allowed[0]["backups"], f"{name} is gone"
            continue
        _look_at_copy(path, content)


def _look_at_copy(path: Path, content: State) -> None:
    seen = fingerprint(path), json.dumps(content)
    if seen in _SEEN:
        return
    _SEEN.add(seen)
    with Archive.open(path) as copy:
        assert (problems := verify(copy, full=True)) == [], problems
        assert _found(copy) == {name: _plain(part) for name, part in content.items()}, path


def _found(archive: Archive) -> State:
    scenes = {Path(scene.href).stem: int(scene.key.rsplit("-", 1)[1]) for scene in archive.scenes()}
    labels = archive.labels.labels("places") if archive.labels.all() else []
    return {
        "scenes": scenes,
        "searches": sorted(one.title for one in archive.saved_searches.newest()),
        "labels": {label.annotator: label.cls for label in labels},
    }


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): one for key, one in value.items()}
    return sorted(value) if isinstance(value, list) else value
