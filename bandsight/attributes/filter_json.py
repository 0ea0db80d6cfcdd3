"""Serializes filters to JSON and back, for filters that are stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import shapely

from bandsight.attributes.filters import Filter, Property
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox

_PLAIN = ("collections", "sensors", "scenes", "exclude")
_NESTED = ("all_of", "any_of", "none_of")


def to_json(where: Filter) -> dict[str, Any]:
    """Return a filter as JSON-serializable values."""
    made: dict[str, Any] = {name: list(getattr(where, name)) for name in _PLAIN if getattr(where, name)}
    made |= {name: [to_json(one) for one in getattr(where, name)] for name in _NESTED if getattr(where, name)}
    if where.boxes:
        made["boxes"] = [[box.west, box.south, box.east, box.north] for box in where.boxes]
    if where.area is not None:
        made["area"] = shapely.to_wkb(where.area.geometry, hex=True)
    for name in ("start", "end"):
        if (when := getattr(where, name)) is not None:
            made[name] = when.isoformat()
    if where.up_to is not None:
        made["up_to"] = where.up_to
    if where.properties:
        made["properties"] = [
            [one.name, one.op, list(one.value) if isinstance(one.value, tuple) else one.value]
            for one in where.properties
        ]
    return made


def from_json(values: Mapping[str, Any]) -> Filter:
    """Return the filter serialized by `to_json`."""
    made: dict[str, Any] = {name: tuple(values[name]) for name in _PLAIN if name in values}
    made |= {name: tuple(from_json(one) for one in values[name]) for name in _NESTED if name in values}
    made |= {name: datetime.fromisoformat(values[name]) for name in ("start", "end") if name in values}
    if "boxes" in values:
        made["boxes"] = tuple(LonLatBox.from_sequence(box) for box in values["boxes"])
    if "area" in values:
        made["area"] = Area(shapely.from_wkb(values["area"]))
    if "up_to" in values:
        made["up_to"] = values["up_to"]
    if "properties" in values:
        made["properties"] = tuple(
            Property(name=name, op=op, value=tuple(value) if isinstance(value, list) else value)
            for name, op, value in values["properties"]
        )
    return Filter(**made)
