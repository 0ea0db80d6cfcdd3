"""Records indexing jobs: their inputs, their progress, and which scenes failed.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("updated", sa.DateTime(), nullable=False),
        sa.Column("finished", sa.DateTime(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", INTEGER, nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "job_failures",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("job_id", INTEGER, nullable=False),
        sa.Column("scene", sa.String(), nullable=False),
        sa.Column("href", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_failures"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_failures_job_id", ondelete="CASCADE"),
    )
    op.create_index("ix_job_failures_job_id", "job_failures", ["job_id"])


def downgrade() -> None:
    op.drop_table("job_failures")
    op.drop_table("jobs")
