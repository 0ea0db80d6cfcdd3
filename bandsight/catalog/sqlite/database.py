"""The catalog in a SQLite file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from bandsight.catalog.port import CatalogCopy, CatalogDatabase
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.sql.catalog import SqlCatalog
from bandsight.catalog.sql.schema import HEAD, check_version, migrate, schema_version
from bandsight.catalog.sql.transfer import copy_all, take_over
from bandsight.catalog.sqlite.catalog import SqliteCatalog
from bandsight.catalog.sqlite.swap import attach, detach, replace_every_row, replace_rows
from bandsight.durable import flush
from bandsight.errors import ArchiveError, ArchiveReplacedError, BusyError

_FILE = "catalog.sqlite"
_UNFINISHED = f".{_FILE}.new"
# Cache of each connection. It holds the inner pages of a table of several million tiles: with SQLite's own 2 MB, each
# tile of another scene takes four reads.
_CACHE_KIB = 16 * 1024
BUSY_TIMEOUT_S = 10.0
"""Maximum wait for another process to finish writing, seconds."""


def catalog_url(folder: Path) -> str:
    """Return the URL of the catalog in an archive's folder."""
    return URL.create("sqlite", database=str(folder / _FILE)).render_as_string()


def folder_of(url: str) -> Path:
    """Return the archive folder of a `sqlite:///` URL, which names the catalog file or the folder."""
    path = Path(make_url(url).database or "")
    return path.parent if path.name == _FILE else path


