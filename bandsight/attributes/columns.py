"""Attributes of tiles and scenes in columns, as filters read them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.fields import FIELDS
from bandsight.attributes.zones import RUN, Zones
from bandsight.errors import QueryError

# Property names listed in an error.
_NAMED = 12
NO_TIME = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileColumns:
    """Filterable attributes of tiles, one row per tile."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    scene_ids: NDArray[np.int64]
    """Scene of each tile, shape (n,)."""
    boxes: NDArray[np.float64]
    """(west, south, east, north) of each tile, degrees, shape (n, 2, 4); the second is NaN unless the tile crosses
    ±180°."""
    values: Mapping[str, NDArray[np.float64]]
    """Registered fields by name, each of shape (n,), NaN where unknown."""
    bounds: NDArray[np.float32] | None = field(default=None, compare=False)
    """`rounded_outwards(boxes)`, where it has been kept: a quarter of the memory to go through."""
    made: dict[int, Zones] = field(default_factory=dict, compare=False, repr=False)
    """The zones of the bounds by the length of their runs, once a filter has needed them."""

    def __len__(self) -> int:
        return len(self.ids)

    def zones(self, bounds: NDArray[np.float32], run: int = RUN) -> Zones:
        """Return the zones of the tiles' bounds for runs of so many tiles, made once."""
        found = self.made.get(run)
        if found is None:
            found = self.made[run] = Zones.of(bounds, run)
        return found

    def take(self, rows: NDArray[np.intp] | slice) -> "TileColumns":
        """Return a subset of the rows."""
        return TileColumns(
            ids=self.ids[rows],
            scene_ids=self.scene_ids[rows],
            boxes=self.boxes[rows],
            values={name: values[rows] for name, values in self.values.items()},
        )

    @classmethod
    def empty(cls, ids: NDArray[np.int64]) -> "TileColumns":
        """Return rows to be filled in later: scene 0, which does not exist, and no boxes."""
        count = len(ids)
        return cls(
            ids=ids,
            scene_ids=np.zeros(count, np.int64),
            boxes=np.full((count, 2, 4), np.nan),
            values={one.name: np.full(count, np.nan) for one in FIELDS.tile},
        )

    @classmethod
    def join(cls, parts: "Sequence[TileColumns]") -> "TileColumns":
        """Concatenate rows."""
        return cls(
            ids=np.concatenate([part.ids for part in parts]),
            scene_ids=np.concatenate([part.scene_ids for part in parts]),
            boxes=np.concatenate([part.boxes for part in parts]),
            values={one.name: np.concatenate([part.values[one.name] for part in parts]) for one in FIELDS.tile},
        )

    def agrees(self, true: "TileColumns") -> bool:
        """Return whether these rows match the catalog's, ignoring tiles that the catalog no longer has (scene 0)."""
        there = true.scene_ids != 0
        return (
            np.array_equal(self.ids, true.ids)
            and np.array_equal(self.scene_ids[there], true.scene_ids[there])
            and np.array_equal(self.boxes[there], true.boxes[there], equal_nan=True)
            and all(
                np.array_equal(self.values[name][there], values[there], equal_nan=True)
                for name, values in true.values.items()
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyColumn:
    """One property of all scenes, split by type."""

    numbers: NDArray[np.float64]
    """Numeric values, NaN elsewhere, shape (n,)."""
    texts: NDArray[np.object_]
    """Text values, None elsewhere, shape (n,)."""
    flags: NDArray[np.object_]
    """Boolean values, None elsewhere, shape (n,)."""
    known: NDArray[np.bool_]
    """Whether the scene has the property, shape (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneColumns:
    """Filterable attributes of scenes. A tile whose scene is missing here has been deleted."""

    ids: NDArray[np.int64]
    """Scene ids, ascending, shape (n,)."""
    times_us: NDArray[np.int64]
    """Acquisition times, µs since 1970 UTC, `NO_TIME` where unknown, shape (n,)."""
    collections: NDArray[np.str_]
    """Collection of each scene, shape (n,)."""
    sensors: NDArray[np.str_]
    """Sensor profile of each scene, shape (n,)."""
    boxes: NDArray[np.float64]
    """(west, south, east, north) of each scene, degrees, shape (n, 2, 4); the second is NaN unless there are two."""
    properties: tuple[Mapping[str, Any], ...]
    """STAC properties of each scene."""
    starts_us: NDArray[np.int64] | None = None
    """Start of each scene's time interval, in the unit of `times_us`; None if all scenes have a single time."""
    ends_us: NDArray[np.int64] | None = None
    """End of each scene's time interval."""
    made: dict[str, PropertyColumn] = field(default_factory=dict, compare=False, repr=False)
    """Cache of property columns."""
    decided: dict[Hashable, NDArray[np.bool_] | None] = field(default_factory=dict, compare=False, repr=False)
    """Cache of recent filter results by scene, shared by all segments of a search."""

    def column(self, name: str) -> PropertyColumn | None:
        """Return a property column, or None if no scene has the property."""
        column = self.made.get(name)
        if column is None and any(name in row for row in self.properties):
            column = self.made[name] = _column([row.get(name) for row in self.properties])
        return column

    def need(self, name: str, asked_by: str) -> PropertyColumn:
        """Return a property column.

        Args:
            name: The property.
            asked_by: Part of the query that names the property; error messages start with it.

        Raises:
            QueryError: No scene has the property.
        """
        column = self.column(name)
        if column is None:
            names = self.names()
            shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            raise QueryError(
                f"{asked_by}: property {name}: no scene of this archive has it; "
                + (f"available: {shown}" if names else "no scene has properties")
            )
        return column

    def collection_names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return sorted(set(self.collections.tolist()))

    def sensor_names(self) -> list[str]:
        """Return the names of all sensor profiles, sorted."""
        return sorted(set(self.sensors.tolist()))

    def names(self) -> list[str]:
        """Return the names of all properties that occur in any scene."""
        return sorted({name for row in self.properties for name in row})

    def types(self) -> dict[str, str]:
        """Return the JSON type of each property; the most frequent one if its values have several."""
        made = {}
        for name in self.names():
            column = self.column(name)
            assert column is not None
            counts = {
                "number": int((~np.isnan(column.numbers)).sum()),
                "string": int((column.texts != None).sum()),  # noqa: E711  (element by element)
                "boolean": int((column.flags != None).sum()),  # noqa: E711
            }
            best = max(counts, key=lambda kind: counts[kind])
            if counts[best]:
                made[name] = best
        return made

    def as_tiles(self) -> TileColumns:
        """Return each scene as one tile that covers it, so that tile filters apply to scenes; ids are scene ids."""
        count = len(self.ids)
        return TileColumns(
            ids=self.ids,
            scene_ids=self.ids,
            boxes=self.boxes,
            values={one.name: np.full(count, np.nan if one.of_scene is None else one.of_scene) for one in FIELDS.tile},
        )


def rounded_outwards(boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (west, south, east, north) in float32, rounded outwards, shape (4, n).

    Rows with two boxes or none become NaN: they must be tested with the exact boxes.

    Args:
        boxes: Shape (n, 2, 4).
    """
    sides = np.where(np.isfinite(boxes[:, 1, :1]), np.nan, boxes[:, 0]).T
    made = sides.astype(np.float32)
    made[:2] = np.where(made[:2] > sides[:2], np.nextafter(made[:2], np.float32(-np.inf)), made[:2])
    made[2:] = np.where(made[2:] < sides[2:], np.nextafter(made[2:], np.float32(np.inf)), made[2:])
    return made


def time_us(when: datetime | None) -> int:
    """Return a time as µs since 1970 UTC, `NO_TIME` for None."""
    if when is None:
        return int(NO_TIME)
    delta = when - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _column(values: list[Any]) -> PropertyColumn:
    numbers, texts, flags = np.full(len(values), np.nan), _nones(len(values)), _nones(len(values))
    for row, value in enumerate(values):
        if isinstance(value, bool):
            flags[row] = value
        elif isinstance(value, (int, float)):
            numbers[row] = value
        elif isinstance(value, str):
            texts[row] = value
    known = np.array([value is not None for value in values], bool)
    return PropertyColumn(numbers=numbers, texts=texts, flags=flags, known=known)


def _nones(count: int) -> NDArray[np.object_]:
    return np.full(count, None, object)
