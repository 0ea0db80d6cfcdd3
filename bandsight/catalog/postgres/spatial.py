"""Spatial indexes on tile boxes in PostgreSQL, and conditions that use them.

With PostGIS, the index is on envelopes; otherwise on PostgreSQL's box type, both with GiST. Both are slightly too
permissive (PostGIS stores 32-bit boxes, PostgreSQL has a tolerance), so the four sides are also compared in 64 bits,
and both return the same tiles.
"""

from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, false, literal_column, or_, text, true

from bandsight.catalog.sql.tables import TileRow
from bandsight.geo.box import LonLatBox

Index = Literal["postgis", "box"]
"""Kind of spatial index on tile boxes."""

_PARTS = ("", "2")
_EXPRESSIONS = {
    "postgis": "ST_MakeEnvelope({w}, {s}, {e}, {n}, 4326)",
    "box": "box(point({w}, {s}), point({e}, {n}))",
}


def create_box_indexes(connection: Connection) -> None:
    """Create indexes on tile boxes. Few tiles have a second box."""
    has_postgis = connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'postgis'")).first()
    for part in _PARTS:
        expression = _expression("postgis" if has_postgis else "box", part)
        where = f" WHERE west{part} IS NOT NULL" if part else ""
        connection.execute(text(f"CREATE INDEX ix_tiles_box{part} ON tiles USING gist ({expression}){where}"))


def drop_box_indexes(connection: Connection) -> None:
    """Undo `create_box_indexes`."""
    for part in _PARTS:
        connection.execute(text(f"DROP INDEX ix_tiles_box{part}"))


def index_of(connection: Connection) -> Index:
    """Return the kind of spatial index of this catalog."""
    found = connection.execute(
        text("SELECT pg_get_indexdef(to_regclass('ix_tiles_box'))")  # the catalog's schema is first in the search path
    ).scalar()
    return "postgis" if "st_makeenvelope" in str(found).lower() else "box"


def meets_boxes(boxes: tuple[LonLatBox, ...], index: Index) -> ColumnElement[bool]:
    """Return the condition that a tile's box intersects one of these boxes; true or false, never NULL."""
    return or_(false(), *(_meets(box, part, index) for box in boxes for part in _PARTS))


def _meets(box: LonLatBox, part: str, index: Index) -> ColumnElement[bool]:
    west, south, east, north = (getattr(TileRow, f"{side}{part}") for side in ("west", "south", "east", "north"))
    sides = and_(west <= box.east, east >= box.west, south <= box.north, north >= box.south)
    # Comparing a missing second box yields NULL; AND with IS NOT NULL makes it false.
    present = west.is_not(None) if part else true()
    wanted = dict(zip("wsen", (repr(float(side)) for side in (box.west, box.south, box.east, box.north)), strict=True))
    near: ColumnElement[bool] = literal_column(f"{_expression(index, part)} && {_EXPRESSIONS[index].format(**wanted)}")
    return and_(present, near, sides)


def _expression(index: str, part: str) -> str:
    sides = {"w": f"west{part}", "s": f"south{part}", "e": f"east{part}", "n": f"north{part}"}
    return _EXPRESSIONS[index].format(**sides)
