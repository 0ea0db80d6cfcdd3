"""Opens PostgreSQL databases by URL, and reports their failures as ours."""

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
# What a URL may say beside where the database is; other words are libpq's own (sslmode, sslrootcert, …).
_OWN = ("schema", "pool_size", "statement_timeout_s", "lock_timeout_s", "connect_timeout_s")
# SQLSTATE classes, as appendix A of PostgreSQL's manual lists them.
_CREDENTIALS, _NO_DATABASE, _NO_RIGHTS, _DISK_FULL = "28", "3D", "42501", "53100"
_CANCELED, _LOCKED, _READ_ONLY = "57014", "55P03", "25006"
RETRY = ("40001", "40P01")
"""SQLSTATEs of transactions that were rolled back and may succeed when they are run again."""
# Connections beyond these are closed after use. Requests are not queued here: one may need a second connection.
_POOL_SIZE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a catalog is, and how long to wait for it."""

    url: URL
    """The database."""
    schema: str
    """The schema that holds the catalog: one archive each."""
    pool_size: int = _POOL_SIZE
    """Connections that are kept open."""
    statement_timeout_s: float = 60
    """Longest statement of a transaction that reads."""
    lock_timeout_s: float = 60
    """Longest wait for another process to commit."""
    connect_timeout_s: float = 5
    """Longest wait for a connection."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `postgresql+psycopg://USER@HOST:PORT/DATABASE?schema=NAME`.

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
        """Return the URL of another schema of this database, for programs: it has the password."""
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
    """Return an engine whose connections look into the catalog's schema first.

    Raises:
        MissingExtraError: The driver is not installed.
    """
    with needs_extra("cluster", "a catalog in PostgreSQL"):
        import psycopg  # noqa: F401  (SQLAlchemy imports it by name, with a message of its own)
    engine = create_engine(
        place.url,
        pool_size=place.pool_size,
        max_overflow=-1,
        # A server that was restarted has closed its connections; they are replaced without a failed request.
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
    """Turn a failure of PostgreSQL into an error of ours that names the catalog and the way out."""
    try:
        yield
    except PoolTimeoutError as error:
        raise BusyError(f"{place}: no connection was free; try again in a moment") from error
    except DBAPIError as error:
        raise explained(place, error) from error


def explained(place: Place, error: DBAPIError) -> Exception:
    """Return what to raise for a failure of the database."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    reason = " ".join(str(error.orig).split())[:300]
    if state.startswith(_CREDENTIALS) or "password authentication failed" in reason or "no password" in reason:
        return ArchiveError(f"{place}: PostgreSQL refuses the user ({reason}); check user and password of the URL")
    if state.startswith(_NO_DATABASE) or ("database" in reason and "does not exist" in reason):
        return ArchiveError(f"{place}: PostgreSQL has no such database; create it, e.g. createdb {place.url.database}")
    known = {
        _NO_RIGHTS: ArchiveError(f"{place}: the user may not do this ({reason}); grant it the schema {place.schema}"),
        _DISK_FULL: ArchiveError(f"{place}: PostgreSQL's disk is full; make room and run the same again"),
        _READ_ONLY: ArchiveError(f"{place}: this PostgreSQL only reads ({reason}); name the primary server to write"),
        _CANCELED: BusyError(f"{place}: a query took longer than {place.statement_timeout_s:g} s; narrow the filter"),
        _LOCKED: BusyError(f"{place}: another process has been writing for {place.lock_timeout_s:g} s; try again"),
        **{one: BusyError(f"{place}: two transactions met ({reason}); run the same again") for one in RETRY},
    }
    if state in known:
        return known[state]
    if error.connection_invalidated or not state or state[:2] in {"08", "53", "57"}:
        return EngineUnavailableError(f"{place}: PostgreSQL does not answer ({reason}); try again when it is back")
    return ArchiveError(f"{place}: {reason}; run: bandsight verify")
