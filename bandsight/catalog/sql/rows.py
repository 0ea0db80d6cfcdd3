"""Turns records into rows with their checksums, and rows back into records once they match."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from bandsight.attributes.fields import FIELDS
from bandsight.catalog.records import Scene, SceneRecord, Tile, TileRecord
from bandsight.catalog.sql.checksums import checksum_by_text, geometry_text, is_as_written, row_checksum
from bandsight.catalog.sql.tables import SceneRow, TileRow
from bandsight.errors import ArchiveError, QueryError
from bandsight.geo.box import LonLatBox
from bandsight.raster.bands import BandRef

SIDES = ("west", "south", "east", "north")
TILE_COLUMNS = tuple(column.name for column in TileRow.__table__.columns)
# A damaged value may fail in as many ways as there are readers of values.
UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, AttributeError, QueryError)
_TILE_FIELDS = tuple(name for name in TileRecord.__dataclass_fields__ if name not in {"boxes", "attributes"})
# Registered fields that `TileRecord` has no name for.
_TILE_ATTRIBUTES = tuple(field.name for field in FIELDS.tile if field.name not in _TILE_FIELDS)
_BOX_COLUMNS = (SIDES, tuple(f"{side}2" for side in SIDES))
_NO_BOX = dict.fromkeys(_BOX_COLUMNS[1])
_SCENE_TIMES = ("datetime", "start_datetime", "end_datetime")
_SCENE_FIELDS = tuple(
    name for name in SceneRecord.__dataclass_fields__ if name not in {"bands", "boxes", *_SCENE_TIMES}
)


def scene_values(scene: SceneRecord) -> dict[str, Any]:
    """Return a scene as values of its row, checksum included."""
    values: dict[str, Any] = {name: getattr(scene, name) for name in _SCENE_FIELDS}
    values["bands"] = [asdict(band) for band in scene.bands]
    values["boxes"] = [sides_of(box) for box in scene.boxes]
    values |= {name: _naive_utc(getattr(scene, name)) for name in _SCENE_TIMES}
    values["checksum"] = row_checksum(SceneRow.__table__, values)
    return values


def tile_rows(scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> list[tuple[Any, ...]]:
    """Return a scene's tiles as rows in the order of `TILE_COLUMNS`, under consecutive ids."""
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
    """Return the scene of a row that matches its checksum."""
    row = found._mapping  # noqa: SLF001  (a row's own name for itself as a mapping)
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
    """Return the tile of a row that matches its checksum; its geometry comes as it was written."""
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
    """Return the error for a row that is not what was written."""
    return ArchiveError(f"{place}: row {row_id} of {table} does not match its checksum; run: bandsight repair")


def sides_of(box: LonLatBox) -> list[float]:
    """Return (west, south, east, north)."""
    return [box.west, box.south, box.east, box.north]


def _check(table: Any, row: Any) -> None:
    if row_checksum(table, row) != row["checksum"]:
        raise ValueError("not what was written")


def _naive_utc(time: datetime | None) -> datetime | None:
    """Return a time as it is stored: UTC without a zone."""
    return time.astimezone(UTC).replace(tzinfo=None) if time else None


def _box(values: Iterable[float]) -> LonLatBox:
    west, south, east, north = values
    return LonLatBox(west=west, south=south, east=east, north=north)
