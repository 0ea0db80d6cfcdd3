"""An archive made beside another, for another model, takes its place in one commit.

Vector files are linked into the older archive first; then one transaction replaces all its scenes, tiles, segments and
the model by the newer one's. A crash before it leaves the older archive as it was, with files that nothing names.
"""

import os
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, text

from bandsight.archive.lifecycle import CATALOG_FILE
from bandsight.catalog.sqlite.catalog import Catalog
from bandsight.catalog.sqlite.tables import TILE_BOXES, ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.errors import ArchiveError
from bandsight.vectors.atomic_io import cannot_write
from bandsight.vectors.local.column_files import SUFFIX as COLUMNS
from bandsight.vectors.local.folder import StoreFolder
from bandsight.vectors.port import Segment

# Ids of tiles and scenes are never used twice, and the older archive may grow while the newer one is made.
_TILES_APART, _SCENES_APART = 10**9, 10**6


def first_ids(catalog: Catalog) -> tuple[int, int]:
    """Return ids of a first tile and a first scene that an archive does not use, nor will soon."""
    return catalog.next_tile_id() + _TILES_APART, catalog.newest_scene_id() + _SCENES_APART


def link_files(segments: list[Segment], source: StoreFolder, target: StoreFolder) -> None:
    """Give vector files, their columns and the index a second name in another archive's folder, durably.

    Raises:
        ArchiveError: The disk is full, or does not let us.
    """
    try:
        for segment in segments:
            _link(source.path_of(segment), target.path_of(segment))
            columns = f"{segment.name}{COLUMNS}"
            if (source.derived / columns).exists():
                _link(source.derived / columns, target.derived / columns)
        target.adopt_derived(source)
        for folder in (target.vectors, target.derived):
            _flush(folder)
    except OSError as error:
        raise cannot_write(Path(error.filename or target.vectors), error) from error


def attach(connection: Connection, beside: Path) -> None:
    """Let a connection see another archive's catalog too; to be called before its transaction."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("ATTACH DATABASE ? AS beside", (str(beside / CATALOG_FILE),))


def detach(connection: Connection) -> None:
    """Let go of the other catalog."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("DETACH DATABASE beside")


def replace_rows(connection: Connection, catalog: Catalog) -> int:
    """Replace all that the catalog holds by what the attached one holds, and return the generation.

    Raises:
        ArchiveError: The other one's ids were used here since.
    """
    newest = catalog.next_tile_id() - 1
    first = connection.execute(text("SELECT min(first_id) FROM beside.segments")).scalar()
    if first is not None and int(first) <= newest:
        raise ArchiveError("the new vectors were made for an older state of this archive; run: bandsight reindex again")
    generation = catalog.advance()
    for name in ("scenes", "segments", "failures"):
        # Tiles and their boxes go with their scenes.
        connection.execute(text(f"DELETE FROM main.{name}"))  # noqa: S608  (a constant)
    for row in (SceneRow, TileRow, SegmentRow, FailureRow):
        names, table = ", ".join(column.name for column in row.__table__.columns), row.__tablename__
        connection.execute(text(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM beside.{table}"))  # noqa: S608
    sides = "id, west, east, south, north"
    connection.execute(text(f"INSERT INTO main.{TILE_BOXES} ({sides}) SELECT {sides} FROM beside.{TILE_BOXES}"))  # noqa: S608
    connection.execute(text("UPDATE main.segments SET generation = :number"), {"number": generation})
    taken = [column.name for column in ArchiveRow.__table__.columns if column.name.startswith("model_")]
    values = ", ".join(f"{name} = (SELECT {name} FROM beside.archive)" for name in (*taken, "next_tile_id"))  # noqa: S608
    connection.execute(text(f"UPDATE main.archive SET {values}"))  # noqa: S608  (constants)
    return generation


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        shutil.copyfile(source, temporary)
        _flush(temporary)
        temporary.replace(target)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
