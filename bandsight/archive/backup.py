"""A consistent copy of an archive, made while it is searched and written."""

import os
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import Engine

from bandsight.archive.lifecycle import CATALOG_FILE
from bandsight.catalog.sqlite.catalog import Catalog
from bandsight.catalog.sqlite.database import open_database
from bandsight.errors import ArchiveError
from bandsight.vectors.atomic_io import cannot_write
from bandsight.vectors.local.folder import StoreFolder
from bandsight.vectors.port import Segment

# A copy that meets a compaction begins anew; more than a few in a row is no accident.
_ATTEMPTS = 5


def back_up(engine: Engine, folder: StoreFolder, target: Path) -> int:
    """Copy one generation of an archive and return which; the catalog gets its name last.

    Raises:
        ArchiveError: The target holds something, cannot be written, or a file of the archive is damaged.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise ArchiveError(f"{target}: not empty; choose a new folder for each backup")
        (target / "vectors").mkdir(exist_ok=True)
        for _ in range(_ATTEMPTS):
            generation, segments = _copy_catalog(engine, target / f".{CATALOG_FILE}.new")
            if all(_copy_segment(folder, segment, target) for segment in segments):
                break
        else:
            raise ArchiveError(f"{target}: files went away while they were copied; run the backup again")
        folder.copy_derived(target)
        (target / f".{CATALOG_FILE}.new").replace(target / CATALOG_FILE)
        _flush(target)
    except OSError as error:
        raise cannot_write(Path(error.filename or target), error) from error
    return generation


def _copy_catalog(engine: Engine, path: Path) -> tuple[int, list[Segment]]:
    """Copy the catalog as one transaction sees it and return its generation and segments."""
    path.unlink(missing_ok=True)
    with engine.connect() as connection:
        source = connection.connection.dbapi_connection
        assert isinstance(source, sqlite3.Connection)
        copy = sqlite3.connect(path)
        source.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.close()
    _flush(path)
    engine = open_database(path, wal=False)
    with engine.connect() as connection:
        catalog = Catalog(connection)
        found = catalog.generation(), [Segment(**row) for row in catalog.segments()]
    engine.dispose()
    return found


def _copy_segment(folder: StoreFolder, segment: Segment, target: Path) -> bool:
    """Copy a segment and compare the copy's checksum; False when a compaction has taken the file away."""
    source = folder.path_of(segment)
    copy = target / "vectors" / source.name
    try:
        shutil.copyfile(source, copy)
    except FileNotFoundError:
        return False
    _flush(copy)
    if folder.checksum(copy) != segment.sha256:
        raise ArchiveError(f"{source}: does not match its checksum; run: bandsight repair, then back up again")
    return True


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
