"""Evaluates a filter as an exact mask over rows, with three-valued logic for unknown values."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import NO_TIME, PropertyColumn, SceneColumns, TileColumns, rounded_outwards, time_us
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter, Property, Scalar
from bandsight.attributes.zones import FINE, RUN, Zones, common, rows_of, spread
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox

Footprints = Callable[[NDArray[np.int64]], NDArray[np.object_]]
"""Returns the footprints (shapely geometries) of tiles, in the order of their ids."""

Mask = NDArray[np.bool_]
_ANY = Filter()
# Number of filters whose scene masks are cached.
_KEPT = 32
# Up to this number of runs are tested tile by tile, without testing their parts first.
_FEW_RUNS = 64
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "in": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class AttributeView:
    """The tiles of one segment joined with the scenes of one snapshot."""

    tiles: TileColumns
    scenes: SceneColumns
    scene_at: NDArray[np.int32] = field(init=False)
    """Row of each tile's scene in `scenes`, shape (n,); arbitrary for deleted tiles."""
    alive: Mask = field(init=False)
    """Whether each tile's scene exists, shape (n,)."""
    living: int = field(init=False)
    """Number of tiles whose scene exists."""
    bounds: NDArray[np.float32] = field(init=False)
    """The tiles' boxes, rounded outwards (`columns.rounded_outwards`), shape (4, n)."""
    zone_scenes: NDArray[np.int32] = field(init=False)
    """Row of the scene shared by all tiles of a run, -1 if mixed, shape (runs,); see `zones`."""

    def __post_init__(self) -> None:
        ids = self.scenes.ids
        if not len(ids):
            at, alive = np.zeros(len(self.tiles), np.int32), np.zeros(len(self.tiles), bool)
        else:
            # Tiles of a scene stand together: each run of them is looked up once.
            own = np.asarray(self.tiles.scene_ids)
            starts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])) if len(own) else np.empty(0, np.intp)
            first = np.minimum(np.searchsorted(ids, own[starts]), len(ids) - 1).astype(np.int32)
            lengths = np.diff(starts, append=len(own))
            at, alive = np.repeat(first, lengths), np.repeat(ids[first] == own[starts], lengths)
        object.__setattr__(self, "scene_at", at)
        object.__setattr__(self, "zone_scenes", common(at))
        object.__setattr__(self, "alive", alive)
        object.__setattr__(self, "living", int(np.count_nonzero(alive)))
        kept = self.tiles.bounds
        object.__setattr__(self, "bounds", rounded_outwards(self.tiles.boxes) if kept is None else kept)


def matching(view: AttributeView, where: Filter, footprints: Footprints) -> Mask:
    """Return which tiles are alive and match the filter, shape (n,).

    Args:
        view: The tiles.
        where: The filter.
        footprints: Reads footprints; called for tiles whose boxes alone do not decide whether they intersect the
            filter's area.

    Raises:
        QueryError: The filter names a property, or a kind of value, that no scene has.
    """
    if not view.living or where == _ANY:
        return view.alive
    return view.alive & _decide(view, where, footprints, outcome=True)


def _decide(view: AttributeView, where: Filter, footprints: Footprints, *, outcome: bool) -> Mask:
    """Return for which tiles the filter is definitely true, or (`outcome` False) definitely false."""
    parts = _of_scenes(view, where, outcome=outcome) + _of_tiles(view, where, footprints, outcome=outcome)
    parts += [_decide(view, part, footprints, outcome=outcome) for part in where.all_of]
    parts += [_decide(view, part, footprints, outcome=not outcome) for part in where.none_of]
    if where.any_of:
        either = [_decide(view, part, footprints, outcome=outcome) for part in where.any_of]
        parts.append((np.logical_or if outcome else np.logical_and).reduce(either))
    if not parts:
        return np.full(len(view.tiles), outcome)
    mask = parts[0]
    for part in parts[1:]:
        mask = mask & part if outcome else mask | part
    return mask


def _of_tiles(view: AttributeView, where: Filter, footprints: Footprints, *, outcome: bool) -> list[Mask]:
    tiles, parts = view.tiles, []
    if where.boxes:
        parts.append(_meets_boxes(view, where.boxes))
    if where.area is not None:
        parts.append(_meets_area(view, where.area, footprints))
    if where.up_to is not None:
        parts.append(tiles.ids <= where.up_to)
    if where.exclude:
        parts.append(_others(tiles.ids, where.exclude))
    if not outcome:
        parts = [~part for part in parts]
    for condition in where.properties:
        if (field := FIELDS.tile_field(condition.name)) is not None:
            holds, known = _of_values(tiles.values[field.name], condition)
            parts.append((holds if outcome else ~holds) & known)
    return parts


