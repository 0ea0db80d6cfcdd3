"""Runs migrations on the connection that the catalog hands over."""

from alembic import context
from sqlalchemy import Connection

from bandsight.catalog.sql.tables import Base


def run(connection: Connection, schema: str | None) -> None:
    """Run each step in a transaction of its own."""
    context.configure(
        connection=connection.execution_options(writes=True),
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        render_as_batch=True,
        version_table_schema=schema,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"], context.config.attributes["schema"])
