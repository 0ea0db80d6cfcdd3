"""Subscriptions that every commit is matched against, and the alerts that they raised, to be delivered.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("where", sa.JSON(), nullable=False),
        sa.Column("direction", sa.LargeBinary(), nullable=False),
        sa.Column("least", sa.Double(), nullable=False),
        sa.Column("slope", sa.Double(), nullable=False),
        sa.Column("bias", sa.Double(), nullable=False),
        sa.Column("model_digest", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("webhook", sa.String(), nullable=True),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("per_place", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_subscriptions"),
        sa.UniqueConstraint("id", name="uq_subscriptions_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alerts",
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("tile", INTEGER, nullable=False),
        sa.Column("cell", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("generation", INTEGER, nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", INTEGER, nullable=False),
        sa.Column("next_attempt", sa.DateTime(), nullable=True),
        sa.Column("delivered", sa.DateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_alerts"),
        sa.UniqueConstraint("id", name="uq_alerts_id"),
        sa.ForeignKeyConstraint(
            ["subscription"], ["subscriptions.id"], name="fk_alerts_subscription", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alerts_subscription_cell", "alerts", ["subscription", "cell"])
    op.create_index("ix_alerts_state_next_attempt", "alerts", ["state", "next_attempt"])


def downgrade() -> None:
    op.drop_table("alerts")
    op.drop_table("subscriptions")
