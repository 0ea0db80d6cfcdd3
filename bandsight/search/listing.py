"""Lists tiles and scenes by sort keys, page by page, consistent with the first page."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, CommitIntervenedError
from bandsight.archive import View as ArchiveView
from bandsight.attributes.columns import NO_TIME, SceneColumns
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter, Scalar
from bandsight.attributes.matching import AttributeView, Footprints, matching
from bandsight.catalog.records import Scene, Tile
from bandsight.errors import QueryError
from bandsight.search.limits import MAX_KEYS
from bandsight.vectors.port import Selection

Row = tuple[Tile | None, Scene]
"""A tile with its scene, or (None, scene)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A sort key."""

    name: str
    """`id`, `datetime`, `collection`, a registered field of tiles, or a scene property; rows without a value always
    come last."""
    descending: bool = False
    """Whether the largest value comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The last row of a page, and the newest tile and scene at the time of the first page."""

    values: tuple[Scalar | None, ...]
    """The row's value for each sort key."""
    is_scene: bool
    """Whether the row is a scene."""
    id: int
    """Id of the tile or scene."""
    tiles_up_to: int
    """Newest tile at the time of the first page; later tiles are excluded."""
    scenes_up_to: int
    """Newest scene at the time of the first page; later scenes are excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of a list."""

    rows: list[Row]
    """Tiles and scenes, in order."""
    matched: int
    """Total number of tiles and scenes on all pages."""
    next: Position | None
    """Position to continue from; None on the last page."""
    generation: int
    """Generation read."""


@dataclass(frozen=True, slots=True)
class _Window:
    """Ids of a page's rows."""

    is_scene: NDArray[np.bool_]
    ids: NDArray[np.int64]
    matched: int
    next: Position | None


def keys_of(pairs: Iterable[tuple[str, bool]]) -> tuple[Key, ...]:
    """Return sort keys from (name, descending) pairs, dropping the prefix `properties.`.

    Raises:
        QueryError: A name is empty or repeated, or there are too many.
    """
    keys = tuple(Key(name=name.strip().removeprefix("properties."), descending=down) for name, down in pairs)
    names = [key.name for key in keys]
    if len(keys) > MAX_KEYS:
        raise QueryError(f"sortby: found {len(keys)} keys; at most {MAX_KEYS} are allowed")
    if not all(names):
        raise QueryError("sortby: found an empty name; need names of properties, e.g. -datetime,id")
    if len(set(names)) < len(names):
        raise QueryError(f"sortby: found a name twice in {', '.join(names)}; pass each once")
    return keys


def parse_sortby(text: str) -> tuple[Key, ...]:
    """Parse a URL parameter: names separated by commas, `-` before a name for descending order.

    Raises:
        QueryError: It is invalid.
    """
    # A plus sign in a URL decodes to a space.
    parts = [part.strip() for part in text.split(",")]
    return keys_of((part.lstrip("+-"), part.startswith("-")) for part in parts)


def browse(
    archive: Archive,
    k: int,
    tiles: Filter | None = None,
    scenes: Filter | None = None,
    order: Sequence[Key] = (),
    *,
    after: Position | None = None,
) -> Listing:
    """Return a page of unranked tiles and scenes, sorted by keys, then tiles before scenes, then by id.

    Args:
        archive: The archive.
        k: Maximum number of rows, at least 1.
        tiles: Filter for tiles, or None to list none.
        scenes: Filter for scenes (its `exclude` refers to scene ids), or None to list none.
        order: Sort keys, most important first.
        after: The previous page's `next`. Pages neither repeat nor miss rows, even if rows are added between requests;
            replaced or removed rows disappear.

    Raises:
        QueryError: A filter or a key is invalid, or k is less than 1.
    """
    if k < 1:
        raise QueryError(f"k: found {k}; need at least 1")

    def answer(view: ArchiveView) -> Listing:
        newest = view.newest
        up_to = newest if after is None else (after.tiles_up_to, after.scenes_up_to)
        selection = view.select(_bounded(tiles, up_to[0]), tile_fields(order))
        passing = _scenes_passing(selection.scenes, _bounded(scenes, up_to[1]), view.scene_footprints)
        shown = _window(selection, passing, k, order, after, newest)
        rows = _read(shown, view.tiles, lambda ids: view.scenes(set(ids)))
        if rows is None:
            raise CommitIntervenedError
        return Listing(rows=rows, matched=shown.matched, next=shown.next, generation=view.generation)

    return archive.read(answer)


def _scenes_passing(scenes: SceneColumns, where: Filter, footprints: Footprints) -> NDArray[np.intp]:
    """Return the indices of scenes that pass a filter, whose `exclude` and `up_to` refer to scene ids.

    Raises:
        QueryError: The filter cannot be applied to these scenes.
    """
    return np.flatnonzero(matching(AttributeView(scenes.as_tiles(), scenes), where, footprints))


