"""The registry of fields: the numbers of tiles and scenes that have a column, by which archives filter and sort.

One entry gives a field its column in the catalog and in the column files, its conditions in filters and in CQL2, its
queryable with a JSON schema, its sort key, and its property in STAC items. To add one: an entry in `FIELDS`, a
migration that adds the column, and the code that computes it and puts it into `TileRecord.attributes`. Other properties
of scenes need no entry: any STAC property of a scene can be filtered and sorted by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bandsight.errors import QueryError

VALID_FRACTION = "bandsight:valid_fraction"
"""STAC name of the share of valid pixels of a tile."""
CLOUD_FRACTION = "bandsight:cloud_fraction"
"""STAC name of the share of cloud among the valid pixels of a tile."""
GSD = "gsd"
"""STAC's name of the ground sample distance, m; every scene that knows its own has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A number that every tile, or every scene, has or lacks."""

    of: Literal["tile", "scene"]
    """What has it."""
    name: str
    """Name of its column in the catalog, and of its value in `TileRecord` or `SceneRecord`."""
    stac_name: str
    """Name of its property in STAC items, CQL2 and `sortby`."""
    description: str
    """For the queryables."""
    minimum: float | None = None
    """Least value there can be."""
    maximum: float | None = None
    """Largest value there can be."""
    of_scene: float | None = None
    """For a field of tiles: the value that scenes have, None where it is unknown."""
    places: int | None = None
    """Decimal places in items; all where None."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of its values."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return {
            "type": "number",
            "description": self.description,
            **{name: bound for name, bound in bounds.items() if bound is not None},
        }

    def value_of(self, record: Any) -> float | None:
        """Return the value of a tile or a scene, None where it is unknown."""
        value: float | None = getattr(record, self.name, None)
        if value is None and self.of == "tile":
            return record.attributes.get(self.name)  # type: ignore[no-any-return]
        return value

    def in_item(self, record: Any) -> dict[str, float]:
        """Return its property in the item of a tile or a scene; nothing where it is unknown."""
        value = self.value_of(record)
        if value is None:
            return {}
        return {self.stac_name: value if self.places is None else round(value, self.places)}

    def check(self, value: float) -> float:
        """Return a value that can be one of its own.

        Raises:
            QueryError: It is out of range.
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
            ValueError: One of its names is taken.
        """
        if any(field.name == one.name or field.stac_name == one.stac_name for one in self._fields):
            raise ValueError(f"field {field.name} ({field.stac_name}): the name is taken")
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
        """Return the field of tiles with a STAC name, None where there is none."""
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
            description="Share of valid pixels, 0..1; of a scene 1",
            minimum=0,
            maximum=1,
            of_scene=1,
            places=4,
        ),
        Field(
            of="tile",
            name="cloud_fraction",
            stac_name=CLOUD_FRACTION,
            description="Share of cloud among a tile's valid pixels, 0..1",
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
"""The fields of this version."""
