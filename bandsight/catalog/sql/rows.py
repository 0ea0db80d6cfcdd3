"""Converts records to rows with checksums, and verified rows back to records.

Checksums detect flipped bits, and verify rows copied between engines.
"""

import json
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import DateTime, Float, Integer

from bandsight.attributes.fields import FIELDS
from bandsight.catalog.records import Scene, SceneRecord, Tile, TileRecord
from bandsight.catalog.sql.tables import SceneRow, TileRow
from bandsight.errors import ArchiveError, QueryError
from bandsight.geo.box import LonLatBox
from bandsight.raster.bands import BandRef

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
