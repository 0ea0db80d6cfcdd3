"""Observations of places over time, by joining tiles on overlapping ground rather than on cell ids."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.vectors.port import Similarities

# Tiles show the same place if they overlap by this fraction of the smaller one, and neither is more than twice as
# large.
_SHARED, _RATIO = 0.5, 2.0
MAX_TILES = 500_000
_LEAST_PLACES = 10
_DAY_US = 86_400_000_000
_YEAR_DAYS, _SEASON_DAYS = 365.25, 45.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """One row per place and scene that covers it, ordered by place, then by time."""

    generation: int
    """The commit that was compared."""
    places: NDArray[np.int64]
    """Tile that represents each place: the newest of the later period, shape (places,)."""
    boxes: NDArray[np.float64]
    """(west, south, east, north) of each place, degrees, shape (places, 2, 4); the second is NaN unless the place
    crosses ±180°."""
    place: NDArray[np.intp]
    """Place of each observation, shape (n,)."""
    tile: NDArray[np.int64]
    """The tile with the largest overlap with the place, shape (n,)."""
    scene: NDArray[np.int64]
    """The scene, shape (n,)."""
    time_us: NDArray[np.int64]
    """Time of the scene, µs since 1970, shape (n,)."""
    later: NDArray[np.bool_]
    """Whether the observation is from the later period, shape (n,)."""
    score: NDArray[np.float64]
    """Mean score of the scene's tiles, weighted by their overlap with the place, shape (n,)."""


def observe(archive: Archive, directions: NDArray[np.float32], before: Filter, after: Filter) -> Observations:
    """Return the observations of all places in two periods.

    Args:
        archive: The archive.
        directions: Vector whose dot product with a tile's vector is its score, shape (1, dim).
        before: Filter for tiles of the earlier period.
        after: Filter for tiles of the later period.

    Raises:
        QueryError: A period has no tiles, or there are too many.
    """
    parts = []
    generation = archive.generation
    for name, where in (("before", before), ("after", after)):
        found = archive.similarities(directions, where)
        count = len(found.selection.ids)
        if not count:
            raise QueryError(
                f"{name}: no tiles in this period match the filters; choose another period, or allow more cloud"
            )
        if count > MAX_TILES:
            raise QueryError(f"{name}: found {count:,} tiles; at most {MAX_TILES:,} can be compared, so pass a bbox")
        parts.append(found)
    ids, boxes, times, scores = (np.concatenate([part[at] for part in map(_columns, parts)]) for at in range(4))
    scenes = np.concatenate([one.selection.scenes.ids[one.selection.scene_at] for one in parts])
    later = np.repeat([False, True], [len(one.selection.ids) for one in parts])
    shapes = shapely.box(*boxes[:, 0].T)
    reference = _references(archive, ids, times, later)
    reference = reference[_distinct(shapes[reference], times[reference])]
    place, tile, share = _same_ground(shapes[reference], shapes)
    keys = np.stack([place, scenes[tile]], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    group = group.ravel()
    weights = np.bincount(group, share)
    means = np.bincount(group, share * scores[tile]) / weights
    # The tile of each group with the largest overlap.
    best = np.lexsort((-share, group))[np.searchsorted(np.sort(group), np.arange(len(first)))]
    order = np.lexsort((times[tile[best]], place[best]))
    chosen = best[order]
    return Observations(
        generation=generation,
        places=ids[reference],
        boxes=boxes[reference],
        place=place[chosen],
        tile=ids[tile[chosen]],
        scene=scenes[tile[chosen]],
        time_us=times[tile[chosen]],
        later=later[tile[chosen]],
        score=means[order],
    )


def levelled(observed: Observations) -> NDArray[np.float64]:
    """Return scores corrected for shifts of whole scenes (haze, light, season, sensor), shape (n,).

    The shift of a scene is the median over its places of the score minus the place's median score. Scenes with few
    places are not corrected, because a change cannot be distinguished from a shift there.
    """
    _, place = np.unique(observed.place, return_inverse=True)
    away = observed.score - _medians(observed.score, place)[place]
    _, scene, counts = np.unique(observed.scene, return_inverse=True, return_counts=True)
    shift = np.where(counts >= _LEAST_PLACES, _medians(away, scene), 0.0)
    return np.asarray(observed.score - shift[scene], np.float64)


def _medians(values: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the median of each group; groups are numbered from 0."""
    order = np.lexsort((values, group))
    ends = np.cumsum(np.bincount(group))
    starts = ends - np.bincount(group)
    ranked = values[order]
    return np.asarray((ranked[(starts + ends - 1) // 2] + ranked[(starts + ends) // 2]) / 2, np.float64)


def in_season(observed: Observations) -> NDArray[np.bool_]:
    """Return which observations to use: earlier ones only from the season of later ones, if there are any.

    The season is within 45 days of the day of the year of any later observation.
    """
    day = observed.time_us / _DAY_US % _YEAR_DAYS
    keep = np.ones(len(day), bool)
    starts = np.searchsorted(observed.place, np.arange(len(observed.places)))
    ends = np.searchsorted(observed.place, np.arange(len(observed.places)), "right")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        later = observed.later[start:end]
        if later.all() or not later.any():
            continue
        apart = np.abs(day[start:end][:, None] - day[start:end][later])
        near = np.minimum(apart, _YEAR_DAYS - apart).min(axis=1) <= _SEASON_DAYS
        if (near & ~later).any():
            keep[start:end] = later | near
    return keep


def _columns(
    found: Similarities,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return ids, boxes, times and scores of tiles."""
    times = found.selection.scenes.times_us[found.selection.scene_at]
    return found.selection.ids, found.boxes, times, found.scores[0].astype(np.float64)


def _same_ground(
    some: NDArray[np.object_], others: NDArray[np.object_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return pairs of boxes that show the same place, and their overlap as a fraction of the smaller one."""
    first, second = shapely.STRtree(others).query(some, predicate="intersects")
    areas = np.stack([shapely.area(some[first]), shapely.area(others[second])])
    shared = shapely.area(shapely.intersection(some[first], others[second])) / np.maximum(areas.min(axis=0), 1e-18)
    alike = (shared >= _SHARED) & (areas.max(axis=0) <= _RATIO * areas.min(axis=0))
    return first[alike], second[alike], shared[alike]


def _distinct(shapes: NDArray[np.object_], times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which boxes represent distinct places: the newest of those that show the same place."""
    first, second, _ = _same_ground(shapes, shapes)
    starts = np.searchsorted(first, np.arange(len(shapes) + 1))
    kept, dropped = np.zeros(len(shapes), bool), np.zeros(len(shapes), bool)
    for at in np.argsort(-times, kind="stable").tolist():
        if not dropped[at]:
            kept[at] = True
            dropped[second[starts[at] : starts[at + 1]]] = True
    return kept


def _references(
    archive: Archive, ids: NDArray[np.int64], times: NDArray[np.int64], later: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Return the rows of the newest tile of each cell of the later period."""
    rows = np.flatnonzero(later)
    tiles = archive.tiles_by_id(ids[rows].tolist())
    newest: dict[str, int] = {}
    for row in rows[np.argsort(times[rows], kind="stable")].tolist():
        tile = tiles.get(int(ids[row]))
        if tile is not None:
            # Scenes with their own grid reuse cell ids, so these do not identify a place.
            own = tile.cell.startswith("scene/")
            newest[f"{tile.scene_id}/{tile.cell}" if own else tile.cell] = row
    return np.array(sorted(newest.values()), np.intp)
