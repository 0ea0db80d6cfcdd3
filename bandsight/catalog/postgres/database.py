"""The catalog in a schema of a PostgreSQL database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, text, update

from bandsight.catalog.port import CatalogCopy, CatalogDatabase
from bandsight.catalog.postgres.catalog import PostgresCatalog
from bandsight.catalog.postgres.engine import Place, clear_errors, open_engine
from bandsight.catalog.postgres.leases import SceneLeases, WriterHold
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.sql.catalog import SqlCatalog
from bandsight.catalog.sql.changes import forget_changes
from bandsight.catalog.sql.schema import HEAD, check_version, migrate, schema_version
from bandsight.catalog.sql.tables import ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.catalog.sql.transfer import copy_part, take_over
from bandsight.catalog.sqlite.database import write_copy
from bandsight.errors import ArchiveError

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('bandsight.' || current_schema(), 0))")


class PostgresDatabase:
    """A `CatalogDatabase` on a server; safe to share between threads.

    Read transactions see one committed state (REPEATABLE READ). Write transactions first take a lock on the archive, so
    they run one after another and never fail with serialization errors.
    """

    def __init__(self, url: str) -> None:
        """Initialize without connecting.

        Args:
            url: `postgresql+psycopg://USER@HOST:PORT/DATABASE?schema=NAME`; see `bandsight.catalog.postgres.engine`.
        """
        self.place = Place.parse(url)

    @property
    def url(self) -> str:
        """URL for messages, without the password."""
        return str(self.place)

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self.place)

    def exists(self) -> bool:
        """Return whether there is a catalog; see `CatalogDatabase`."""
        with clear_errors(self.place):
            return schema_version(self._engine, self.place.schema) is not None

    def create(
        self, model: ModelIdentity, *, archive_id: str | None = None, first_tile: int = 1, first_scene: int = 1
    ) -> None:
        """Create an empty catalog, in one transaction; see `CatalogDatabase`."""
        with clear_errors(self.place), self._engine.connect() as connection, connection.begin():
            if not self._create_tables(connection):
                raise ArchiveError(
                    f"catalog {self.url}: there is already an archive here; open it, or choose another schema"
                )
            PostgresCatalog(connection).create(
                model, archive_id=archive_id, first_tile=first_tile, first_scene=first_scene
            )

    def _create_tables(self, connection: Connection) -> bool:
        """Create the schema and its tables. Returns False if they already exist."""
        schema = self.place.schema
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": schema})
        if connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{schema}.alembic_version"}).scalar():
            return False
        if not connection.execute(text("SELECT to_regnamespace(:name)"), {"name": schema}).scalar():
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        migrate(connection, schema=schema)
        return True

    def take_over(
        self,
        source: CatalogDatabase,
        before_completion: Callable[[], None],
        progress: Callable[[str, int], None],
    ) -> None:
        """Copy another catalog into this one; see `CatalogDatabase`. An incomplete copy has no archive row."""
        with clear_errors(self.place), self._engine.connect() as connection, connection.begin():
            self._create_tables(connection)
            if PostgresCatalog(connection).model() is not None:
                raise ArchiveError(f"catalog {self.url}: there is already an archive here; choose another schema")
        with source.reading() as rows:
            assert isinstance(rows, SqlCatalog)
            take_over(rows, self.writing, before_completion, progress)
        with clear_errors(self.place), self._engine.connect() as connection, connection.begin():
            # Update statistics, so that the first queries have good plans.
            connection.execute(text("ANALYZE"))

    def open(self) -> ModelIdentity:
        """Open the catalog and return its model; see `CatalogDatabase`."""
        with clear_errors(self.place):
            version = schema_version(self._engine, self.place.schema)
            if version is None:
                raise ArchiveError(
                    f"catalog {self.url}: no Bandsight archive here; create one with: bandsight init --archive FILE"
                )
            check_version(f"catalog {self.url}", version, "FILE")
            with self.reading() as catalog:
                model = catalog.model()
        if model is None:
            raise ArchiveError(
                f"catalog {self.url}: the copy is incomplete; run the same `bandsight migrate-archive` again"
            )
        return model

    def upgrade(self) -> str:
        """Migrate the schema to this version; see `CatalogDatabase`."""
        if not self.exists():
            raise ArchiveError(
                f"catalog {self.url}: no Bandsight archive here; create one with: bandsight init --archive FILE"
            )
        with clear_errors(self.place), self._engine.connect() as connection:
            migrate(connection, schema=self.place.schema)
        return HEAD

    @contextmanager
    def reading(self) -> Iterator[PostgresCatalog]:
        """Open a read transaction; see `CatalogDatabase`."""
        with clear_errors(self.place), self._engine.connect().execution_options(reads=True) as connection:
            yield PostgresCatalog(connection)

    @contextmanager
    def writing(self) -> Iterator[PostgresCatalog]:
        """Open a write transaction; see `CatalogDatabase`."""
        with (
            clear_errors(self.place),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            connection.execute(_LOCK)
            yield PostgresCatalog(connection)

    @property
    def shared(self) -> bool:
        """True; see `CatalogDatabase`."""
        return True

    def hold(self, *, alone: bool, wait_s: float) -> WriterHold:
        """Take an advisory lock of the archive; see `CatalogDatabase`."""
        return WriterHold(self._engine, self.place, alone=alone, wait_s=wait_s)

    def leases(self) -> SceneLeases:
        """Return advisory locks; see `CatalogDatabase`."""
        return SceneLeases(self._engine, self.place)

    def copy_to(self, folder: Path) -> CatalogCopy:
        """Copy one committed state into a SQLite file; see `CatalogDatabase`."""
        with self.reading() as catalog:
            return write_copy(folder, catalog.connection, catalog.next_scene_id())

    def swap_in(self, beside: CatalogDatabase) -> int:
        """Replace all rows with those of another catalog, in any database; see `CatalogDatabase`."""
        with beside.reading() as source, self.writing() as catalog:
            if not isinstance(source, SqlCatalog):
                raise ArchiveError(f"{beside.url}: its rows cannot be copied to {self.url}")
            return _replace_rows(catalog, source)

    def replace_by(self, beside: CatalogDatabase) -> int:
        """Raise, because this is not supported; see `CatalogDatabase`."""
        raise ArchiveError(
            f"catalog {self.url}: cannot be replaced; restore {beside.url} into another schema with bandsight "
            "migrate-archive, then serve that"
        )

    def size_bytes(self) -> int:
        """Return the size of tables and indexes."""
        size = text(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        with self.reading() as catalog:
            return int(catalog.connection.execute(size).scalar_one())

    def connect(self) -> Connection:
        """Open a plain connection, for callers that manage transactions themselves."""
        return self._engine.connect()

    def close(self) -> None:
        """Release connections. Later calls reopen them."""
        if "_engine" in self.__dict__:
            self._engine.dispose()


def _replace_rows(catalog: PostgresCatalog, source: SqlCatalog) -> int:
    """Replace the content of a catalog with that of another one, and return the generation.

    Raises:
        ArchiveError: Ids of the other catalog have since been used here.
    """
    segments, model = source.segments(), source.model()
    if segments and segments[0].first_id < catalog.next_tile_id():
        raise ArchiveError("the new vectors belong to an older state of this archive; run: bandsight reindex again")
    generation = catalog.advance()
    connection = catalog.connection
    for row in (TileRow, SceneRow, SegmentRow, FailureRow):
        connection.execute(delete(row))
    for row in (SceneRow, TileRow, SegmentRow, FailureRow):
        while copy_part(source.connection, catalog, row.__table__):  # type: ignore[arg-type]
            pass
    catalog.begin_scenes_at(max(catalog.next_scene_id(), source.next_scene_id()))
    forget_changes(connection, generation)
    connection.execute(update(SegmentRow).values(generation=generation))
    assert model is not None
    values = {f"model_{name}": value for name, value in asdict(model).items()}
    connection.execute(update(ArchiveRow).values(**values, next_tile_id=source.next_tile_id()))
    return generation
