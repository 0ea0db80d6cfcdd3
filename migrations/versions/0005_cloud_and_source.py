"""Tiles have their cloud share, and scenes their source, so that they can be opened again.

Both are unknown of rows that were there before, and an unknown one does not count in a row's checksum.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.rows import row_checksum
from bandsight.catalog.sql.types import INTEGER

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PART = 1000

# As they are before this step; later ones may add columns.
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
_ADDED = ((_TILES, "cloud_fraction"), (_SCENES, "source"))


def upgrade() -> None:
    op.add_column("tiles", sa.Column("cloud_fraction", sa.Double(), nullable=True))
    op.add_column("scenes", sa.Column("source", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    connection = op.get_bind()
    for table, column in _ADDED:
        known = sa.column(column).is_not(None)
        fill = sa.update(table).where(table.c.id == sa.bindparam("own")).values(checksum=sa.bindparam("check"))
        last = 0
        while (
            rows := connection.execute(
                sa.select(table).where(table.c.id > last, known).order_by(table.c.id).limit(_PART)
            )
            .mappings()
            .all()
        ):
            connection.execute(fill, [{"own": row["id"], "check": row_checksum(table, row)} for row in rows])
            last = rows[-1]["id"]
        op.drop_column(table.name, column)
