"""Filterable attributes as columns: a filter becomes a mask over rows in one pass of NumPy."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from bandsight.filters import Filter

NO_TIME = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileColumns:
    """What filters ask of tiles, row by row."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    scene_ids: NDArray[np.int64]
    """Scene of each tile, shape (n,)."""
    boxes: NDArray[np.float64]
    """(west, south, east, north) of each tile, degrees, shape (n, 2, 4); the second box is NaN unless there are two."""
    valid_fraction: NDArray[np.float64]
    """Share of valid pixels, shape (n,)."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp] | slice) -> "TileColumns":
        """Return some of the rows."""
        return TileColumns(
            ids=self.ids[rows],
            scene_ids=self.scene_ids[rows],
            boxes=self.boxes[rows],
            valid_fraction=self.valid_fraction[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneColumns:
    """What filters ask of scenes; a tile whose scene is not here has been deleted."""

    ids: NDArray[np.int64]
    """Scene ids, ascending, shape (n,)."""
    times_us: NDArray[np.int64]
    """Acquisition in µs since 1970 UTC, `NO_TIME` where unknown, shape (n,)."""
    collections: NDArray[np.str_]
    """Collection of each scene, shape (n,)."""
    sensors: NDArray[np.str_]
    """Sensor profile of each scene, shape (n,)."""


def time_us(when: datetime | None) -> int:
    """Return µs since 1970 UTC, `NO_TIME` for None."""
    if when is None:
        return int(NO_TIME)
    delta = when - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def matching(tiles: TileColumns, scenes: SceneColumns, wanted: Filter) -> NDArray[np.bool_]:
    """Return which tiles are alive and pass the filter, shape (n,)."""
    if not len(scenes.ids):
        return np.zeros(len(tiles), bool)
    position = np.minimum(np.searchsorted(scenes.ids, tiles.scene_ids), len(scenes.ids) - 1)
    mask: NDArray[np.bool_] = (scenes.ids[position] == tiles.scene_ids) & _scene_mask(scenes, wanted)[position]
    if wanted.boxes:
        mask &= _box_mask(tiles.boxes, wanted)
    if wanted.min_valid_fraction is not None:
        mask &= tiles.valid_fraction >= wanted.min_valid_fraction
    if wanted.exclude:
        mask &= ~np.isin(tiles.ids, wanted.exclude)
    return mask


def _scene_mask(scenes: SceneColumns, wanted: Filter) -> NDArray[np.bool_]:
    mask = np.ones(len(scenes.ids), bool)
    if wanted.start or wanted.end:
        mask &= scenes.times_us != NO_TIME
    if wanted.start:
        mask &= scenes.times_us >= time_us(wanted.start)
    if wanted.end:
        mask &= scenes.times_us <= time_us(wanted.end)
    if wanted.collections:
        mask &= np.isin(scenes.collections, wanted.collections)
    if wanted.sensors:
        mask &= np.isin(scenes.sensors, wanted.sensors)
    if wanted.scenes:
        mask &= np.isin(scenes.ids, wanted.scenes)
    return mask


def _box_mask(boxes: NDArray[np.float64], wanted: Filter) -> NDArray[np.bool_]:
    mask = np.zeros(len(boxes), bool)
    west, south, east, north = (boxes[:, :, side] for side in range(4))
    for box in wanted.boxes:
        # NaN compares false, so a missing second box meets nothing.
        meets = (west <= box.east) & (east >= box.west) & (south <= box.north) & (north >= box.south)
        mask |= meets.any(axis=1)
    return mask
