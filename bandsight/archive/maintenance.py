"""What is done to an archive as a whole while nobody else writes to it: moved to a newer schema, made whole again."""

from functools import partial
from pathlib import Path

from bandsight.archive.lifecycle import CATALOG_FILE, check_catalog, check_there, clear_errors
from bandsight.archive.lock import WriterLock
from bandsight.archive.repair import Repair
from bandsight.archive.tile_columns import tile_columns
from bandsight.catalog.sqlite.catalog import Catalog
from bandsight.catalog.sqlite.database import HEAD, migrate, open_database
from bandsight.vectors.local.folder import StoreFolder


def upgrade(path: Path) -> str:
    """Bring an archive's schema to this version's and return which that is; see `Archive.upgrade`."""
    check_there(path)
    lock = WriterLock(path)
    try:
        engine = open_database(path / CATALOG_FILE)
        migrate(engine)
        engine.dispose()
    finally:
        lock.release()
    return HEAD


def repair(path: Path) -> list[str]:
    """Bring a damaged archive back to a whole one and return what was done; see `Archive.repair`."""
    check_there(path)
    lock = WriterLock(path)
    try:
        engine = open_database(path / CATALOG_FILE)
        model = check_catalog(engine, path)
        with (
            clear_errors(path / CATALOG_FILE),
            engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            catalog = Catalog(connection)
            folder = StoreFolder(path, model.dim, partial(tile_columns, catalog))
            done = Repair(catalog, folder)
            done.run()
        done.drop_derived()
        engine.dispose()
    finally:
        lock.release()
    return done.report
