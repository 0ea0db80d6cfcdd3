"""Scenes carry what was decided about them, their identity, and their time interval.

All are unknown of rows that were there before, and an unknown value does not count in a row's checksum.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.rows import row_checksum
from bandsight.catalog.sql.types import INTEGER

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PART = 1000
_ADDED = ("decisions", "identity", "start_datetime", "end_datetime")
# As the table is before this step; later ones may add columns.
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
    sa.column("source", sa.JSON(none_as_null=True)),
)


def upgrade() -> None:
    op.add_column("scenes", sa.Column("decisions", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("scenes", sa.Column("identity", sa.String(), nullable=True))
    op.add_column("scenes", sa.Column("start_datetime", sa.DateTime(), nullable=True))
    op.add_column("scenes", sa.Column("end_datetime", sa.DateTime(), nullable=True))
    op.create_index("ix_scenes_identity", "scenes", ["identity"])


def downgrade() -> None:
    connection = op.get_bind()
    known = sa.or_(*(sa.column(name).is_not(None) for name in _ADDED))
    chosen = sa.select(_SCENES).where(_SCENES.c.id > sa.bindparam("last"), known).order_by(_SCENES.c.id).limit(_PART)
    fill = sa.update(_SCENES).where(_SCENES.c.id == sa.bindparam("own")).values(checksum=sa.bindparam("check"))
    last = 0
    while rows := connection.execute(chosen, {"last": last}).mappings().all():
        connection.execute(fill, [{"own": row["id"], "check": row_checksum(_SCENES, row)} for row in rows])
        last = rows[-1]["id"]
    op.drop_index("ix_scenes_identity", "scenes")
    for name in reversed(_ADDED):
        op.drop_column("scenes", name)
