"""The rows of one transaction on the PostgreSQL catalog."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, select, text
from sqlalchemy.exc import DBAPIError

from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.catalog.postgres.filters import condition_of
from bandsight.catalog.postgres.spatial import index_of
from bandsight.catalog.records import TileRecord
from bandsight.catalog.sql.catalog import SqlCatalog
from bandsight.catalog.sql.rows import tile_rows
from bandsight.catalog.sql.tables import Base, TileRow

_SCENE_IDS = "pg_get_serial_sequence('scenes', 'id')"


class PostgresCatalog(SqlCatalog):
    """A `CatalogWriter` on one connection."""

    def load(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Insert complete rows with COPY; see `SqlCatalog`."""
        from psycopg import Error

        names = ", ".join(column.name for column in table.columns)
        # Use psycopg's cursor, because SQLAlchemy has no COPY.
        raw: Any = self._db.connection.dbapi_connection
        try:
            with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        except Error as error:
            # As SQLAlchemy does for its own statements, so that it is explained like theirs.
            raise DBAPIError.instance(f"COPY {table.name}", None, error, Error) from error

    def narrow(self, where: Filter, scenes: SceneColumns, limit: int) -> NDArray[np.int64] | None:
        """Return the tiles that may match a filter, or None if there are more than `limit`; see `Catalog`."""
        chosen = select(TileRow.id).where(condition_of(where, scenes, index_of(self._db))).limit(limit + 1)
        ids = np.fromiter(self._db.execute(chosen).scalars(), np.int64)
        return None if len(ids) > limit else np.sort(ids)

    def _insert_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        rows = tile_rows(scene_id, first_id, tiles)
        # Adding 0.0 normalises negative zero, as in SQLite.
        self.load(TileRow.__table__, ([v + 0.0 if isinstance(v, float) else v for v in row] for row in rows))  # type: ignore[arg-type]

    def begin_scenes_at(self, first_scene: int) -> None:
        """Set the id of the next scene; see `SqlCatalog`."""
        self._db.execute(text(f"SELECT setval({_SCENE_IDS}, :number, false)"), {"number": first_scene})

    def next_scene_id(self) -> int:
        """Return the id of the next scene; see `SqlCatalog`."""
        row = self._db.execute(text("SELECT last_value, is_called FROM scenes_id_seq")).one()
        return int(row.last_value) + int(row.is_called)

    def settle(self) -> None:
        """Advance id sequences past the loaded rows; see `SqlCatalog`."""
        for table in Base.metadata.sorted_tables:
            key = table.autoincrement_column
            if key is not None and table.name not in {"scenes", "tiles", "archive"}:
                sequence = f"pg_get_serial_sequence('{table.name}', '{key.name}')"
                newest = f"(SELECT coalesce(max({key.name}), 0) + 1 FROM {table.name})"  # noqa: S608  (constants)
                self._db.execute(text(f"SELECT setval({sequence}, {newest}, false)"))

    def reindex(self) -> None:
        """Rebuild the indexes of the tables."""
        for table in Base.metadata.sorted_tables:
            self._db.execute(text(f"REINDEX TABLE {table.name}"))

    def structure(self, *, thorough: bool = False) -> list[str]:  # noqa: ARG002  (the server checks its own files)
        """Return the indexes that PostgreSQL reports as invalid, one sentence each."""
        rows = self._db.execute(
            text(
                "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid"
            )
        )
        return [f"catalog: index {row[0]} is invalid; run: bandsight repair" for row in rows]

    def check(self) -> list[str]:
        """Return inconsistencies in the catalog, except those that constraints rule out."""
        return self.structure()
