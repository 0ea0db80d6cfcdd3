"""Schema version and migrations of a catalog."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from bandsight.errors import ArchiveError

# The newest migration; a test compares it with Alembic's head.
HEAD = "0016"


def schema_version(engine: Engine, schema: str | None = None) -> str | None:
    """Return the current migration of a catalog, or None if there is no catalog.

    Args:
        engine: The database.
        schema: PostgreSQL schema of the catalog; None for SQLite.
    """
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version", schema):
            return None
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if version is None else str(version)


def migrations_folder() -> Path:
    """Return the folder with Alembic's `env.py` and the migrations.

    An installed wheel contains it in the package, as `bandsight/migrations`. In a checkout, it is next to the package.
    The folder depends on the running package only, never on `sys.path`, so a checkout cannot apply the migrations of
    another version.
    """
    package = Path(__file__).parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def check_version(place: object, version: str, archive: object = None) -> None:
    """Check that a schema has this version.

    Args:
        place: The archive or its catalog, for messages.
        version: Migration of the schema.
        archive: The archive for commands, if that is not `place`.

    Raises:
        ArchiveError: The schema is newer or older.
    """
    if version > HEAD:
        raise ArchiveError(f"{place}: its schema {version} is newer than this Bandsight's {HEAD}; update Bandsight")
    if version != HEAD:
        raise ArchiveError(
            f"{place}: its schema is {version}, but this Bandsight needs {HEAD}; run: bandsight upgrade --archive "
            f"{archive or place}"
        )


def migrate(target: Engine | Connection, revision: str = "head", schema: str | None = None) -> None:
    """Migrate a catalog to a revision, up or down, one transaction per step.

    Args:
        target: The database, or a connection. If it has an open transaction, all steps run in it.
        revision: `head`, `base` or a number.
        schema: PostgreSQL schema of the catalog; None for SQLite.

    Raises:
        ArchiveError: The catalog has a revision that this version does not know.
    """
    if isinstance(target, Engine):
        with target.connect() as connection:
            return _migrate(connection, revision, schema)
    return _migrate(target, revision, schema)


def _migrate(connection: Connection, revision: str, schema: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes |= {"connection": connection, "schema": schema}
    began = connection.in_transaction()
    current = MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()
    if not began:
        connection.rollback()
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    name = connection.engine.url.database
    if current is not None and current not in known:
        raise ArchiveError(f"{name}: its schema {current} is newer than this Bandsight's {HEAD}; update Bandsight")
    go_down = revision == "base" or (current is not None and revision in known and revision < current)
    try:
        (command.downgrade if go_down else command.upgrade)(config, revision)
    except CommandError as error:
        raise ArchiveError(f"{name}: cannot migrate to schema {revision} ({error})") from error
