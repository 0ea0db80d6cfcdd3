"""Operations of a writer on an archive, and the expected contents afterwards."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter, archive_exists
from bandsight.archive.admin import create_beside, swap_in, upgrade
from bandsight.catalog.sql.schema import migrate
from bandsight.catalog.sqlite.database import open_engine
from bandsight.durable import flush
from indexer.checkpoints import Checkpoint, CheckpointFolder
from tests.archive.makers import MODEL, entry

TILES = 4
SCENES = 40
State = dict[int, int]
"""Version of each scene, by number: what an archive holds."""
Operation = dict[str, Any]

_WEIGHTS = {
    "add": 0.3,
    "add in parts": 0.1,
    "replace": 0.25,
    "remove": 0.1,
    "compact": 0.1,
    "reindex": 0.05,
    "optimize": 0.1,
}


def plan(state: State, rng: np.random.Generator, first: str | None, count: int = 10) -> Iterator[Operation]:
    """Yield operations that fit what the archive holds; the first may be given."""
    state = dict(state)
    for number in range(count):
        kind = first if number == 0 and first else str(rng.choice(list(_WEIGHTS), p=list(_WEIGHTS.values())))
        absent = [scene for scene in range(SCENES) if scene not in state]
        version = int(rng.integers(1, 1_000_000))
        if kind == "add in parts":
            chosen = rng.choice(SCENES, 1)
        elif kind == "add" and absent:
            chosen = rng.choice(absent, min(len(absent), int(rng.integers(1, 4))), replace=False)
        elif kind in {"replace", "remove"} and state:
            chosen = rng.choice(list(state), min(len(state), int(rng.integers(1, 3))), replace=False)
        elif kind in {"compact", "optimize", "reindex", "upgrade"}:
            chosen = np.empty(0, int)
        else:
            continue
        operation = {"kind": kind, "scenes": [int(scene) for scene in chosen], "version": version}
        state = after(state, operation)
        yield operation


def after(state: State, operation: Operation) -> State:
    """Return what an archive holds once an operation is done."""
    scenes = operation["scenes"]
    if operation["kind"] == "remove":
        return {number: version for number, version in state.items() if number not in scenes}
    return state | dict.fromkeys(scenes, operation["version"])


def perform(path: Path, operations: Iterator[Operation], say: Callable[[str, Operation], None]) -> None:
    """Do operations one after the other, saying so before and after each."""
    operation = next(operations)
    if operation["kind"] == "upgrade":
        say("begin", operation)
        upgrade(path)
        say("done", operation)
        operation = next(operations)
    there = archive_exists(path)
    with ArchiveWriter.open(path) if there else ArchiveWriter.create(path, MODEL) as archive:
        while operation is not None:
            say("begin", operation)
            change(archive, operation)
            say("done", operation)
            operation = next(operations, None)


def downgrade(path: Path) -> None:
    """Turn an archive into one of an old schema."""
    # The older version writes columns of its own.
    for file in (path / "index").glob("seg-*"):
        file.unlink()
    flush(path / "index")
    engine = open_engine(path / "catalog.sqlite")
    migrate(engine, "0002")
    engine.dispose()


def change(archive: Archive, operation: Operation) -> None:
    """Do one operation on an open archive."""
    match operation["kind"]:
        case "add" | "replace":
            archive.add([entry(number, TILES, version=operation["version"]) for number in operation["scenes"]])
        case "add in parts":
            for number in operation["scenes"]:
                _add_in_parts(archive, number, operation["version"])
        case "remove":
            archive.remove([f"/scenes/{number}.tif" for number in operation["scenes"]])
        case "compact":
            archive.compact()
        case "reindex":
            _reindex(archive)
        case "optimize":
            archive.optimize()


def _reindex(archive: Archive) -> None:
    """Put an archive of another model, with the same scenes, in the place of this one."""
    model = MODEL if archive.model.digest != MODEL.digest else replace(MODEL, name="other", digest="0" * 64)
    path = archive.path / "reindex" / model.name
    shutil.rmtree(path, ignore_errors=True)
    versions = {int(Path(scene.href).stem): int(scene.key.rsplit("-", 1)[1]) for scene in archive.scenes()}
    with create_beside(archive, path, model) as beside:
        for number, version in versions.items():
            beside.add([entry(number, TILES, version=version)])
        swap_in(archive, beside)
    shutil.rmtree(path)


def checkpoint(first: int, vectors: NDArray[np.float32]) -> Checkpoint:
    """Return a checkpoint of two tiles of a scene, from the first one on."""
    numbers, share = np.array([first, first + 1]), np.ones(2)
    return Checkpoint(
        reads=numbers,
        numbers=numbers,
        valid_fraction=share,
        cloud_fraction=share,
        vectors=vectors[first : first + 2],
        cells=np.empty((2, 0, 0), np.uint8),
    )


def _add_in_parts(archive: Archive, number: int, version: int) -> None:
    """Write a scene as a job writes a large one: parts on disk, shown together, deleted."""
    scene, tiles, vectors = entry(number, TILES, version=version)
    folder = archive.path / "pending" / scene.key
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    parts = CheckpointFolder(folder, {})
    for at in range(0, TILES, 2):
        parts.write(checkpoint(at, vectors))
    rows = (([tiles[n] for n in part.numbers], vectors[part.numbers]) for part in parts.read())
    archive.add_in_parts(scene, rows)
    parts.drop()
