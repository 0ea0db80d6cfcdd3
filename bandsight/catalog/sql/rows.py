"""Converts records to rows with checksums, and reads verified rows back as records.

Checksums detect flipped bits, and verify rows copied between engines.
"""

import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, DateTime, Float, Integer, Select, String, bindparam, cast, func, select
from sqlalchemy.exc import DatabaseError

from bandsight.attributes.fields import FIELDS
from bandsight.catalog.records import Scene, SceneRecord, Tile, TileRecord
from bandsight.catalog.sql.tables import SceneRow, TileRow
from bandsight.errors import ArchiveError, QueryError
from bandsight.geo.box import LonLatBox
from bandsight.raster.bands import BandRef

_T = TypeVar("_T")

SIDES = ("west", "south", "east", "north")
TILE_COLUMNS = tuple(column.name for column in TileRow.__table__.columns)
# Errors that damaged values may cause when they are parsed.
UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, AttributeError, QueryError)
_TILE_FIELDS = tuple(name for name in TileRecord.__dataclass_fields__ if name not in {"boxes", "attributes"})
# Registered fields without an attribute of `TileRecord`.
_TILE_ATTRIBUTES = tuple(field.name for field in FIELDS.tile if field.name not in _TILE_FIELDS)
_BOX_COLUMNS = (SIDES, tuple(f"{side}2" for side in SIDES))
_NO_BOX = dict.fromkeys(_BOX_COLUMNS[1])
_SCENE_TIMES = ("datetime", "start_datetime", "end_datetime")
_SCENE_FIELDS = tuple(
    name for name in SceneRecord.__dataclass_fields__ if name not in {"bands", "boxes", *_SCENE_TIMES}
)
# A scene's id is unknown before its row is inserted, a swap changes the generation, and tiles are counted later.
_LEFT_OUT = {"scenes": {"id", "checksum", "added_generation", "tile_count"}, "tiles": {"checksum"}}
# Columns added later count only if they have a value, so that older rows keep their checksums.
_LATER = {"source", "decisions", "identity", "start_datetime", "end_datetime"} | {
    field.name for field in FIELDS.tile if field.name != "valid_fraction"
}
# Marks the position of the geometry's text.
_COORDINATES = ', "coordinates": '
# Variables per statement. SQLite allows 32,766 and PostgreSQL 65,535; this keeps statements small.
_IDS = 500
_AMONG = TileRow.id.in_(bindparam("ids", expanding=True))
# Geometries are read as text, which makes reading a page of a thousand tiles twice as fast.
TILES_BY_ID = select(
    *(cast(one, String).label(one.name) if one.name == "geometry" else one for one in TileRow.__table__.columns)
).where(_AMONG)
# Built once, because building a statement takes as long as running it.
_SCENES = select(SceneRow.__table__).order_by(SceneRow.id)
SCENES_BY_ID = _SCENES.where(SceneRow.id.in_(bindparam("ids", expanding=True)))


def scene_values(scene: SceneRecord) -> dict[str, Any]:
    """Return the row of a scene, including its checksum."""
    values: dict[str, Any] = {name: getattr(scene, name) for name in _SCENE_FIELDS}
    values["bands"] = [asdict(band) for band in scene.bands]
    values["boxes"] = [sides_of(box) for box in scene.boxes]
    values |= {name: _naive_utc(getattr(scene, name)) for name in _SCENE_TIMES}
    values["checksum"] = row_checksum(SceneRow.__table__, values)
    return values


