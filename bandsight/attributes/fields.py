"""Tiles and scenes in the terms of STAC: ids, times, and the registry of fields.

The item id of a tile is its number, that of a scene `scene-N`. The scenes of a tile collection are in a second
collection named with the suffix `.scenes`.

Fields are numeric attributes of tiles and scenes with a column of their own, for filtering and sorting. One entry gives
a field its column in the catalog and the column files, its filter and CQL2 conditions, its queryable with JSON schema,
its sort key, and its property in STAC items. To add a field, add an entry to `FIELDS`, a migration for the column, and
the code that computes the value and stores it in `TileRecord.attributes`. Other scene properties need no entry: any
STAC property of a scene can be used for filtering and sorting.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bandsight.errors import QueryError

VALID_FRACTION = "bandsight:valid_fraction"
"""STAC name for a tile's fraction of valid pixels."""
CLOUD_FRACTION = "bandsight:cloud_fraction"
"""STAC name for the cloudy fraction of a tile's valid pixels."""
GSD = "gsd"
"""STAC name for the ground sample distance, m."""
MAX_ID = 2**63 - 1
"""Ids are int64."""
_SCENE = re.compile(r"scene-(\d{1,19})")
_TILE = re.compile(r"\d{1,19}")
_SUFFIX = ".scenes"


def scene_item_id(scene_id: int) -> str:
    """Return the item id of a scene."""
    return f"scene-{scene_id}"


def scenes_collection(collection: str) -> str:
    """Return the scene collection that belongs to a tile collection."""
    return collection + _SUFFIX


def tiles_collection(scenes: str) -> str | None:
    """Return the tile collection that belongs to a scene collection, or None for a tile collection."""
    return scenes.removesuffix(_SUFFIX) if scenes.endswith(_SUFFIX) else None


def tile_ids(items: list[str]) -> tuple[int, ...]:
    """Return the tile ids among item ids; others are ignored."""
    return tuple(
        int(item) for item in items if _TILE.fullmatch(item) and str(int(item)) == item and int(item) <= MAX_ID
    )


def scene_ids(items: list[str]) -> tuple[int, ...]:
    """Return the scene ids among item ids; others are ignored."""
    found = [match[1] for match in map(_SCENE.fullmatch, items) if match]
    return tuple(int(number) for number in found if str(int(number)) == number and int(number) <= MAX_ID)


def rfc3339(when: datetime) -> str:
    """Return a UTC time in the RFC 3339 format of STAC."""
    return when.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """An optional numeric attribute of tiles or scenes."""

    of: Literal["tile", "scene"]
    """Whether tiles or scenes have this field."""
    name: str
    """Name of the catalog column and of the value in `TileRecord` or `SceneRecord`."""
    stac_name: str
    """Name of the property in STAC items, CQL2 and `sortby`."""
    description: str
    """Description in the queryables."""
    minimum: float | None = None
    """Smallest valid value."""
    maximum: float | None = None
    """Largest valid value."""
    of_scene: float | None = None
    """For tile fields: the value for whole scenes, or None if unknown."""
    places: int | None = None
    """Decimal places in items; None for full precision."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the field's values."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return {
            "type": "number",
            "description": self.description,
            **{name: bound for name, bound in bounds.items() if bound is not None},
        }

    def value_of(self, record: Any) -> float | None:
        """Return the value of a tile or scene, or None if unknown."""
        value: float | None = getattr(record, self.name, None)
        if value is None and self.of == "tile":
            return record.attributes.get(self.name)  # type: ignore[no-any-return]
        return value

    def in_item(self, record: Any) -> dict[str, float]:
        """Return the STAC property of a tile or scene; empty if unknown."""
        value = self.value_of(record)
        if value is None:
            return {}
        return {self.stac_name: value if self.places is None else round(value, self.places)}

    def check(self, value: float) -> float:
        """Return a value after checking its range.

        Raises:
            QueryError: The value is out of range.
        """
        low, high = self.minimum, self.maximum
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            shown = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
            raise QueryError(f"filter: {self.stac_name} {value:g}; need {shown}")
        return value


class Fields:
    """Fields by name."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = list(fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def add(self, field: Field) -> None:
        """Register a field, before the catalog's tables are imported.

        Raises:
            ValueError: The name or STAC name is already in use.
        """
        if any(field.name == one.name or field.stac_name == one.stac_name for one in self._fields):
            raise ValueError(f"field {field.name} ({field.stac_name}): the name is already in use")
        self._fields.append(field)

    @property
    def tile(self) -> tuple[Field, ...]:
        """Fields of tiles."""
        return tuple(field for field in self._fields if field.of == "tile")

    @property
    def scene(self) -> tuple[Field, ...]:
        """Fields of scenes."""
        return tuple(field for field in self._fields if field.of == "scene")

    def tile_field(self, stac_name: str) -> Field | None:
        """Return the tile field with a STAC name, or None."""
        return next((field for field in self._fields if field.of == "tile" and field.stac_name == stac_name), None)

    def properties_of(self, scene: Any) -> dict[str, Any]:
        """Return the STAC properties of a scene, those with a column first."""
        own = {name: value for field in self.scene for name, value in field.in_item(scene).items()}
        return {**own, **scene.properties}


FIELDS = Fields(
    [
        Field(
            of="tile",
            name="valid_fraction",
            stac_name=VALID_FRACTION,
            description="Fraction of valid pixels, 0..1; always 1 for scenes",
            minimum=0,
            maximum=1,
            of_scene=1,
            places=4,
        ),
        Field(
            of="tile",
            name="cloud_fraction",
            stac_name=CLOUD_FRACTION,
            description="Cloudy fraction of a tile's valid pixels, 0..1",
            minimum=0,
            maximum=1,
            places=4,
        ),
        Field(
            of="scene",
            name="gsd_m",
            stac_name=GSD,
            description="Ground sample distance, m",
            minimum=0,
        ),
    ]
)
"""The registered fields."""