class SqliteDatabase:
    """A `CatalogDatabase` in a file; safe to share between threads."""

    def __init__(self, url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Initialize without opening the file.

        Args:
            url: SQLAlchemy URL, `sqlite:///` and a path.
            busy_timeout_s: Maximum wait for another process to finish writing, seconds.
        """
        self.url, self._busy_timeout_s = url, busy_timeout_s
        self._folder = folder_of(url)
        self._file = self._folder / _FILE
        self._opened: tuple[int, int] | None = None

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._file, busy_timeout_s=self._busy_timeout_s)

    def exists(self) -> bool:
        """Return whether there is a catalog; see `CatalogDatabase`."""
        return self._file.is_file()

    def create(
        self, model: ModelIdentity, *, archive_id: str | None = None, first_tile: int = 1, first_scene: int = 1
    ) -> None:
        """Create an empty catalog; see `CatalogDatabase`. The file is renamed into place when complete."""
        unfinished = self._folder / _UNFINISHED
        try:
            if self.exists():
                raise ArchiveError(
                    f"{self._folder}: there is already an archive here; open it, or choose another folder"
                )
            _drop(unfinished)
            _fill(unfinished, model, archive_id, first_tile, first_scene)
            flush(unfinished)
            unfinished.replace(self._file)
            flush(self._folder)
        except (DatabaseError, sqlite3.Error) as error:
            _drop(unfinished)
            reason = error.orig if isinstance(error, DatabaseError) else error
            raise ArchiveError(
                f"{self._folder}: cannot create an archive ({reason}); check the disk's space and permissions, "
                "then try again"
            ) from error

    def open(self) -> ModelIdentity:
        """Open the catalog and return its model; see `CatalogDatabase`."""
        self._need_file()
        try:
            self._opened = _identity(self._file)
            version = schema_version(self._engine)
            with self._engine.connect() as connection:
                model = SqliteCatalog(connection).model() if version == HEAD else None
        except DatabaseError as error:
            raise ArchiveError(f"{self._file}: cannot be read ({error.orig}); restore it from a backup") from error
        if version is None:
            raise ArchiveError(f"{self._file}: not a Bandsight catalog; choose another folder")
        check_version(self._folder, version)
        if model is None:
            raise ArchiveError(f"{self._file}: it has no model; restore it from a backup")
        return model

    def upgrade(self) -> str:
        """Migrate the schema to this version; see `CatalogDatabase`."""
        self._need_file()
        with clear_errors(self._file):
            migrate(self._engine)
        return HEAD

    @contextmanager
    def reading(self) -> Iterator[SqliteCatalog]:
        """Open a read transaction; see `CatalogDatabase`."""
        self._check_file()
        with clear_errors(self._file), self._engine.connect() as connection:
            yield SqliteCatalog(connection)

    @contextmanager
    def writing(self) -> Iterator[SqliteCatalog]:
        """Open a write transaction; see `CatalogDatabase`."""
        self._check_file()
        with (
            clear_errors(self._file),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield SqliteCatalog(connection)

    @property
    def shared(self) -> bool:
        """False: one process has the archive open for writing."""
        return False

    def hold(self, *, alone: bool, wait_s: float) -> None:
        """Do nothing: the lock on the archive's folder is enough."""

    def leases(self) -> None:
        """Return None: there is one writer."""

    def copy_to(self, folder: Path) -> CatalogCopy:
        """Copy one committed state of the catalog; see `CatalogDatabase`."""
        copied = folder / _UNFINISHED
        copied.unlink(missing_ok=True)
        with clear_errors(self._file), self._engine.connect() as connection:
            source = connection.connection.dbapi_connection
            assert isinstance(source, sqlite3.Connection)
            target = sqlite3.connect(copied)
            source.backup(target)
            # A single file without a WAL.
            target.execute("PRAGMA journal_mode = DELETE")
            target.close()
        return _finished_copy(folder)

    def swap_in(self, beside: Self) -> int:
        """Replace all scenes and their tiles with another catalog's; see `CatalogDatabase`."""
        return self._with(beside, lambda connection: replace_rows(connection, SqliteCatalog(connection)))

    def replace_by(self, beside: Self) -> int:
        """Replace every row with another catalog's; see `CatalogDatabase`."""
        return self._with(beside, replace_every_row)

    def _with(self, beside: Self, change: Callable[[Connection], int]) -> int:
        """Change rows in a transaction with the other catalog attached."""
        with clear_errors(self._file), self._engine.connect() as connection:
            attach(connection, beside._file)
            try:
                with connection.execution_options(writes=True).begin():
                    return change(connection)
            finally:
                detach(connection)

    def take_over(
        self,
        source: CatalogDatabase,
        before_completion: Callable[[], None],
        progress: Callable[[str, int], None],
    ) -> None:
        """Copy another catalog into this one; see `CatalogDatabase`. The file is renamed into place when complete."""
        if self.exists():
            raise ArchiveError(f"{self._folder}: there is already an archive here; choose another folder")
        unfinished = self._folder / _UNFINISHED
        engine = open_engine(unfinished, wal=False)

        @contextmanager
        def writing() -> Iterator[SqliteCatalog]:
            with engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield SqliteCatalog(connection)

        with clear_errors(unfinished), source.reading() as rows:
            assert isinstance(rows, SqlCatalog)
            try:
                migrate(engine)
                take_over(rows, writing, before_completion, progress)
            finally:
                engine.dispose()
        flush(unfinished)
        unfinished.replace(self._file)
        flush(self._folder)

    def size_bytes(self) -> int:
        """Return the size of the file."""
        return self._file.stat().st_size

    def close(self) -> None:
        """Release connections. Later calls reopen them."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def _check_file(self) -> None:
        """Check that the file is still the one that was opened. Otherwise, pooled connections would read the old one.

        Raises:
            ArchiveReplacedError: The file was deleted or replaced.
        """
        if self._opened is None or self._opened == (found := _identity(self._file)):
            return
        what = "deleted" if found is None else "replaced"
        raise ArchiveReplacedError(f"{self._file}: {what} since it was opened; restore the archive, or reopen it")

    def _need_file(self) -> None:
        if not self.exists():
            raise ArchiveError(
                f"{self._folder}: no Bandsight archive here; create one with: bandsight index SCENE --archive "
                f"{self._folder}"
            )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _drop(catalog: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{catalog}{suffix}").unlink(missing_ok=True)


def _fill(unfinished: Path, model: ModelIdentity, archive_id: str | None, first_tile: int, first_scene: int) -> None:
    engine = open_engine(unfinished)
    try:
        migrate(engine)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            SqliteCatalog(connection).create(
                model, archive_id=archive_id, first_tile=first_tile, first_scene=first_scene
            )
        with engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    finally:
        engine.dispose()


def write_copy(folder: Path, source: Connection, first_scene: int) -> CatalogCopy:
    """Copy a catalog from any database into a file; see `CatalogDatabase.copy_to`.

    Args:
        folder: Target folder.
        source: A read transaction on one committed state.
        first_scene: Id of the next scene.
    """
    copied = folder / _UNFINISHED
    _drop(copied)
    engine = open_engine(copied, wal=False)
    try:
        migrate(engine)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            copy_all(source, SqliteCatalog(connection), first_scene=first_scene)
    finally:
        engine.dispose()
    return _finished_copy(folder)


def _finished_copy(folder: Path) -> CatalogCopy:
    """Return a complete copy, with a function that publishes it."""
    copied = folder / _UNFINISHED
    flush(copied)
    engine = open_engine(copied, wal=False)
    with engine.connect() as connection:
        catalog = SqliteCatalog(connection)
        generation, segments = catalog.generation(), tuple(catalog.segments())
    engine.dispose()

    def publish() -> None:
        copied.replace(folder / _FILE)
        flush(folder)

    return CatalogCopy(generation=generation, segments=segments, publish=publish)


def open_engine(path: Path, *, wal: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return an engine for a catalog file: WAL, foreign keys, full synchronisation, explicit transactions.

    Args:
        path: The file.
        wal: Use WAL mode, as for an archive in use; False keeps a copy in a single file.
        busy_timeout_s: Maximum wait for another process to finish writing, seconds.
    """
    # Unlimited connections, because one request may need several.
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        # Disable implicit transactions of the driver; `_begin` below starts them.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {round(1000 * busy_timeout_s)}",
            f"journal_mode = {'WAL' if wal else 'DELETE'}",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"cache_size = -{_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Writers lock immediately, because upgrading a read transaction could fail midway.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Translate SQLite errors into errors that name the catalog and give advice."""
    try:
        yield
    except (DatabaseError, sqlite3.Error) as error:
        # SQLAlchemy does not wrap errors of new connections, e.g. for a read-only folder.
        reason = error.orig if isinstance(error, DatabaseError) else error
        if getattr(reason, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise BusyError(
                f"{path}: another process has been writing to it for a long time; try again in a moment"
            ) from error
        raise ArchiveError(
            f"{path}: {reason}; check the disk's space and permissions, then run: bandsight verify --archive "
            f"{path.parent}"
        ) from error
