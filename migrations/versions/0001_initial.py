"""The first catalog: archive, scenes, tiles with an R*Tree of their boxes, segments.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("format_version", INTEGER, nullable=False),
        sa.Column("generation", INTEGER, nullable=False),
        sa.Column("next_tile_id", INTEGER, nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_digest", sa.String(), nullable=False),
        sa.Column("model_dim", INTEGER, nullable=False),
        sa.Column("model_license", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_archive"),
        sa.CheckConstraint("id = 1", name="ck_archive_single"),
    )
    op.create_table(
        "scenes",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("href", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("sensor", sa.String(), nullable=False),
        sa.Column("datetime", sa.DateTime(), nullable=True),
        sa.Column("crs", sa.String(), nullable=False),
        sa.Column("transform", sa.JSON(), nullable=False),
        sa.Column("width", INTEGER, nullable=False),
        sa.Column("height", INTEGER, nullable=False),
        sa.Column("gsd_m", sa.Double(), nullable=True),
        sa.Column("bands", sa.JSON(), nullable=False),
        sa.Column("stretch", sa.JSON(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("tiling", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scenes"),
        sa.UniqueConstraint("key", name="uq_scenes_key"),
        sa.UniqueConstraint("href", name="uq_scenes_href"),
        sqlite_autoincrement=True,
    )
    for column in ("collection", "sensor", "datetime"):
        op.create_index(f"ix_scenes_{column}", "scenes", [column])
    op.create_table(
        "tiles",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("scene_id", INTEGER, nullable=False),
        sa.Column("cell", sa.String(), nullable=False),
        sa.Column("scale", INTEGER, nullable=False),
        sa.Column("col_off", INTEGER, nullable=False),
        sa.Column("row_off", INTEGER, nullable=False),
        sa.Column("width", INTEGER, nullable=False),
        sa.Column("height", INTEGER, nullable=False),
        sa.Column("valid_fraction", sa.Double(), nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        *(sa.Column(side, sa.Double(), nullable=False) for side in ("west", "south", "east", "north")),
        *(sa.Column(side, sa.Double(), nullable=True) for side in ("west2", "south2", "east2", "north2")),
        sa.PrimaryKeyConstraint("id", name="pk_tiles"),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"], name="fk_tiles_scene_id", ondelete="CASCADE"),
    )
    op.create_index("ix_tiles_scene_id", "tiles", ["scene_id"])
    op.create_index("ix_tiles_cell", "tiles", ["cell"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE tile_boxes USING rtree(id, west, east, south, north)")
        # The tree follows every deletion from the table.
        op.execute(
            "CREATE TRIGGER tile_boxes_follow AFTER DELETE ON tiles BEGIN "
            "DELETE FROM tile_boxes WHERE id IN (2 * old.id, 2 * old.id + 1); END"
        )
    op.create_table(
        "segments",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_id", INTEGER, nullable=False),
        sa.Column("count", INTEGER, nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("generation", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_segments"),
        sa.UniqueConstraint("first_id", name="uq_segments_first_id"),
    )


def downgrade() -> None:
    op.drop_table("segments")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER tile_boxes_follow")
        op.execute("DROP TABLE tile_boxes")
    op.drop_table("tiles")
    op.drop_table("scenes")
    op.drop_table("archive")
