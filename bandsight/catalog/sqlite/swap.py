"""Replaces all rows of a catalog with those of another one, in one transaction."""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, text

from bandsight.catalog.sql.changes import forget_changes
from bandsight.catalog.sql.tables import ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.catalog.sql.transfer import data_tables
from bandsight.catalog.sqlite.catalog import SqliteCatalog
from bandsight.errors import ArchiveError


def attach(connection: Connection, beside: Path) -> None:
    """Attach another catalog to a connection, before its transaction starts."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("ATTACH DATABASE ? AS beside", (str(beside),))


def detach(connection: Connection) -> None:
    """Undo `attach`."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("DETACH DATABASE beside")


def replace_rows(connection: Connection, catalog: SqliteCatalog) -> int:
    """Replace the catalog's content with the attached one's, and return the generation.

    Raises:
        ArchiveError: Ids of the attached catalog have since been used here.
    """
    newest = catalog.next_tile_id() - 1
    first = connection.execute(text("SELECT min(first_id) FROM beside.segments")).scalar()
    if first is not None and int(first) <= newest:
        raise ArchiveError("the new vectors belong to an older state of this archive; run: bandsight reindex again")
    generation = catalog.advance()
    for name in ("scenes", "segments", "failures"):
        # Tiles are deleted with their scenes.
        connection.execute(text(f"DELETE FROM main.{name}"))  # noqa: S608  (a constant)
    for row in (SceneRow, TileRow, SegmentRow, FailureRow):
        names, table = ", ".join(column.name for column in row.__table__.columns), row.__tablename__
        connection.execute(text(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM beside.{table}"))  # noqa: S608
    forget_changes(connection, generation)
    connection.execute(text("UPDATE main.segments SET generation = :number"), {"number": generation})
    taken = [column.name for column in ArchiveRow.__table__.columns if column.name.startswith("model_")]
    values = ", ".join(f"{name} = (SELECT {name} FROM beside.archive)" for name in (*taken, "next_tile_id"))  # noqa: S608
    connection.execute(text(f"UPDATE main.archive SET {values}"))  # noqa: S608  (constants)
    return generation


def replace_every_row(connection: Connection) -> int:
    """Replace every row with those of the attached catalog, and return the generation; see `replace_by`."""
    newest = [
        connection.execute(text(f"SELECT generation, next_tile_id FROM {name}.archive")).one()  # noqa: S608  (a constant)
        for name in ("main", "beside")
    ]
    generation, next_tile = 1 + max(int(row[0]) for row in newest), max(int(row[1]) for row in newest)
    for table in reversed(data_tables()):
        connection.execute(text(f"DELETE FROM main.{table.name}"))  # noqa: S608  (a constant)
    for table in data_tables():
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        connection.execute(text(f"INSERT INTO main.{table.name} ({names}) SELECT {names} FROM beside.{table.name}"))  # noqa: S608
    # Running servers watch the generation and may hold ids of either catalog.
    values = {"generation": generation, "tile": next_tile}
    connection.execute(text("UPDATE main.archive SET generation = :generation, next_tile_id = :tile"), values)
    connection.execute(text("UPDATE main.segments SET generation = :generation"), {"generation": generation})
    forget_changes(connection, generation)
    return generation
