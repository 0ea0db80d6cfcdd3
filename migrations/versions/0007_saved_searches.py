"""Saved searches, each with the hits that it had, in chunks.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_searches",
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("max_hits", INTEGER, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("hits", INTEGER, nullable=False),
        sa.Column("generation", INTEGER, nullable=True),
        sa.Column("model_digest", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_saved_searches"),
        sa.UniqueConstraint("id", name="uq_saved_searches_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "saved_search_hits",
        sa.Column("search", INTEGER, nullable=False),
        sa.Column("chunk", INTEGER, nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("search", "chunk", name="pk_saved_search_hits"),
        sa.ForeignKeyConstraint(
            ["search"], ["saved_searches.number"], name="fk_saved_search_hits_search", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("saved_search_hits")
    op.drop_table("saved_searches")
