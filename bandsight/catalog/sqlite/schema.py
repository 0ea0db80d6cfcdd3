"""The version of a catalog's schema, and its migrations."""

from pathlib import Path

from sqlalchemy import Engine, text

from bandsight.errors import ArchiveError

# The newest migration; a test compares it with Alembic's own answer.
HEAD = "0009"


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
    """Migrate a catalog to a revision, up or down, each step in one transaction.

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
