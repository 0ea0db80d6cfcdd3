"""The rows of one transaction on the SQLite catalog."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.exc import DatabaseError

from bandsight.catalog.records import TileRecord
from bandsight.catalog.sql.catalog import SqlCatalog, stored
from bandsight.catalog.sql.rows import TILE_COLUMNS, tile_rows

_INSERT_TILE = f"INSERT INTO tiles ({', '.join(TILE_COLUMNS)}) VALUES ({', '.join('?' * len(TILE_COLUMNS))})"  # noqa: S608


# Rows per insert.
_ROWS = 1000


class SqliteCatalog(SqlCatalog):
    """A `CatalogWriter` on one connection, also used for reading."""

    place = "catalog.sqlite"

    def names_damage(self, error: DatabaseError) -> bool:
        """Return whether a text is not valid UTF-8; see `SqlCatalog`."""
        return "decode to UTF-8" in str(error.orig)

    def load(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Insert complete rows; see `SqlCatalog`."""
        statement = insert(stored(table))
        names = [column.name for column in table.columns]
        waiting = iter(rows)
        while part := [dict(zip(names, row, strict=True)) for row in islice(waiting, _ROWS)]:
            self._db.execute(statement, part)

    def _insert_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        # Plain SQL, because SQLAlchemy's processing would take longer than the insert itself.
        self._db.exec_driver_sql(_INSERT_TILE, tile_rows(scene_id, first_id, tiles))

    def begin_scenes_at(self, first_scene: int) -> None:
        """Set the id of the next scene; see `SqlCatalog`."""
        row = {"seq": first_scene - 1}
        self._db.execute(text("DELETE FROM sqlite_sequence WHERE name = 'scenes'"))
        self._db.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('scenes', :seq)"), row)

    def next_scene_id(self) -> int:
        """Return the id of the next scene; see `SqlCatalog`."""
        newest = self._db.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'scenes'")).scalar()
        return 1 + int(newest or 0)

    def settle(self) -> None:
        """Do nothing, because SQLite advances ids itself; see `SqlCatalog`."""

    def reindex(self) -> None:
        """Rebuild the indexes of the tables."""
        self._db.execute(text("REINDEX"))

    def structure(self, *, thorough: bool = False) -> list[str]:
        """Return damage reported by SQLite, one sentence each; `thorough` also checks indexes."""
        pragma = "integrity_check" if thorough else "quick_check"
        return [f"catalog.sqlite: {row[0]}" for row in self._db.execute(text(f"PRAGMA {pragma}")) if row[0] != "ok"]

    def check(self) -> list[str]:
        """Return inconsistencies in the catalog, one sentence each."""
        found: list[Any] = list(self._db.execute(text("PRAGMA foreign_key_check")))
        return [
            *self.structure(),
            *(f"catalog.sqlite: row {row[1]} of {row[0]} references a missing row of {row[2]}" for row in found),
        ]
