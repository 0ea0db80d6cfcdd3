"""Scenes say which commit added them, and removals are recorded; what came before this step is unknown.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("archive", sa.Column("changes_from", INTEGER, nullable=False, server_default="0"))
    op.execute("UPDATE archive SET changes_from = generation")
    op.add_column("scenes", sa.Column("added_generation", INTEGER, nullable=False, server_default="0"))
    op.create_index("ix_scenes_added_generation", "scenes", ["added_generation"])
    op.create_table(
        "removed_scenes",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("scene_id", INTEGER, nullable=False),
        sa.Column("added", INTEGER, nullable=False),
        sa.Column("removed", INTEGER, nullable=False),
        sa.Column("replaced_by", INTEGER, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_removed_scenes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_removed_scenes_removed", "removed_scenes", ["removed"])


def downgrade() -> None:
    op.drop_table("removed_scenes")
    op.drop_index("ix_scenes_added_generation", "scenes")
    op.drop_column("scenes", "added_generation")
    op.drop_column("archive", "changes_from")
