"""Makes catalogs and opens those that this version can read."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from bandsight.archive.lock import WriterLock
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.sqlite.catalog import Catalog
from bandsight.catalog.sqlite.database import HEAD, migrate, open_database, schema_version
from bandsight.errors import ArchiveError

CATALOG_FILE = "catalog.sqlite"


def create_catalog(path: Path, model: ModelIdentity, *, first_tile: int = 1, first_scene: int = 1) -> None:
    """Make an empty catalog; it gets its name once it is complete, so that a crash leaves no half-made one.

    Raises:
        ArchiveError: There is one already, or the disk is full.
        ArchiveLockedError: Another process is making one.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(path)
    unfinished = path / f".{CATALOG_FILE}.new"
    try:
        # Looked at with the lock held: of two jobs that begin at once, one would put its catalog over the other's.
        if (path / CATALOG_FILE).exists():
            raise ArchiveError(f"{path}: there is an archive here already; open it, or choose another folder")
        _drop(unfinished)
        _fill(unfinished, model, first_tile, first_scene)
        unfinished.replace(path / CATALOG_FILE)
    except (DatabaseError, sqlite3.Error) as error:
        _drop(unfinished)
        reason = error.orig if isinstance(error, DatabaseError) else error
        raise ArchiveError(
            f"{path}: no archive could be made ({reason}); check the disk's space and rights, then run the same again"
        ) from error
    finally:
        lock.release()


def _drop(catalog: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{catalog}{suffix}").unlink(missing_ok=True)


def _fill(unfinished: Path, model: ModelIdentity, first_tile: int, first_scene: int) -> None:
    engine = open_database(unfinished)
    try:
        migrate(engine)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            Catalog(connection).create(model, first_tile=first_tile, first_scene=first_scene)
        with engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    finally:
        engine.dispose()


def check_there(path: Path) -> None:
    """Refuse a folder without a catalog.

    Raises:
        ArchiveError: There is none.
    """
    if not (path / CATALOG_FILE).is_file():
        raise ArchiveError(f"{path}: no Bandsight archive here; make one with: bandsight index SCENE --archive {path}")


def check_catalog(engine: Engine, path: Path) -> ModelIdentity:
    """Return the model of a catalog that this version can read.

    Raises:
        ArchiveError: It is damaged, or of another version.
    """
    try:
        version = schema_version(engine)
        with engine.connect() as connection:
            model = Catalog(connection).model() if version == HEAD else None
    except DatabaseError as error:
        raise ArchiveError(f"{path / CATALOG_FILE}: cannot be read ({error.orig}); restore it from a backup") from error
    if version is None:
        raise ArchiveError(f"{path / CATALOG_FILE}: no catalog of Bandsight; choose another folder")
    if version > HEAD:
        raise ArchiveError(f"{path}: its schema is {version}, newer than this Bandsight's {HEAD}; update Bandsight")
    if version != HEAD:
        raise ArchiveError(
            f"{path}: its schema is {version}, this Bandsight needs {HEAD}; run: bandsight upgrade --archive {path}"
        )
    if model is None:
        raise ArchiveError(f"{path / CATALOG_FILE}: it names no model; restore it from a backup")
    return model


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says into an error of ours that names the catalog."""
    try:
        yield
    except DatabaseError as error:
        raise ArchiveError(
            f"{path}: {error.orig}; check the disk's space and rights, then run: "
            f"bandsight verify --archive {path.parent}"
        ) from error
