"""A checksum for each row: a flipped bit is found, and a row moved between engines is known to be the same."""

import datetime as dt
import json
import math
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import DateTime, Float, Integer

from bandsight.attributes.fields import FIELDS

# A scene's id is not known before its row is written; a swap changes the generation; tiles are counted as they come.
_LEFT_OUT = {"scenes": {"id", "checksum", "added_generation", "tile_count"}, "tiles": {"checksum"}}
# Columns that came later count where they have a value: rows that were there before keep their check.
_LATER = {"source", "decisions", "identity", "start_datetime", "end_datetime"} | {
    field.name for field in FIELDS.tile if field.name != "valid_fraction"
}
# Where a geometry's text is to stand.
_COORDINATES = ', "coordinates": '


def row_checksum(table: Any, row: Mapping[Any, Any]) -> int:
    """Return the CRC-32 of a row's values, the same before it is written and after it is read."""
    return zlib.crc32(json.dumps(_values(table, row), sort_keys=True).encode())


def geometry_text(geometry: Mapping[str, Any]) -> str:
    """Return a geometry as it is stored, which is as `json` writes it, in a tenth of its time."""
    coordinates = orjson.dumps(geometry["coordinates"]).decode() if list(geometry) == ["type", "coordinates"] else "e"
    if "e" in coordinates:
        # The two write powers of ten in different ways.
        return json.dumps(geometry)
    return f'{{"type": {json.dumps(geometry["type"])}{_COORDINATES}{coordinates.replace(",", ", ")}}}'


def checksum_by_text(table: Any, row: Mapping[Any, Any], geometry: str) -> int | None:
    """Return `row_checksum` by the text of the row's geometry; None where the text is of another form than today's.

    Writing a geometry again takes most of the time of a check.
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
    """Return whether a row surely matches its checksum, by the text of its geometry as it is stored.

    For stored text of another form than today's, it returns False; then `row_checksum` decides.
    """
    return bool(checksum_by_text(table, row, geometry) == row["checksum"])


def _values(table: Any, row: Mapping[Any, Any]) -> list[Any]:
    return [_plain(kind, row[name]) for name, kind in _columns(table) if name not in _LATER or row[name] is not None]


@lru_cache(maxsize=16)
def _columns(table: Any) -> list[tuple[str, object]]:
    """Return name and type of the columns that count."""
    return [(column.name, column.type) for column in table.columns if column.name not in _LEFT_OUT[table.name]]


@lru_cache(maxsize=16)
def _writers(table: Any) -> list[tuple[str, Callable[[Any], str] | None]]:
    """Return name and JSON writer of the columns that count, None for the geometry: as `json.dumps` of `_plain`."""
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
        # SQLite keeps no minus zero.
        return float(value) + 0.0
    if isinstance(kind, Integer):
        return int(value)
    if isinstance(kind, DateTime):
        assert isinstance(value, dt.datetime)
        return value.isoformat()
    return value
