"""The catalog as a schema of a PostgreSQL database: created, opened, upgraded, copied and replaced."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, text

from bandsight.catalog.port import CatalogCopy
from bandsight.catalog.postgres.catalog import PostgresCatalog
from bandsight.catalog.postgres.engine import Place, clear_errors, open_engine
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.sql.changes import forget_changes
from bandsight.catalog.sql.schema import HEAD, check_version, migrate, schema_version
from bandsight.catalog.sql.tables import ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.catalog.sqlite.database import write_copy
from bandsight.errors import ArchiveError

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('bandsight.' || current_schema(), 0))")


class PostgresDatabase:
    """A `CatalogDatabase` on a server; safe to share between threads.

    Transactions that read see one committed state (REPEATABLE READ). Transactions that write take one lock of the
    archive first, so they come one after the other, each seeing what the one before has committed, and none fails
    because of another.
    """

    def __init__(self, url: str) -> None:
        """Name the database; nothing is opened yet.

        Args:
            url: `postgresql+psycopg://USER@HOST:PORT/DATABASE?schema=NAME`; see `bandsight.catalog.postgres.engine`.
        """
        self.place = Place.parse(url)

    @property
    def url(self) -> str:
        """Where it is, for messages: without the password."""
        return str(self.place)

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self.place)

    def exists(self) -> bool:
        """Return whether there is a catalog; see `CatalogDatabase`."""
        with clear_errors(self.place):
            return schema_version(self._engine, self.place.schema) is not None

    def create(self, model: ModelIdentity, *, first_tile: int = 1, first_scene: int = 1) -> None:
        """Create an empty catalog, in one transaction; see `CatalogDatabase`."""
        with self._creating() as catalog:
            catalog.create(model, first_tile=first_tile, first_scene=first_scene)

    @contextmanager
    def _creating(self) -> Iterator[PostgresCatalog]:
        """Open a transaction in which there are tables, and no rows yet."""
        schema = self.place.schema
        with clear_errors(self.place), self._engine.connect() as connection, connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": schema})
            if connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{schema}.alembic_version"}).scalar():
                raise ArchiveError(f"{self.url}: there is an archive here already; open it, or choose another schema")
            if not connection.execute(text("SELECT to_regnamespace(:name)"), {"name": schema}).scalar():
                connection.execute(text(f"CREATE SCHEMA {schema}"))
            migrate(connection, schema=schema)
            yield PostgresCatalog(connection)

    def open(self) -> ModelIdentity:
        """Return the model of a catalog that this version can read; see `CatalogDatabase`."""
        with clear_errors(self.place):
            version = schema_version(self._engine, self.place.schema)
            if version is None:
                raise ArchiveError(
                    f"{self.url}: no Bandsight archive here; make one with: bandsight init --archive FILE"
                )
            check_version(self.url, version)
            with self.reading() as catalog:
                model = catalog.model()
        if model is None:
            raise ArchiveError(f"{self.url}: it is not complete; run the same `bandsight migrate-archive` again")
        return model

    def upgrade(self) -> str:
        """Migrate the schema to this version's; see `CatalogDatabase`."""
        if not self.exists():
            raise ArchiveError(f"{self.url}: no Bandsight archive here; make one with: bandsight init --archive FILE")
        with clear_errors(self.place), self._engine.connect() as connection:
            migrate(connection, schema=self.place.schema)
        return HEAD

    @contextmanager
    def reading(self) -> Iterator[PostgresCatalog]:
        """Open a transaction that reads; see `CatalogDatabase`."""
        with clear_errors(self.place), self._engine.connect().execution_options(reads=True) as connection:
            yield PostgresCatalog(connection)

    @contextmanager
    def writing(self) -> Iterator[PostgresCatalog]:
        """Open a transaction that writes; see `CatalogDatabase`."""
        with (
            clear_errors(self.place),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            connection.execute(_LOCK)
            yield PostgresCatalog(connection)

    def copy_to(self, folder: Path) -> CatalogCopy:
        """Copy one committed state into a SQLite file; see `CatalogDatabase`."""
        with self.reading() as catalog:
            return write_copy(folder, catalog.connection, catalog.next_scene_id())

    def swap_in(self, beside: Self) -> int:
        """Replace all rows by those of another schema of this database; see `CatalogDatabase`."""
        if beside.place.url != self.place.url:
            raise ArchiveError(f"{beside.url}: not in the database of {self.url}; choose another schema of that one")
        with self.writing() as catalog:
            return _replace_rows(catalog, beside.place.schema)

    def size_bytes(self) -> int:
        """Return what the tables and their indexes take."""
        size = text(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        with self.reading() as catalog:
            return int(catalog.connection.execute(size).scalar_one())

    def connect(self) -> Connection:
        """Open a plain connection, for programs that look after transactions by themselves."""
        return self._engine.connect()

    def close(self) -> None:
        """Release connections; a later call opens them again."""
        if "_engine" in self.__dict__:
            self._engine.dispose()


def _replace_rows(catalog: PostgresCatalog, other: str) -> int:
    """Replace all that a catalog holds by what another schema holds, and return the generation.

    Raises:
        ArchiveError: Ids of the other catalog have been used here since it was created.
    """
    connection = catalog.connection
    newest = catalog.next_tile_id() - 1
    first = connection.execute(text(f"SELECT min(first_id) FROM {other}.segments")).scalar()  # noqa: S608  (checked)
    if first is not None and int(first) <= newest:
        raise ArchiveError("the new vectors were made for an older state of this archive; run: bandsight reindex again")
    generation = catalog.advance()
    for name in ("scenes", "segments", "failures"):
        # Tiles are deleted with their scenes.
        connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608  (a constant)
    for row in (SceneRow, TileRow, SegmentRow, FailureRow):
        names, table = ", ".join(column.name for column in row.__table__.columns), row.__tablename__
        connection.execute(text(f"INSERT INTO {table} ({names}) SELECT {names} FROM {other}.{table}"))  # noqa: S608
    catalog.begin_scenes_at(int(connection.execute(text("SELECT coalesce(max(id), 0) + 1 FROM scenes")).scalar_one()))
    forget_changes(connection, generation)
    connection.execute(text("UPDATE segments SET generation = :number"), {"number": generation})
    taken = [column.name for column in ArchiveRow.__table__.columns if column.name.startswith("model_")]
    values = ", ".join(f"{name} = (SELECT {name} FROM {other}.archive)" for name in (*taken, "next_tile_id"))  # noqa: S608
    connection.execute(text(f"UPDATE archive SET {values}"))  # noqa: S608  (constants)
    return generation