def _of_values(values: NDArray[np.float64], condition: Property) -> tuple[Mask, Mask]:
    """Return where a condition on a field is true, and where its value is known."""
    known = ~np.isnan(values)
    if condition.op == "is null":
        return ~known, np.ones(len(values), bool)
    compare = _COMPARE[condition.op]
    holds = np.zeros(len(values), bool)
    for value in numbers_of(condition):
        holds |= compare(values, value)
    return holds, known


def numbers_of(condition: Property) -> list[float]:
    """Return the values that a condition on a tile field compares with.

    Raises:
        QueryError: A value is text or a boolean.
    """
    for value in condition.values:
        if isinstance(value, (str, bool)):
            raise QueryError(f"filter: {condition.name}: found {value!r}; need a number")
    return [float(value) for value in condition.values]


def _others(ids: NDArray[np.int64], left_out: Sequence[int]) -> Mask:
    """Return which ids (ascending) are not in `left_out`, by binary search if the latter are few."""
    mask = np.ones(len(ids), bool)
    some = np.asarray(left_out, np.int64)
    rows = np.searchsorted(ids, some)
    here = rows < len(ids)
    here[here] = ids[rows[here]] == some[here]
    mask[rows[here]] = False
    return mask


def _meets_boxes(view: AttributeView, where: tuple[LonLatBox, ...]) -> Mask:
    """Test with rounded boxes, and with exact ones where those touch or a tile has two boxes."""
    count = len(view.tiles)
    if not count:
        return np.zeros(0, bool)
    zones = view.tiles.zones(view.bounds)
    mask, doubtful = np.zeros(count, bool), []
    for box in where:
        sides = _rounded_inwards(box)
        # NaN compares false, so runs with unknown bounds are undecided.
        low, high = zones.least, zones.greatest
        missed = (low[0] > sides[0]) | (low[1] > sides[1]) | (high[2] < sides[2]) | (high[3] < sides[3])
        met = (high[0] < sides[0]) & (high[1] < sides[1]) & (low[2] > sides[2]) & (low[3] > sides[3])
        if met.any():
            mask |= spread(met, count)
        runs = np.flatnonzero(~(missed | met))
        if not len(runs):
            continue
        rows = rows_of(runs, count)
        west, south, east, north = view.bounds[:, rows]
        outer = (west <= sides[0]) & (south <= sides[1]) & (east >= sides[2]) & (north >= sides[3])
        inner = (west < sides[0]) & (south < sides[1]) & (east > sides[2]) & (north > sides[3])
        mask[rows[inner]] = True
        doubtful.append(rows[(outer ^ inner) | np.isnan(west)])
    if doubtful:
        rows = np.concatenate(doubtful)
        rows = rows[~mask[rows]]
        mask[rows] = _meet_boxes(view.tiles.boxes[rows], where)
    return mask


@lru_cache(maxsize=64)
def _rounded_inwards(box: LonLatBox) -> NDArray[np.float32]:
    """Return (east, north, west, south) rounded to float32. A tile side equal to one of these needs the exact test."""
    sides: NDArray[np.float32] = rounded_outwards(
        np.array([[[box.east, box.north, box.west, box.south], [np.nan] * 4]])
    )[:, 0]
    return sides


def _meet_boxes(boxes: NDArray[np.float64], where: tuple[LonLatBox, ...]) -> Mask:
    mask = np.zeros(len(boxes), bool)
    west, south, east, north = (boxes[:, :, side] for side in range(4))
    for box in where:
        # NaN compares false, so a missing second box meets nothing.
        meets = (west <= box.east) & (east >= box.west) & (south <= box.north) & (north >= box.south)
        mask |= meets.any(axis=1)
    return mask