def _window(
    selection: Selection,
    scene_rows: NDArray[np.intp],
    k: int,
    order: Sequence[Key],
    after: Position | None,
    newest: tuple[int, int],
) -> _Window:
    """Return the page of tiles and scenes after a position; ties are broken by tiles first, then by id.

    Args:
        selection: The tiles.
        scene_rows: Rows of the scenes.
        k: Maximum number of rows, at least 1.
        order: Sort keys, most important first.
        after: Last position of the previous page.
        newest: Newest tile and scene, for the position of a first page.

    Raises:
        QueryError: No scene has a key.
    """
    scenes = selection.scenes
    ids = np.concatenate([selection.ids, scenes.ids[scene_rows]])
    is_scene = np.arange(len(ids)) >= len(selection.ids)
    columns = [_column(selection, scene_rows, ids, key.name) for key in order]
    keys: list[tuple[NDArray[Any], Any]] = [
        column.keys(after, at, descending=key.descending)
        for at, (column, key) in enumerate(zip(columns, order, strict=True))
    ]
    keys += [(is_scene, after.is_scene if after else False), (ids, after.id if after else 0)]
    rows = np.arange(len(ids))
    if after is not None:
        rows = np.flatnonzero(_after(keys))
    if order:
        if len(rows) > k:
            # Partial sort: sorting a million rows to take ten would dominate the time.
            first = keys[0][0][rows]
            rows = rows[first <= np.partition(first, k)[k]]
        rows = rows[np.lexsort([values[rows] for values, _ in reversed(keys)])]
    shown = rows[:k]
    end = None
    if len(rows) > k:
        last = int(shown[-1])
        values = tuple(column.value(last) for column in columns)
        up_to = newest if after is None else (after.tiles_up_to, after.scenes_up_to)
        end = Position(
            values=values,
            is_scene=bool(is_scene[last]),
            id=int(ids[last]),
            tiles_up_to=up_to[0],
            scenes_up_to=up_to[1],
        )
    return _Window(is_scene[shown], ids[shown], len(ids), end)


def tile_fields(order: Sequence[Key]) -> list[str]:
    """Return the names of the registered fields of tiles among the sort keys."""
    return [own.name for key in order if (own := FIELDS.tile_field(key.name)) is not None]


def _bounded(where: Filter | None, up_to: int) -> Filter:
    """Return a filter that also excludes later rows, or everything for None."""
    if where is None:
        return Filter(up_to=-1)
    return replace(where, up_to=up_to if where.up_to is None else min(up_to, where.up_to))


def _read(
    page: _Window,
    tiles_of: Callable[[list[int]], dict[int, Tile]],
    scenes_of: Callable[[list[int]], dict[int, Scene]],
) -> list[Row] | None:
    """Return the rows of a page, or None if one of them is gone."""
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


class _Ids:
    """Sorts rows by id."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._ids = ids

    def keys(self, after: Position | None, at: int, *, descending: bool) -> tuple[NDArray[Any], Any]:  # noqa: ARG002
        """Return sort values of the rows, and that of the position."""
        sign = -1 if descending else 1
        return sign * self._ids, sign * after.id if after else 0

    def value(self, row: int) -> Scalar | None:  # noqa: ARG002  (a position has the id beside its values)
        """Return a row's value for a position."""
        return None


class _Numbers:
    """Sorts rows by a registered field of tiles, unknown values last."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = values

    def keys(self, after: Position | None, at: int, *, descending: bool) -> tuple[NDArray[Any], Any]:
        """Return sort values of the rows, and that of the position."""
        sign = -1.0 if descending else 1.0
        mark = after.values[at] if after else None
        own = sign * mark if isinstance(mark, (int, float)) else math.inf
        return np.where(np.isnan(self._values), math.inf, sign * self._values), own

    def value(self, row: int) -> Scalar | None:
        """Return a row's value for a position."""
        value = float(self._values[row])
        return None if math.isnan(value) else value


class _OfScenes:
    """Sorts rows by a property of their scenes."""

    def __init__(self, values: list[Scalar | None], scene_at: NDArray[np.intp]) -> None:
        self._values, self._scene_at = values, scene_at

    def keys(self, after: Position | None, at: int, *, descending: bool) -> tuple[NDArray[Any], Any]:
        """Return sort values of the rows, and that of the position."""
        ranks, own = _ranks(self._values, after.values[at] if after else None, descending)
        return ranks[self._scene_at], own

    def value(self, row: int) -> Scalar | None:
        """Return a row's value for a position."""
        value: Scalar | None = self._values[int(self._scene_at[row])]
        return value


def _column(
    selection: Selection, scene_rows: NDArray[np.intp], ids: NDArray[np.int64], name: str
) -> _Ids | _Numbers | _OfScenes:
    """Return the column of a sort key.

    Raises:
        QueryError: No scene has it.
    """
    if name == "id":
        return _Ids(ids)
    if (own := FIELDS.tile_field(name)) is not None:
        of_scene = math.nan if own.of_scene is None else own.of_scene
        return _Numbers(np.concatenate([selection.values[own.name], np.full(len(scene_rows), of_scene)]))
    return _OfScenes(_values(selection.scenes, name), np.concatenate([selection.scene_at, scene_rows]))


def _values(scenes: SceneColumns, name: str) -> list[Scalar | None]:
    """Return each scene's value of a sort key."""
    if name == "datetime":
        return [None if time == NO_TIME else time for time in scenes.times_us.tolist()]
    if name == "collection":
        return list(scenes.collections.tolist())
    scenes.need(name, "sortby")
    values = (row.get(name) for row in scenes.properties)
    return [value if isinstance(value, str) or _is_number(value) else None for value in values]


def _ranks(values: list[Scalar | None], position: Scalar | None, descending: bool) -> tuple[NDArray[np.int64], int]:
    """Return ranks of the values and of the position; numbers sort before text, None last."""
    there = {_sortable(value) for value in (*values, position) if value is not None}
    rank = {value: number for number, value in enumerate(sorted(there, reverse=descending))}
    ranks = [len(rank) if value is None else rank[_sortable(value)] for value in values]
    return np.array(ranks, np.int64), len(rank) if position is None else rank[_sortable(position)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _sortable(value: Scalar) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, value, "")


def _after(keys: list[tuple[NDArray[Any], Any]]) -> NDArray[np.bool_]:
    """Return which rows come after the position, compared key by key from the last."""
    after = np.zeros(len(keys[0][0]), bool)
    for values, position in reversed(keys):
        after = (values > position) | ((values == position) & after)
    return after
