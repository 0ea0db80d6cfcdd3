"""Opens PostgreSQL databases by URL, and translates their errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bandsight.errors import ArchiveError, BusyError, EngineUnavailableError, needs_extra

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DRIVER = "postgresql+psycopg"
# Our own URL parameters; others are passed to libpq (sslmode, sslrootcert, …).
_OWN = ("schema", "pool_size", "statement_timeout_s", "lock_timeout_s", "connect_timeout_s")
# SQLSTATE codes (PostgreSQL manual, appendix A).
_CREDENTIALS, _NO_DATABASE, _NO_RIGHTS, _DISK_FULL = "28", "3D", "42501", "53100"
_CANCELED, _LOCKED, _READ_ONLY = "57014", "55P03", "25006"
RETRY = ("40001", "40P01")
"""SQLSTATEs of transactions that were rolled back and can be retried."""
# Connections beyond these are closed after use. Requests do not queue for a connection, because one may need two.
_POOL_SIZE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Location of a catalog, and timeouts."""

    url: URL
    """URL of the database."""
    schema: str
    """The schema of the catalog, one per archive."""
    pool_size: int = _POOL_SIZE
    """Number of connections to keep open."""
    statement_timeout_s: float = 60
    """Maximum duration of a statement in a read transaction."""
    lock_timeout_s: float = 60
    """Maximum wait for another process to commit."""
    connect_timeout_s: float = 5
    """Maximum wait for a connection."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `postgresql+psycopg://USER@HOST:PORT/DATABASE?schema=NAME`.

        Raises:
            ArchiveError: A part is missing or wrong.
        """
        try:
            url = make_url(text)
        except ArgumentError as error:
            raise ArchiveError(f"catalog URL: {error}; need {_DRIVER}://USER@HOST:PORT/DATABASE") from error
        if url.drivername != _DRIVER or not url.database:
            shown = url.render_as_string(hide_password=True)
            raise ArchiveError(f"catalog {shown}: need {_DRIVER}://USER@HOST:PORT/DATABASE?schema=NAME")
        own = {name: url.query[name] for name in _OWN if name in url.query}
        schema = str(own.pop("schema", "bandsight"))
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_") or schema == "public":
            raise ArchiveError(
                f"catalog: schema={schema}: need a name of its own of lowercase letters, digits and "
                "_, such as bandsight"
            )
        return cls(url=url.difference_update_query(_OWN), schema=schema, **_numbers(own))

    def with_schema(self, schema: str) -> str:
        """Return the URL of another schema of this database, including the password."""
        return self.url.update_query_dict({"schema": schema}).render_as_string(hide_password=False)

    def __str__(self) -> str:
        return self.url.update_query_dict({"schema": self.schema}).render_as_string(hide_password=True)


def _numbers(own: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in own.items():
        kind = int if name == "pool_size" else float
        try:
            found[name] = kind(value)
        except (TypeError, ValueError) as error:
            raise ArchiveError(f"catalog: {name}={value}: need a number") from error
        if not found[name] > 0:
            raise ArchiveError(f"catalog: {name}={value}: need more than 0")
    return found


def open_engine(place: Place) -> Engine:
    """Return an engine whose connections have the catalog's schema first in their search path.

    Raises:
        MissingExtraError: The driver is not installed.
    """
    with needs_extra("cluster", "a catalog in PostgreSQL"):
        import psycopg  # noqa: F401  (SQLAlchemy imports it by name; this gives a better error)
    engine = create_engine(
        place.url,
        pool_size=place.pool_size,
        max_overflow=-1,
        # Replace connections closed by a server restart without failing a request.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": max(2, round(place.connect_timeout_s)),
            "application_name": "bandsight",
            "options": f"-c search_path={place.schema},public -c timezone=UTC",
        },
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("reads", False):
            timeout = f"SET LOCAL statement_timeout = {round(1000 * place.statement_timeout_s)}"
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.exec_driver_sql(timeout)
        elif options.get("writes", False):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(1000 * place.lock_timeout_s)}")

    return engine


@contextmanager
def clear_errors(place: Place) -> Iterator[None]:
    """Translate PostgreSQL errors into errors that name the catalog and give advice."""
    try:
        yield
    except PoolTimeoutError as error:
        raise BusyError(f"catalog {place}: no connection was free; try again in a moment") from error
    except DBAPIError as error:
        raise explained(place, error) from error


def explained(place: Place, error: DBAPIError) -> Exception:
    """Return the exception to raise for a database error."""
    where = f"catalog {place}"
    state = str(getattr(error.orig, "sqlstate", None) or "")
    reason = " ".join(str(error.orig).split())[:300]
    if state.startswith(_CREDENTIALS) or "password authentication failed" in reason or "no password" in reason:
        return ArchiveError(f"{where}: PostgreSQL rejected the user ({reason}); check the user and password in the URL")
    if state.startswith(_NO_DATABASE) or ("database" in reason and "does not exist" in reason):
        return ArchiveError(f"{where}: the database does not exist; create it, e.g. createdb {place.url.database}")
    known = {
        _NO_RIGHTS: ArchiveError(
            f"{where}: permission denied ({reason}); grant the user access to schema {place.schema}"
        ),
        _DISK_FULL: ArchiveError(f"{where}: PostgreSQL's disk is full; free some space and try again"),
        _READ_ONLY: ArchiveError(
            f"{where}: this PostgreSQL server is read-only ({reason}); use the primary server to write"
        ),
        _CANCELED: BusyError(f"{where}: a query took longer than {place.statement_timeout_s:g} s; narrow the filter"),
        _LOCKED: BusyError(f"{where}: another process has been writing for {place.lock_timeout_s:g} s; try again"),
        **{one: BusyError(f"{where}: conflict with another transaction ({reason}); try again") for one in RETRY},
    }
    if state in known:
        return known[state]
    if error.connection_invalidated or not state or state[:2] in {"08", "53", "57"}:
        return EngineUnavailableError(f"{where}: PostgreSQL is unreachable ({reason}); try again when it is back")
    return ArchiveError(f"{where}: {reason}; run: bandsight verify")
