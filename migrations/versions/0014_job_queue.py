"""Jobs may wait in a queue: they have inputs, and results.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("created", sa.DateTime(), nullable=True))
    op.add_column("jobs", sa.Column("inputs", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("results", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("attempts", INTEGER, nullable=False, server_default="0"))


def downgrade() -> None:
    # An earlier version has no queue, and would take what waits for what runs.
    op.execute("DELETE FROM jobs WHERE state = 'accepted'")
    for name in ("attempts", "results", "inputs", "created"):
        op.drop_column("jobs", name)