def tile_rows(scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> list[tuple[Any, ...]]:
    """Return tiles as rows in the order of `TILE_COLUMNS`, with consecutive ids."""
    rows = []
    for tile_id, tile in enumerate(tiles, first_id):
        row: dict[str, Any] = {name: getattr(tile, name) for name in _TILE_FIELDS}
        row |= {name: tile.attributes.get(name) for name in _TILE_ATTRIBUTES}
        row |= {"id": tile_id, "scene_id": scene_id, **_NO_BOX}
        for part, box in enumerate(tile.boxes):
            row |= dict(zip(_BOX_COLUMNS[part], sides_of(box), strict=True))
        row["geometry"] = text = geometry_text(tile.geometry)
        checksum = checksum_by_text(TileRow.__table__, row, text)
        row["checksum"] = checksum or row_checksum(TileRow.__table__, row | {"geometry": tile.geometry})
        rows.append(tuple(row[name] for name in TILE_COLUMNS))
    return rows


def scene_of(found: Any) -> Scene:
    """Return the scene of a row, after verifying its checksum."""
    row = found._mapping  # noqa: SLF001  (public in SQLAlchemy despite the underscore)
    _check(SceneRow.__table__, row)
    values = {name: row[name] for name in _SCENE_FIELDS}
    values["transform"] = tuple(values["transform"])
    values |= {name: row[name].replace(tzinfo=UTC) if row[name] else None for name in _SCENE_TIMES}
    return Scene(
        id=row["id"],
        **values,
        bands=tuple(BandRef(**band) for band in row["bands"]),
        boxes=tuple(_box(box) for box in row["boxes"]),
    )


def tile_of(found: Any) -> Tile:
    """Return the tile of a row, after verifying its checksum. The row's geometry is the stored text."""
    row = dict(zip(TILE_COLUMNS, found, strict=True))
    written = row["geometry"]
    row["geometry"] = orjson.loads(written)
    if not is_as_written(TileRow.__table__, row, written):
        _check(TileRow.__table__, row)
    boxes = [_box(row[side] for side in SIDES)]
    if row["west2"] is not None:
        boxes.append(_box(row[f"{side}2"] for side in SIDES))
    return Tile(
        id=row["id"],
        scene_id=row["scene_id"],
        **{name: row[name] for name in _TILE_FIELDS},
        boxes=tuple(boxes),
        attributes={name: row[name] for name in _TILE_ATTRIBUTES},
    )


def damaged(place: str, row_id: object, table: str) -> ArchiveError:
    """Return the error for a row that does not match its checksum."""
    return ArchiveError(f"{place}: row {row_id} of {table} does not match its checksum; run: bandsight repair")


def sides_of(box: LonLatBox) -> list[float]:
    """Return (west, south, east, north)."""
    return [box.west, box.south, box.east, box.north]


def _check(table: Any, row: Any) -> None:
    if row_checksum(table, row) != row["checksum"]:
        raise ValueError("checksum mismatch")


def _naive_utc(time: datetime | None) -> datetime | None:
    """Return a time in storage format: UTC without a time zone."""
    return time.astimezone(UTC).replace(tzinfo=None) if time else None


def _box(values: Iterable[float]) -> LonLatBox:
    west, south, east, north = values
    return LonLatBox(west=west, south=south, east=east, north=north)


def row_checksum(table: Any, row: Mapping[Any, Any]) -> int:
    """Return the CRC-32 of a row's values, equal before writing and after reading."""
    return zlib.crc32(json.dumps(_values(table, row), sort_keys=True).encode())


def geometry_text(geometry: Mapping[str, Any]) -> str:
    """Return a geometry in storage format: the output of `json`, in a tenth of the time."""
    coordinates = orjson.dumps(geometry["coordinates"]).decode() if list(geometry) == ["type", "coordinates"] else "e"
    if "e" in coordinates:
        # The two libraries format exponents differently.
        return json.dumps(geometry)
    return f'{{"type": {json.dumps(geometry["type"])}{_COORDINATES}{coordinates.replace(",", ", ")}}}'


def checksum_by_text(table: Any, row: Mapping[Any, Any], geometry: str) -> int | None:
    """Return `row_checksum` from the text of the geometry, or None if the text has an older format.

    Serializing the geometry takes most of the time of a check.
    """
    kind, found, coordinates = geometry[:-1].partition(_COORDINATES)
    if not found or not kind.startswith("{") or not geometry.endswith("}"):
        return None
    texts = []
    for name, write in _writers(table):
        value = row[name]
        if write is None:
            texts.append(f'{{"coordinates": {coordinates}, {kind[1:]}}}')
        elif value is not None:
            texts.append(write(value))
        elif name not in _LATER:
            texts.append("null")
    return zlib.crc32(f"[{', '.join(texts)}]".encode())


def is_as_written(table: Any, row: Mapping[Any, Any], geometry: str) -> bool:
    """Return whether a row definitely matches its checksum, from the stored text of its geometry.

    Returns False for text in an older format; use `row_checksum` then.
    """
    return bool(checksum_by_text(table, row, geometry) == row["checksum"])


def _values(table: Any, row: Mapping[Any, Any]) -> list[Any]:
    return [_plain(kind, row[name]) for name, kind in _columns(table) if name not in _LATER or row[name] is not None]


@lru_cache(maxsize=16)
def _columns(table: Any) -> list[tuple[str, object]]:
    """Return name and type of the columns in the checksum."""
    return [(column.name, column.type) for column in table.columns if column.name not in _LEFT_OUT[table.name]]


@lru_cache(maxsize=16)
def _writers(table: Any) -> list[tuple[str, Callable[[Any], str] | None]]:
    """Return name and JSON writer (None for the geometry) of the columns in the checksum.

    Equivalent to `json.dumps` of `_plain`.
    """
    return [(name, None if name == "geometry" else _writer(kind)) for name, kind in _columns(table)]


def _writer(kind: object) -> Callable[[Any], str]:
    if isinstance(kind, Float):
        return _float_text
    if isinstance(kind, Integer):
        return lambda value: repr(int(value))
    if isinstance(kind, DateTime):
        return lambda value: json.dumps(_plain(kind, value))
    return json.dumps


def _float_text(value: float) -> str:
    number = float(value) + 0.0
    return repr(number) if math.isfinite(number) else json.dumps(number)


def _plain(kind: object, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, Float):
        # SQLite does not store negative zero.
        return float(value) + 0.0
    if isinstance(kind, Integer):
        return int(value)
    if isinstance(kind, DateTime):
        assert isinstance(value, datetime)
        return value.isoformat()
    return value


class RowReader:
    """Reads tiles and scenes on one connection, and checks their checksums."""

    place = "catalog"
    """Name of the database in messages."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self.connection = connection

    def names_damage(self, error: DatabaseError) -> bool:  # noqa: ARG002  (for subclasses)
        """Return whether an error means that a stored value is damaged."""
        return False

    def generation(self) -> int:
        """Return the number of the last commit."""
        return self.state()[0]

    def state(self) -> tuple[int, int]:
        """Return the number of the last commit, and the newest tile id ever used."""
        # Read by every search; plain SQL takes a fifth of the time.
        row = self._db.exec_driver_sql("SELECT generation, next_tile_id FROM archive").one()
        return int(row[0]), int(row[1]) - 1

    def next_tile_id(self) -> int:
        """Return the id of the next tile."""
        return self.state()[1] + 1

    def newest_scene_id(self) -> int:
        """Return the highest scene id, 0 if there are none."""
        return int(self._db.execute(select(func.coalesce(func.max(SceneRow.__table__.c.id), 0))).scalar_one())

    def tiles(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; unknown ids are omitted.

        Raises:
            ArchiveError: A row is damaged.
        """
        return {tile.id: tile for part in parts_of(ids) for tile in self.sound(TILES_BY_ID, TileRow, tile_of, part)}

    def scenes(self, ids: Sequence[int] | None = None) -> dict[int, Scene]:
        """Return scenes by id, all of them if `ids` is None.

        Raises:
            ArchiveError: A row is damaged.
        """
        if ids is None:
            return {scene.id: scene for scene in self.sound(_SCENES, SceneRow, scene_of)}
        parts = (self.sound(SCENES_BY_ID, SceneRow, scene_of, part) for part in parts_of(ids))
        return {scene.id: scene for part in parts for scene in part}

    def sound(
        self,
        rows: Select[Any],
        of: type[SceneRow | TileRow],
        read: Callable[[Any], _T],
        ids: Sequence[int] | None = None,
    ) -> Iterator[_T]:
        """Yield the records of rows after checking their checksums; `ids` are parameters of the statement."""
        row_id: object = "?"
        try:
            for row in self._db.execute(rows, None if ids is None else {"ids": list(ids)}):
                row_id = row.id
                yield read(row)
        except UNREADABLE as error:
            raise damaged(self.place, row_id, of.__tablename__) from error
        except DatabaseError as error:
            # A locked database or full disk does not mean that rows are damaged.
            if not self.names_damage(error):
                raise
            raise damaged(self.place, row_id, of.__tablename__) from error


def parts_of(ids: Sequence[_T]) -> Iterable[Sequence[_T]]:
    """Split ids into chunks that fit in one statement."""
    return (ids[start : start + _IDS] for start in range(0, len(ids), _IDS))
