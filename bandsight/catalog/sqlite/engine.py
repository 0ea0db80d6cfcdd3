"""Opens SQLite files with the settings that durability needs, and reports its failures as ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from bandsight.errors import ArchiveError, BusyError

BUSY_TIMEOUT_S = 10.0
"""How long a transaction waits for another process to finish writing."""


def open_engine(path: Path, *, wal: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return an engine for a catalog file: WAL, foreign keys, full synchronisation, explicit transactions.

    Args:
        path: The file.
        wal: Log beside the file, as an archive in use does; False leaves a copy as one file.
        busy_timeout_s: How long a transaction waits for another process to finish writing.
    """
    # As many connections as there are threads, and more: an answer under way may read again.
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        # The driver opens no transactions of its own; `_begin` below does.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {round(1000 * busy_timeout_s)}",
            f"journal_mode = {'WAL' if wal else 'DELETE'}",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: a read that later turns into a write could fail half-way.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn a failure of SQLite into an error of ours that names the catalog and the way out."""
    try:
        yield
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise BusyError(
                f"{path}: another process has been writing to it for long; try again in a moment"
            ) from error
        raise ArchiveError(
            f"{path}: {error.orig}; check the disk's space and rights, then run: "
            f"bandsight verify --archive {path.parent}"
        ) from error
