"""Locks between several writers of one catalog; PostgreSQL releases them when a writer's connection ends."""

import threading
import time
from collections import Counter
from contextlib import suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bandsight.catalog.postgres.engine import Place, clear_errors
from bandsight.errors import ArchiveLockedError

# Locks are named by a text that includes the schema, so that each archive has its own.
_KEY = "hashtextextended('bandsight.' || current_schema() || '.' || :name, 1)"
_WRITERS = "writers"
_LOOK_S = 0.5
# A machine that disappears without closing its connection is detected after half a minute.
_KEEPALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"


def _open(engine: Engine) -> Connection:
    """Open a connection for locks outside of transactions."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.execute(text(_KEEPALIVE))
    return connection


def _close(connection: Connection) -> None:
    """Release all locks of a connection, which is not returned to the pool."""
    with suppress(DBAPIError):
        connection.execute(text("SELECT pg_advisory_unlock_all()"))
        connection.detach()
    with suppress(DBAPIError):
        connection.close()


class WriterHold:
    """The right to write to an archive, alone or together with others; ends with `release` or the process."""

    def __init__(self, engine: Engine, place: Place, *, alone: bool, wait_s: float) -> None:
        """Acquire the lock.

        Args:
            engine: The database.
            place: The catalog, for messages.
            alone: Exclude all other writers instead of only those that must be alone.
            wait_s: Maximum time to wait for others, seconds.

        Raises:
            ArchiveLockedError: Another process holds it.
        """
        with clear_errors(place):
            self._connection = _open(engine)
            function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
            until = time.monotonic() + wait_s
            while not _ask(self._connection, function, _WRITERS):
                if time.monotonic() >= until:
                    others = "other jobs are" if alone else "a job that must be alone is"
                    _close(self._connection)
                    raise ArchiveLockedError(
                        f"{place}: {others} writing to this archive; wait until they are done, or end them"
                    )
                time.sleep(min(_LOOK_S, wait_s))

    def release(self) -> None:
        """Let others write."""
        _close(self._connection)


class SceneLeases:
    """Names that only one process works on at a time; thread-safe.

    Leases only save work: if two processes do the same work after a restart of the server, the second commit omits it.
    """

    def __init__(self, engine: Engine, place: Place) -> None:
        """Initialize without leases.

        Args:
            engine: The database.
            place: The catalog, for messages.
        """
        self._engine, self._place = engine, place
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._held: Counter[str] = Counter()

    def take(self, name: str) -> bool:
        """Lease a name, which may be repeated; return whether no other process has it.

        Raises:
            EngineUnavailableError: The database does not answer.
        """
        with self._lock, clear_errors(self._place):
            taken = self._try("pg_try_advisory_lock", name)
            self._held[name] += taken
            return taken

    def give_back(self, name: str) -> None:
        """End a lease, if its connection still exists."""
        with self._lock:
            if self._held[name] > 0:
                self._held[name] -= 1
                with suppress(DBAPIError):
                    self._try("pg_advisory_unlock", name)

    def close(self) -> None:
        """End all leases."""
        with self._lock:
            self._held.clear()
            if self._connection is not None:
                _close(self._connection)
                self._connection = None

    def _try(self, function: str, name: str) -> bool:
        if self._connection is not None:
            try:
                return _ask(self._connection, function, name)
            except DBAPIError:
                # The server was restarted.
                broken, self._connection = self._connection, None
                with suppress(DBAPIError):
                    broken.invalidate()
                    broken.close()
        connection = _open(self._engine)
        for held in self._held.elements():
            # If no other process has leased it.
            _ask(connection, "pg_try_advisory_lock", held)
        self._connection = connection
        return _ask(connection, function, name)


def _ask(connection: Connection, function: str, name: str) -> bool:
    return bool(connection.execute(text(f"SELECT {function}({_KEY})"), {"name": name}).scalar())
