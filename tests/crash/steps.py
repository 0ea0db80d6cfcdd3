"""The named steps at which a writer is killed: just before or just after a call."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandsight.archive import Archive
from bandsight.archive import writer as archive_writer
from bandsight.catalog.sql import rows
from bandsight.catalog.sqlite import database
from bandsight.catalog.sqlite.catalog import SqliteCatalog
from bandsight.vectors import atomic_io
from bandsight.vectors.local import column_files, folder, index_files
from bandsight.vectors.local import store as faiss_store
from bandsight.vectors.local.folder import StoreFolder
from bandsight.vectors.local.store import LocalVectorStore
from indexer.checkpoints import CheckpointFolder


@dataclass(frozen=True)
class Step:
    """A place in the program, and the operation that comes by."""

    owner: Any
    name: str
    before: bool
    kind: str


STEPS = {
    "rows written, not flushed": Step(atomic_io.os, "fsync", True, "add"),
    "rows flushed, not named": Step(atomic_io, "name_durably", True, "add"),
    "file named, folder not flushed": Step(Path, "replace", False, "add"),
    "segment written, columns not": Step(folder, "save_columns", True, "add"),
    "columns written, not named": Step(column_files.Path, "write_bytes", False, "add"),
    "segment and columns written, not committed": Step(LocalVectorStore, "upsert", False, "add"),
    "scene in, tiles not": Step(SqliteCatalog, "add_scene", False, "add"),
    "old scene gone, new one not in": Step(SqliteCatalog, "add_scene", True, "replace"),
    "tiles in, segment not": Step(SqliteCatalog, "add_tiles", False, "add"),
    "segment in, not committed": Step(SqliteCatalog, "add_segment", False, "replace"),
    "part flushed, not named": Step(atomic_io, "name_durably", True, "add in parts"),
    "part named, next one not begun": Step(CheckpointFolder, "write", False, "add in parts"),
    "one part's rows in, the others not": Step(SqliteCatalog, "add_segment", False, "add in parts"),
    "all parts in, not committed": Step(archive_writer, "add_in_parts", False, "add in parts"),
    "parts shown, not deleted": Step(CheckpointFolder, "drop", True, "add in parts"),
    "some parts deleted": Step(os, "unlink", False, "add in parts"),
    "new archive made, nothing linked": Step(LocalVectorStore, "adopt", True, "reindex"),
    "files linked, folder not flushed": Step(folder, "link_or_copy", False, "reindex"),
    "files linked, nothing replaced": Step(database, "attach", True, "reindex"),
    "old scenes out, new ones not in": Step(SqliteCatalog, "advance", False, "reindex"),
    "all rows replaced, not committed": Step(database, "replace_rows", False, "reindex"),
    "replaced, old files there": Step(database, "detach", False, "reindex"),
    "scenes removed, not committed": Step(SqliteCatalog, "remove_scenes", False, "remove"),
    "removal committed, not shown": Step(Archive, "refresh", True, "remove"),
    "merged files written, not committed": Step(StoreFolder, "merge", False, "compact"),
    "merged rows flushed, not named": Step(atomic_io, "name_durably", True, "compact"),
    "old segments out, new ones not in": Step(SqliteCatalog, "remove_segments", False, "compact"),
    "compaction committed, old files there": Step(StoreFolder, "remove_unnamed", True, "compact"),
    "some old files gone": Step(Path, "unlink", False, "compact"),
    "index built, not written": Step(faiss_store, "save_index", True, "optimize"),
    "index written, not named": Step(index_files, "name_durably", True, "optimize"),
    "index named, facts not written": Step(index_files, "name_durably", False, "optimize"),
    "facts written, index not served": Step(faiss_store, "save_index", False, "optimize"),
    "index extended beside commits, readers not told": Step(LocalVectorStore, "extend", False, "optimize"),
    "some checksums filled in": Step(rows.zlib, "crc32", True, "upgrade"),
    "schema new, lock held": Step(database, "migrate", False, "upgrade"),
}


def arm(step: Step, count: int) -> None:
    """Kill this process the `count`-th time that it comes by."""
    real = getattr(step.owner, step.name)
    seen = 0

    def wrapper(*arguments: Any, **options: Any) -> Any:
        nonlocal seen
        seen += 1
        if step.before and seen == count:
            die()
        result = real(*arguments, **options)
        if seen == count:
            die()
        return result

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(step.owner, step.name, wrapper)