def _meets_area(view: AttributeView, area: Area, footprints: Footprints) -> Mask:
    """Test runs as a whole if possible, then boxes of tiles, and footprints last."""
    count = len(view.tiles)
    if not count:
        return np.zeros(0, bool)
    zones = view.tiles.zones(view.bounds)
    inside, mixed = _split(zones, np.arange(zones.least.shape[1]), area)
    within = np.zeros(zones.least.shape[1], bool)
    within[inside] = True
    mask = spread(within, count)
    if not len(mixed):
        return mask
    if len(mixed) > _FEW_RUNS:
        # A run that starts in one scene and ends in another has wide bounds, so test its parts next.
        fine = view.tiles.zones(view.bounds, FINE)
        inside, mixed = _split(fine, rows_of(mixed, fine.least.shape[1], RUN // FINE), area)
        mask[rows_of(inside, count, FINE)] = True
        rows = rows_of(mixed, count, FINE)
    else:
        rows = rows_of(mixed, count)
    bounds = view.bounds[:, rows]
    near = rows[view.alive[rows] & _may_meet(bounds, bounds, area)]
    boxes = view.tiles.boxes[near]
    covered = np.zeros(len(near), bool)
    for part in range(2):
        own = np.flatnonzero(~covered & np.isfinite(boxes[:, part, 0]))
        covered[own] = area.covers(boxes[own, part])
    mask[near[covered]] = True
    border = np.flatnonzero(~covered)
    border = near[border[area.intersects_boxes(boxes[border])]]
    if len(border):
        mask[border] = area.intersects(footprints(view.tiles.ids[border]))
    return mask


def _split(zones: Zones, runs: NDArray[np.intp], area: Area) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the runs that are within an area, and the others that may intersect it."""
    low, high = zones.least[:, runs], zones.greatest[:, runs]
    maybe = _may_meet(low, high, area)
    sides = np.concatenate([low[:2, maybe], high[2:, maybe]]).T.astype(np.float64)
    # Bounds of a run whose tiles' are not all known are not finite.
    known = np.isfinite(sides).all(axis=1)
    inside = np.zeros(len(sides), bool)
    inside[known] = area.covers(sides[known])
    return runs[maybe][inside], runs[maybe][~inside]


def _may_meet(low: NDArray[np.float32], high: NDArray[np.float32], area: Area) -> Mask:
    """Return which bounds may meet an area, by its boxes; `low` has their west and south, `high` east and north."""
    found: Mask = np.isnan(low[0]) | np.isnan(high[2])
    for box in area.boxes:
        east, north, west, south = _rounded_inwards(box)
        found |= (low[0] <= east) & (low[1] <= north) & (high[2] >= west) & (high[3] >= south)
    return found


def _of_scenes(view: AttributeView, where: Filter, *, outcome: bool) -> list[Mask]:
    """Evaluate conditions once per scene, then map to tiles."""
    kept = view.scenes.decided
    # Use repr, because 1 == True would confuse conditions on numbers and booleans.
    own = (where.start, where.end, where.collections, where.sensors, where.scenes, repr(where.properties), outcome)
    if own not in kept:
        if len(kept) >= _KEPT:
            kept.clear()
        kept[own] = decide_scenes(view.scenes, where, outcome=outcome)
    decided = kept.get(own)
    if decided is None or not len(view.tiles):
        return [] if decided is None else [np.zeros(0, bool)]
    mask = spread(decided[view.zone_scenes], len(view.tiles))
    rows = rows_of(np.flatnonzero(view.zone_scenes < 0), len(view.tiles))
    mask[rows] = decided[view.scene_at[rows]]
    return [mask]


def decide_scenes(scenes: SceneColumns, where: Filter, *, outcome: bool) -> Mask | None:
    """Return for which scenes a filter's own scene conditions are definitely true or false, by `outcome`.

    Returns None if it has no such conditions. Ignores tile conditions and nested filters.

    Raises:
        QueryError: The filter names a property, or a kind of value, that no scene has.
    """
    every = np.ones(len(scenes.ids), bool)
    parts: list[tuple[Mask, Mask]] = []
    # A scene with a time interval matches if the intervals intersect (OGC API - Features, parameter datetime).
    starts = scenes.times_us if scenes.starts_us is None else scenes.starts_us
    ends = scenes.times_us if scenes.ends_us is None else scenes.ends_us
    timed = starts != NO_TIME
    if where.start:
        parts.append((ends >= time_us(where.start), timed))
    if where.end:
        parts.append((starts <= time_us(where.end), timed))
    if where.collections:
        parts.append((np.isin(scenes.collections, where.collections), every))
    if where.sensors:
        parts.append((np.isin(scenes.sensors, where.sensors), every))
    if where.scenes:
        parts.append((np.isin(scenes.ids, where.scenes), every))
    parts += [_of_property(scenes, one) for one in where.properties if FIELDS.tile_field(one.name) is None]
    if not parts:
        return None
    decided: Mask
    if outcome:
        decided = np.logical_and.reduce([holds & known for holds, known in parts])
    else:
        decided = np.logical_or.reduce([~holds & known for holds, known in parts])
    return decided


def _of_property(scenes: SceneColumns, condition: Property) -> tuple[Mask, Mask]:
    """Return for which scenes a condition is true, and for which its value is known."""
    column = scenes.need(condition.name, "filter")
    if condition.op == "is null":
        return ~column.known, np.ones(len(scenes.ids), bool)
    holds = np.logical_or.reduce([_compare(column, condition, value) for value in condition.values])
    return holds, column.known


def _compare(column: PropertyColumn, condition: Property, value: Scalar) -> Mask:
    values: NDArray[Any]
    if isinstance(value, bool):
        kind, present, values = "true or false", column.flags != None, column.flags  # noqa: E711  (element by element)
    elif isinstance(value, str):
        kind, present, values = "text", column.texts != None, column.texts  # noqa: E711
    else:
        kind, present, values = "a number", ~np.isnan(column.numbers), column.numbers
    if not present.any():
        raise QueryError(
            f"filter: property {condition.name} {condition.op} {value!r}: no scene of this archive has {kind} there; "
            "compare with a value of the property's type"
        )
    mask = np.zeros(len(present), bool)
    mask[present] = _COMPARE[condition.op](values[present], value)
    return mask
