"""Rows carry checksums, and a segment says where its ids end: after compaction they have gaps.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.rows import row_checksum
from bandsight.catalog.sql.types import INTEGER

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PART = 1000

# As they are after this step; later ones may add columns.
_SCENES = sa.table(
    "scenes",
    sa.column("id", INTEGER),
    *(sa.column(name, sa.String) for name in ("key", "href", "name", "collection", "sensor")),
    sa.column("datetime", sa.DateTime),
    sa.column("crs", sa.String),
    sa.column("transform", sa.JSON),
    *(sa.column(name, INTEGER) for name in ("width", "height")),
    sa.column("gsd_m", sa.Double),
    *(sa.column(name, sa.JSON) for name in ("bands", "stretch", "properties", "geometry", "boxes", "tiling")),
    sa.column("checksum", INTEGER),
)
_TILES = sa.table(
    "tiles",
    *(sa.column(name, INTEGER) for name in ("id", "scene_id")),
    sa.column("cell", sa.String),
    *(sa.column(name, INTEGER) for name in ("scale", "col_off", "row_off", "width", "height")),
    sa.column("valid_fraction", sa.Double),
    sa.column("geometry", sa.JSON),
    *(sa.column(name, sa.Double) for name in ("west", "south", "east", "north", "west2", "south2", "east2", "north2")),
    sa.column("checksum", INTEGER),
)


def upgrade() -> None:
    for name in ("scenes", "tiles"):
        op.add_column(name, sa.Column("checksum", INTEGER, nullable=False, server_default="0"))
    op.add_column("segments", sa.Column("last_id", INTEGER, nullable=False, server_default="0"))
    # Ids are consecutive, unless the archive was compacted before it was downgraded to the earlier schema.
    following = "(SELECT min(f.first_id) FROM segments f WHERE f.first_id > segments.first_id)"
    newest = f"(SELECT max(id) FROM tiles WHERE id < coalesce({following}, {2**62}))"  # noqa: S608  (constants)
    greatest = "max" if op.get_bind().dialect.name == "sqlite" else "greatest"
    op.execute(f"UPDATE segments SET last_id = {greatest}(first_id + count - 1, coalesce({newest}, 0))")  # noqa: S608
    op.execute("UPDATE archive SET format_version = 2")
    connection = op.get_bind()
    for table in (_SCENES, _TILES):
        last = 0
        fill = sa.update(table).where(table.c.id == sa.bindparam("own")).values(checksum=sa.bindparam("check"))
        while (
            rows := connection.execute(sa.select(table).where(table.c.id > last).order_by(table.c.id).limit(_PART))
            .mappings()
            .all()
        ):
            connection.execute(fill, [{"own": row["id"], "check": row_checksum(table, row)} for row in rows])
            last = rows[-1]["id"]


def downgrade() -> None:
    op.execute("UPDATE archive SET format_version = 1")
    op.drop_column("segments", "last_id")
    for name in ("tiles", "scenes"):
        op.drop_column(name, "checksum")
