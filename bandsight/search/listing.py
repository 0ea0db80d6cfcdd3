"""Lists tiles and scenes in an order of their own, page by page, over what there was when the first page was made."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import NO_TIME, SceneColumns
from bandsight.attributes.filters import Filter, Scalar
from bandsight.attributes.matching import Footprints, View, matching
from bandsight.catalog.records import Scene, Tile
from bandsight.vectors.port import Selection

Row = tuple[Tile | None, Scene]
"""A tile with its scene, or a scene by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of an order."""

    name: str
    """`id`, `datetime`, `collection`, or a property of the scene; what lacks it comes last either way."""
    descending: bool = False
    """Greatest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The last row of a page, and the newest tile and scene there were when the first page was made."""

    values: tuple[Scalar | None, ...]
    """Of the row, for each key of the order."""
    is_scene: bool
    """Whether it is a scene."""
    id: int
    """Of the tile or scene."""
    tiles_up_to: int
    """Newest tile of the first page's generation; later ones are left out."""
    scenes_up_to: int
    """Newest scene of the first page's generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A part of a list."""

    rows: list[Row]
    """In their order."""
    matched: int
    """How many tiles and scenes pass, on all pages."""
    next: Mark | None
    """Goes on behind these rows; None when there is nothing more."""
    generation: int
    """The commit that was listed."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows a page has, before they are read."""

    is_scene: NDArray[np.bool_]
    ids: NDArray[np.int64]
    matched: int
    next: Mark | None


def scenes_passing(scenes: SceneColumns, wanted: Filter, footprints: Footprints) -> NDArray[np.intp]:
    """Return the rows of scenes that pass a filter; `exclude` and `up_to` mean ids of scenes here.

    Raises:
        QueryError: The filter asks what cannot be known of these scenes.
    """
    return np.flatnonzero(matching(View(scenes.as_tiles(), scenes), wanted, footprints))


def window(
    selection: Selection,
    scene_rows: NDArray[np.intp],
    k: int,
    order: Sequence[Key],
    after: Mark | None,
    newest: tuple[int, int],
) -> Window:
    """Return the page behind a mark of tiles and scenes in an order; equal ones go tiles first, then by id.

    Args:
        selection: The tiles.
        scene_rows: Rows of the scenes.
        k: Most rows of the page, at least 1.
        order: Keys, the first one first.
        after: Where the page before ended.
        newest: Newest tile and scene, for the mark of a first page.

    Raises:
        QueryError: A key that no scene has.
    """
    scenes = selection.scenes
    ids = np.concatenate([selection.ids, scenes.ids[scene_rows]])
    is_scene = np.arange(len(ids)) >= len(selection.ids)
    scene_at = np.concatenate([selection.scene_at, scene_rows])
    keys: list[tuple[NDArray[Any], Any]] = []
    values_of = {key.name: _values(scenes, key.name) for key in order if key.name != "id"}
    for at, key in enumerate(order):
        if key.name == "id":
            sign = -1 if key.descending else 1
            keys.append((sign * ids, sign * after.id if after else 0))
        else:
            ranks, own = _ranks(values_of[key.name], after.values[at] if after else None, key.descending)
            keys.append((ranks[scene_at], own))
    keys += [(is_scene, after.is_scene if after else False), (ids, after.id if after else 0)]
    rows = np.arange(len(ids))
    if after is not None:
        rows = np.flatnonzero(_behind(keys))
    if order:
        if len(rows) > k:
            # Sorting a million rows for the first ten of them would take most of the time.
            first = keys[0][0][rows]
            rows = rows[first <= np.partition(first, k)[k]]
        rows = rows[np.lexsort([values[rows] for values, _ in reversed(keys)])]
    shown = rows[:k]
    end = None
    if len(rows) > k:
        last = int(shown[-1])
        values = tuple(None if key.name == "id" else values_of[key.name][scene_at[last]] for key in order)
        up_to = newest if after is None else (after.tiles_up_to, after.scenes_up_to)
        end = Mark(
            values=values,
            is_scene=bool(is_scene[last]),
            id=int(ids[last]),
            tiles_up_to=up_to[0],
            scenes_up_to=up_to[1],
        )
    return Window(is_scene[shown], ids[shown], len(ids), end)


def bounded(wanted: Filter | None, up_to: int) -> Filter:
    """Return a filter that lets nothing pass that came later, or nothing at all for None."""
    if wanted is None:
        return Filter(up_to=-1)
    return replace(wanted, up_to=up_to if wanted.up_to is None else min(up_to, wanted.up_to))


def read(
    page: Window,
    tiles_of: Callable[[list[int]], dict[int, Tile]],
    scenes_of: Callable[[list[int]], dict[int, Scene]],
) -> list[Row] | None:
    """Return the rows of a page, None when one of them is gone."""
    tiles = tiles_of([int(row) for row in page.ids[~page.is_scene]])
    own = {int(row) for row in page.ids[page.is_scene]}
    scenes = scenes_of(sorted(own | {tile.scene_id for tile in tiles.values()}))
    rows: list[Row] = []
    for row_id, is_scene in zip(page.ids.tolist(), page.is_scene.tolist(), strict=True):
        tile = None if is_scene else tiles.get(row_id)
        scene = scenes.get(row_id if tile is None else tile.scene_id)
        if scene is None or (tile is None and not is_scene):
            return None
        rows.append((tile, scene))
    return rows


def _values(scenes: SceneColumns, name: str) -> list[Scalar | None]:
    """Return what each scene has of a key."""
    if name == "datetime":
        return [None if time == NO_TIME else time for time in scenes.times_us.tolist()]
    if name == "collection":
        return list(scenes.collections.tolist())
    scenes.need(name, "sortby")
    values = (row.get(name) for row in scenes.properties)
    return [value if isinstance(value, str) or _is_number(value) else None for value in values]


def _ranks(values: list[Scalar | None], mark: Scalar | None, descending: bool) -> tuple[NDArray[np.int64], int]:
    """Return numbers that order scenes as their values do, and the mark's; None is last, numbers come before text."""
    there = {_sortable(value) for value in (*values, mark) if value is not None}
    rank = {value: number for number, value in enumerate(sorted(there, reverse=descending))}
    ranks = [len(rank) if value is None else rank[_sortable(value)] for value in values]
    return np.array(ranks, np.int64), len(rank) if mark is None else rank[_sortable(mark)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _sortable(value: Scalar) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, value, "")


def _behind(keys: list[tuple[NDArray[Any], Any]]) -> NDArray[np.bool_]:
    """Return which rows come behind the mark, key by key from the last."""
    behind = np.zeros(len(keys[0][0]), bool)
    for values, mark in reversed(keys):
        behind = (values > mark) | ((values == mark) & behind)
    return behind
