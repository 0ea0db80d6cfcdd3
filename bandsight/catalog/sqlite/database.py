"""Opens the SQLite file with the settings that durability needs, and moves its schema."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text

from bandsight.errors import ArchiveError

# The newest migration; a test compares it with Alembic's own answer.
HEAD = "0006"
_BUSY_TIMEOUT_MS = 10_000


def open_database(path: Path, *, wal: bool = True) -> Engine:
    """Return an engine for a catalog file: WAL, foreign keys, full synchronisation, explicit transactions.

    Args:
        path: The file.
        wal: Log beside the file, as an archive in use does; False leaves a copy as one file.
    """
    # As many connections as there are threads, and more: an answer under way may read again.
    engine = create_engine(f"sqlite:///{path}", max_overflow=-1)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        # The driver opens no transactions of its own; `_begin` below does.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
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


def schema_version(engine: Engine) -> str | None:
    """Return the migration that a catalog is at, None when it has no schema yet."""
    with engine.connect() as connection:
        if not connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first():
            return None
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if version is None else str(version)


def migrations_folder() -> Path:
    """Return the folder with Alembic's `env.py` and the migrations.

    An installed wheel has it inside the package, as `bandsight/migrations`. A checkout has it beside the package, with
    or without an editable install. The folder depends on the running package only, never on `sys.path`, so a checkout
    cannot apply the migrations of another version.
    """
    package = Path(__file__).parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring a catalog to a revision, up or down, in one transaction each step.

    Raises:
        ArchiveError: The catalog is at a revision that this version does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    current = schema_version(engine)
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if current is not None and current not in known:
        raise ArchiveError(
            f"{engine.url.database}: its schema is {current}, newer than this Bandsight's {HEAD}; update Bandsight"
        )
    go_down = revision == "base" or (current is not None and revision in known and revision < current)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            (command.downgrade if go_down else command.upgrade)(config, revision)
        except CommandError as error:
            raise ArchiveError(f"{engine.url.database}: cannot go to schema {revision} ({error})") from error
