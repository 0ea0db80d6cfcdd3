"""Scenes say how many tiles they have, and PostgreSQL finds tiles by their boxes.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.postgres.spatial import create_box_indexes, drop_box_indexes
from bandsight.catalog.sql.types import INTEGER

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scenes", sa.Column("tile_count", INTEGER, nullable=False, server_default="0"))
    op.execute("UPDATE scenes SET tile_count = (SELECT count(*) FROM tiles WHERE tiles.scene_id = scenes.id)")
    if op.get_bind().dialect.name == "postgresql":
        create_box_indexes(op.get_bind())


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        drop_box_indexes(op.get_bind())
    op.drop_column("scenes", "tile_count")
