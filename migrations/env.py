"""Runs migrations on the connection that the catalog hands over."""

from alembic import context
from sqlalchemy import Connection

from bandsight.catalog.sqlite.tables import TILE_BOXES, Base


def _ours(name: str | None, kind: str, _: object) -> bool:
    # The R*Tree and its shadow tables are made by hand.
    return not (kind == "table" and name is not None and name.startswith(TILE_BOXES))


def run(connection: Connection) -> None:
    """Run each step in a transaction of its own."""
    context.configure(
        connection=connection.execution_options(writes=True),
        target_metadata=Base.metadata,
        include_name=_ours,
        transaction_per_migration=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
