"""The search index on disk: FAISS's file, and the metadata that makes it valid. It is derived data and may be lost."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.durable import copy_file, flush, make_folder
from bandsight.errors import ArchiveError
from bandsight.vectors.atomic_io import cannot_write, name_durably, write_durably
from bandsight.vectors.local.apart import Apart
from bandsight.vectors.local.checked_files import CheckedFiles
from bandsight.vectors.local.inverted_lists import attach_lists, without_lists, write_lists
from bandsight.vectors.local.ivf import IvfIndex, SearchParams

# Its type hints lack the constructors that the Python wrapper adds.
_faiss: Any = faiss
_FILE, _LISTS, _APART, _FACTS = "ivf.faiss", "ivf.lists", "ivf.apart", "ivf.json"
# Version 5 has no outliers; version 4 visited a fixed number of lists.
_VERSION, _WITHOUT_APART, _FORMER = 6, 5, 4
_PARTS = (_FILE, _LISTS, _APART)
INDEX_FILES = (*_PARTS, _FACTS)
"""The files of an index, its metadata last."""
# Tolerance of an index whose recall has not been measured: less than most indexes need.
_UNMEASURED = 0.02
# A new index is saved every few minutes at most.
_ATTEMPTS = 5


def save_index(folder: Path, index: IvfIndex) -> None:
    """Write an index, and then the metadata that makes it valid, which includes checksums of both.

    Raises:
        ArchiveError: The disk is full, or the write fails.
    """
    path = folder / _FILE
    temporary, lists, rows = (folder / f".{name}.tmp" for name in (_FILE, _LISTS, _APART))
    apart = index.apart or Apart.empty(index.faiss_index.d)
    try:
        without_lists(index.ivf, lambda: _faiss.write_index(index.faiss_index, str(temporary)))
        write_lists(lists, index.ivf)
        rows.write_bytes(apart.ids.astype("<i8").tobytes() + apart.rows.astype("<f2").tobytes())
        for written in (temporary, lists, rows):
            with written.open("rb+") as file:
                os.fsync(file.fileno())
        facts = {
            "format_version": _VERSION,
            "sha256": _sha256(temporary),
            "lists_sha256": _sha256(lists),
            "apart_sha256": _sha256(rows),
            "apart": {"rows": len(apart.ids), "floor": apart.floor},
            "first_id": index.first_id,
            "up_to": index.up_to,
            "widths": [asdict(width) for width in index.widths],
            "figures": index.figures,
            "spread": [round(value, 6) for value in index.spread.tolist()],
            "scan_us": index.scan_us,
            "scan_all_us": index.scan_all_us,
            "visit_us": index.visit_us,
        }
        # The old metadata must be deleted durably before new files get the names that it describes.
        _drop_facts(folder)
        name_durably(rows, folder / _APART)
        name_durably(lists, folder / _LISTS)
        name_durably(temporary, path)
    except RuntimeError as error:
        _drop(temporary, lists, rows)
        raise ArchiveError(
            f"{path}: cannot be written ({error}); the archive works without it; free some disk space"
        ) from error
    except OSError as error:
        _drop(temporary, lists, rows)
        raise cannot_write(path, error) from error
    write_durably(folder / _FACTS, [json.dumps({"checksum": _facts_checksum(facts), **facts}, indent=1).encode()])


def load_index(folder: Path, newest: int, *, writable: bool = False) -> IvfIndex | None:
    """Open the saved index; None if there is none, it is damaged, or it has tiles newer than the newest.

    Its files are opened one after another; if a new index is saved during this, the new one is opened.

    Args:
        folder: Folder of the index.
        newest: Id of the newest tile.
        writable: Read all of it, so that rows can be added; otherwise its lists are memory-mapped.
    """
    for _ in range(_ATTEMPTS):
        stamp = index_stamp(folder)
        try:
            loaded = _loaded(folder, newest, writable=writable)
        except (ArchiveError, OSError, RuntimeError, ValueError):
            # Both are intact, so these are files of two different indexes.
            loaded = None
        if index_stamp(folder) == stamp:
            return loaded
    return None


def _loaded(folder: Path, newest: int, *, writable: bool) -> IvfIndex | None:
    _, facts = index_problem(folder, CheckedFiles(folder))
    if facts is None or facts["up_to"] > newest:
        return None
    index = _faiss.read_index(str(folder / _FILE))
    ivf = _faiss.downcast_index(index.index)
    # On reading, FAISS creates a table for Euclidean distances, 74 bytes per tile at a million; dot products need none.
    ivf.use_precomputed_table = -1
    ivf.precompute_table()
    kept = attach_lists(folder / _LISTS, ivf, writable=writable)
    sizes = np.array([ivf.invlists.list_size(number) for number in range(ivf.nlist)])
    if facts["format_version"] == _FORMER:
        facts = _of_former(facts, sizes)
    return IvfIndex(
        index,
        facts["first_id"],
        facts["up_to"],
        np.array(facts["spread"], np.float32),
        tuple(SearchParams(**width) for width in facts["widths"]),
        facts["figures"],
        facts["scan_us"],
        # Indexes of earlier versions have neither.
        facts.get("scan_all_us"),
        facts.get("visit_us"),
        _apart(folder, facts, index.d),
        kept,
    )


def _apart(folder: Path, facts: dict[str, Any], dim: int) -> Apart:
    """Return the outliers; none if an earlier version did not determine them."""
    if facts["format_version"] != _VERSION:
        return Apart.empty(dim)
    count, raw = facts["apart"]["rows"], (folder / _APART).read_bytes()
    ids = np.frombuffer(raw, "<i8", count)
    return Apart(ids, np.frombuffer(raw, "<f2", count * dim, ids.nbytes).reshape(count, dim), facts["apart"]["floor"])


def _of_former(facts: dict[str, Any], sizes: NDArray[np.int64]) -> dict[str, Any]:
    """Convert the metadata of version 4, which visited a fixed number of lists, to the current version.

    Its `reach` of a list was the spread times the expected maximum of as many standard normal numbers.
    """
    spread = np.array(facts["reach"]) / np.sqrt(np.log(np.maximum(sizes, 2)))
    known = {name: facts["figures"][name] for name in ("index", "rows") if name in facts["figures"]}
    widths = [
        {"share": width["share"], "k": width["k"], "tolerance": _UNMEASURED, "query_ms": 2 * width["query_ms"]}
        for width in facts["widths"]
    ]
    note = {"recall": "not measured since an earlier version of Bandsight; run: bandsight optimize"}
    return {**facts, "spread": np.where(spread > 0, spread, spread.max()), "widths": widths, "figures": known | note}


def index_stamp(folder: Path) -> tuple[int, int] | None:
    """Return a stamp that changes when another index is saved; None if there is none."""
    try:
        found = (folder / _FACTS).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def index_problem(folder: Path, checked: CheckedFiles | None = None) -> tuple[str | None, dict[str, Any] | None]:
    """Return the problem of the saved index, and its metadata; neither if there is no index.

    The metadata is written last: an index without it was left by a writer that stopped.

    Args:
        folder: Where it lies.
        checked: Files that need not be read again.
    """
    if not (folder / _FACTS).exists():
        return None, None
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
        checksum = facts.pop("checksum")
        if checksum != _facts_checksum(facts):
            return f"index/{_FACTS}: does not match its checksum; run: bandsight repair, then optimize", None
        if facts["format_version"] not in (_VERSION, _WITHOUT_APART, _FORMER):
            return f"index/{_FACTS}: format version {facts['format_version']}; run: bandsight optimize", None
        sums = {_FILE: facts["sha256"], _LISTS: facts["lists_sha256"]}
        if facts["format_version"] == _VERSION:
            sums[_APART] = facts["apart_sha256"]
        for name, expected in sums.items():
            if not _is_sound(folder / name, expected, checked):
                return f"index/{name}: does not match its checksum; run: bandsight repair, then optimize", None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"index/{_FACTS}: cannot be read ({error}); run: bandsight repair, then optimize", None
    return None, facts


def drop_foreign(folder: Path, newest: int) -> None:
    """Delete an index without metadata, whose writer stopped, and one with tiles that the catalog never had.

    The latter remains if an older catalog was restored; its ids will be used for other tiles.
    """
    if not (folder / _FACTS).exists():
        for name in _PARTS:
            (folder / name).unlink(missing_ok=True)
        return
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads((folder / _FACTS).read_text())["up_to"] > newest:
            drop_index(folder)


def drop_index(folder: Path) -> None:
    """Delete the saved index."""
    _drop_facts(folder)
    _drop(*(folder / name for name in _PARTS))


def copy_index(folder: Path, target: Path) -> None:
    """Copy the saved index if it is intact, replacing an existing copy; another one may be saved during this."""
    make_folder(target)
    drop_index(target)
    with suppress(FileNotFoundError):
        for name in _PARTS:
            # An index of an earlier version has fewer files.
            if (folder / name).exists():
                copy_file(folder / name, target / name)
        flush(target)
        copy_file(folder / _FACTS, target / _FACTS)
    if index_problem(target)[1] is None:
        drop_index(target)
    flush(target)


def _drop_facts(folder: Path) -> None:
    """Delete the metadata durably: without it, the other files are no index."""
    if (folder / _FACTS).exists():
        (folder / _FACTS).unlink()
        flush(folder)


def _drop(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_sound(path: Path, expected: str, checked: CheckedFiles | None) -> bool:
    if checked is None:
        return _sha256(path) == expected
    return checked.sound(path, expected, lambda: _sha256(path))


def _facts_checksum(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
