"""The R*Tree of tile boxes goes, and indexes that no query uses: filters read columns.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UNUSED = (("tiles", "cell"), ("scenes", "datetime"))


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER tile_boxes_follow")
        op.execute("DROP TABLE tile_boxes")
    for table, column in _UNUSED:
        op.drop_index(f"ix_{table}_{column}", table)


def downgrade() -> None:
    for table, column in _UNUSED:
        op.create_index(f"ix_{table}_{column}", table, [column])
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("CREATE VIRTUAL TABLE tile_boxes USING rtree(id, west, east, south, north)")
    for part, suffix in enumerate(("", "2")):
        sides = ", ".join(f"{side}{suffix}" for side in ("west", "east", "south", "north"))
        op.execute(
            f"INSERT INTO tile_boxes (id, west, east, south, north) SELECT 2 * id + {part}, {sides} FROM tiles "  # noqa: S608
            f"WHERE west{suffix} IS NOT NULL"
        )
    op.execute(
        "CREATE TRIGGER tile_boxes_follow AFTER DELETE ON tiles BEGIN "
        "DELETE FROM tile_boxes WHERE id IN (2 * old.id, 2 * old.id + 1); END"
    )
