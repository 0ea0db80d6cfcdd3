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


# Inserted at a time.
_ROWS = 1000


class SqliteCatalog(SqlCatalog):
    """A `CatalogWriter` on one connection; a connection that only reads has no use for half of it."""

    place = "catalog.sqlite"

    def names_damage(self, error: DatabaseError) -> bool:
        """Say whether a text is none; see `SqlCatalog`."""
        return "decode to UTF-8" in str(error.orig)

    def load(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Insert whole rows; see `SqlCatalog`."""
        statement = insert(stored(table))
        names = [column.name for column in table.columns]
        waiting = iter(rows)
        while part := [dict(zip(names, row, strict=True)) for row in islice(waiting, _ROWS)]:
            self._db.execute(statement, part)

    def _insert_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        # As plain SQL: for values that are plain already, all that SQLAlchemy does costs more than SQLite does.
        self._db.exec_driver_sql(_INSERT_TILE, tile_rows(scene_id, first_id, tiles))

    def begin_scenes_at(self, first_scene: int) -> None:
        """Give the next scene this id or a later one; see `SqlCatalog`."""
        row = {"seq": first_scene - 1}
        self._db.execute(text("DELETE FROM sqlite_sequence WHERE name = 'scenes'"))
        self._db.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('scenes', :seq)"), row)

    def next_scene_id(self) -> int:
        """Return the id that the next scene gets; see `SqlCatalog`."""
        newest = self._db.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'scenes'")).scalar()
        return 1 + int(newest or 0)

    def settle(self) -> None:
        """Do nothing: SQLite continues after the loaded ids; see `SqlCatalog`."""

    def reindex(self) -> None:
        """Rebuild the indexes of the tables."""
        self._db.execute(text("REINDEX"))

    def structure(self, *, thorough: bool = False) -> list[str]:
        """Return what SQLite finds wrong with its file, one sentence each; `thorough` compares its indexes too."""
        pragma = "integrity_check" if thorough else "quick_check"
        return [f"catalog.sqlite: {row[0]}" for row in self._db.execute(text(f"PRAGMA {pragma}")) if row[0] != "ok"]

    def check(self) -> list[str]:
        """Return what is inconsistent inside the catalog, one sentence each."""
        found: list[Any] = list(self._db.execute(text("PRAGMA foreign_key_check")))
        return [
            *self.structure(),
            *(f"catalog.sqlite: row {row[1]} of {row[0]} names a missing {row[2]}" for row in found),
        ]
