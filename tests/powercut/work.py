"""What a program does while its calls are recorded: every kind of change to an archive, each reported when it is done.

python -m tests.powercut.work FOLDER ACKS SEED
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive import index_updater as extension
from bandsight.archive.admin import back_up, upgrade
from bandsight.archive.backups import restore
from bandsight.attributes.filters import Filter
from bandsight.catalog.saved_searches import SavedHits
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local import recall_tuning as tuning
from bandsight.vectors.local import store as faiss_store
from indexer.checkpoints import CheckpointFolder
from tests.archive.makers import MODEL, entry
from tests.crash.operations import TILES, after, change, checkpoint, downgrade, plan
from tests.vectors.planning import always_by_index

Operation = dict[str, Any]
State = dict[str, Any]
"""`scenes` (version by number), `searches` (titles), `labels` (class by annotator), `backups` (all of these by
folder), `again` (what the restored folder holds), `parts` (number of parts of the scene that is on its way)."""

EMPTY: State = {"scenes": {}, "searches": [], "labels": {}, "backups": {}, "again": None, "parts": 0}
_CONTENT = ("scenes", "searches", "labels")
_WEIGHTS = {"scenes": 0.6, "save search": 0.1, "delete search": 0.05, "label": 0.1, "back up": 0.15}
_OPERATIONS = 24


def small_indexes() -> None:
    """As small an archive as can be has an index and uses it."""
    building.WORTH_IT, tuning.FEW, faiss_store.plan = 20, 0, always_by_index
    extension._MANY, extension._SHARE = 1, 0.0


def main() -> None:
    """Work."""
    folder, acks, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    small_indexes()
    told = os.open(acks, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def say(what: str, operation: Operation) -> None:
        os.write(told, (json.dumps([what, operation]) + "\n").encode())

    rng = np.random.default_rng(seed)
    path = folder / "archive"
    say("begin", {"kind": "create"})
    ArchiveWriter.create(path, MODEL).close()
    say("done", {"kind": "create"})
    state = dict(EMPTY)
    for kinds in (("scenes",), tuple(_WEIGHTS)):
        with ArchiveWriter.open(path) as archive:
            for operation in _operations(state, rng, kinds, say):
                state = then(state, operation)
                _do(archive, folder, operation, say)
                say("done", operation)
        if kinds == ("scenes",):
            # Searches and labels came with later schemas; an old archive has none.
            downgrade(path)
            say("begin", {"kind": "upgrade"})
            upgrade(path)
            say("done", {"kind": "upgrade"})

    for kind in ("restore", "replace") if state["backups"] else ():
        name = str(rng.choice(list(state["backups"])))
        say("begin", {"kind": kind, "backup": name})
        target = folder / ("again" if kind == "restore" else "archive")
        restore(_backup(folder, name), target, replace=kind == "replace")
        say("done", {"kind": kind, "backup": name})


def _operations(
    state: State, rng: np.random.Generator, kinds: tuple[str, ...], say: Callable[[str, Operation], None]
) -> Iterator[Operation]:
    shares = np.array([_WEIGHTS[kind] for kind in kinds])
    for number in range(_OPERATIONS if len(kinds) > 1 else _OPERATIONS // 4):
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        operation: Operation = {"kind": kind, "name": f"{kind} {number}"}
        if kind == "scenes":
            planned = next(plan({int(n): v for n, v in state["scenes"].items()}, rng, None), None)
            if planned is None:
                continue
            operation |= {"change": planned}
        elif kind == "delete search":
            if not state["searches"]:
                continue
            operation |= {"title": str(rng.choice(state["searches"]))}
        elif kind == "label" and not state["scenes"]:
            continue
        state = then(state, operation)
        say("begin", operation)
        yield operation


def then(state: State, operation: Operation) -> State:
    """Return what there must be once an operation is done."""
    name, changed = operation.get("name", ""), {}
    match operation["kind"]:
        case "scenes":
            before = {int(number): version for number, version in state["scenes"].items()}
            changed = {"scenes": after(before, operation["change"]), "parts": 0}
        case "part":
            changed = {"parts": state["parts"] + 1}
        case "save search":
            changed = {"searches": [*state["searches"], name]}
        case "delete search":
            changed = {"searches": [title for title in state["searches"] if title != operation["title"]]}
        case "label":
            changed = {"labels": {**state["labels"], name: "pond"}}
        case "back up":
            changed = {"backups": {**state["backups"], name: {part: state[part] for part in _CONTENT}}}
        case "restore":
            changed = {"again": state["backups"][operation["backup"]]}
        case "replace":
            changed = state["backups"][operation["backup"]]
    return state | changed


def _do(archive: ArchiveWriter, folder: Path, operation: Operation, say: Callable[[str, Operation], None]) -> None:
    name = operation["name"]
    match operation["kind"]:
        case "scenes" if operation["change"]["kind"] == "add in parts":
            for number in operation["change"]["scenes"]:
                _add_in_parts(archive, number, operation["change"]["version"], say)
        case "scenes":
            change(archive, operation["change"])
        case "save search":
            hits = SavedHits(ids=np.array([1, 2]), scores=np.array([0.5, 0.25], np.float32))
            archive.saved_searches.add(name, {"q": "a pond"}, max_hits=2, hits=hits, generation=archive.generation)
        case "delete search":
            (found,) = [one for one in archive.saved_searches.newest() if one.title == operation["title"]]
            archive.saved_searches.delete(found.id)
        case "label":
            archive.refresh()
            if not archive.labels.all():
                archive.labels.create("places", {"pond": "a pond"})
            (tile, *_) = archive.tile_ids(Filter()).tolist()
            archive.labels.add("places", {tile: "pond"}, name)
        case "back up":
            with Archive.open(archive.path) as reader:
                back_up(reader, _backup(folder, name))


def _backup(folder: Path, name: str) -> Path:
    return folder / "backups" / name.replace(" ", "-")


def checkpoints_of(archive: Archive, number: int, version: int) -> CheckpointFolder | None:
    """Return the parts that there are of a scene."""
    record, _, _ = entry(number, TILES, version=version)
    return CheckpointFolder.find(archive.path, SimpleNamespace(record=record), "plan", MODEL.digest)  # type: ignore[arg-type]


def _add_in_parts(archive: ArchiveWriter, number: int, version: int, say: Callable[[str, Operation], None]) -> None:
    """Write a scene as a job writes a large one."""
    record, tiles, vectors = entry(number, TILES, version=version)
    scene = SimpleNamespace(record=record)
    parts = CheckpointFolder.create(archive.path, scene, "plan", MODEL.digest)  # type: ignore[arg-type]
    for at in range(0, TILES, 2):
        parts.write(checkpoint(at, vectors))
        say("part", {"kind": "part", "scene": number, "version": version})
    rows = (([tiles[n] for n in part.numbers], vectors[part.numbers]) for part in parts.read())
    archive.add_in_parts(record, rows)
    parts.drop()


if __name__ == "__main__":
    main()
