"""Answers queries from one state of an archive: nearest tiles, pages of a ranking, pages of a listing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, CommitIntervenedError, View
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.listing import Key, Listing, Position, bounded, read, scenes_passing, tile_fields, window
from bandsight.search.ranking import Cursor, Hydrate, Page, Rank, page, ranked_from
from bandsight.search.result_selection import ResultSelection
from bandsight.search.scorers import Scorer


def nearest(
    archive: Archive, vectors: NDArray[np.float32], k: int, where: Filter | None = None, *, exact: bool = False
) -> list[list[Hit]]:
    """Return the min(k, matching) best tiles for each query vector, scored on the raw vectors.

    Args:
        archive: The archive.
        vectors: Unit vectors, shape (q, dim).
        k: Most hits for each, at least 1.
        where: Which tiles count; all when None.
        exact: Look at every tile that passes, whatever index there is.

    Raises:
        QueryError: The vectors have another length, are not finite, k is below 1, or the filter names a property that
            no scene has.
    """
    _check_k(k)

    def answer(view: View) -> list[list[Hit]]:
        queries = view.checked(vectors)
        return view.hits(view.store.search(queries, k, where or Filter(), exact=exact))

    return archive.read(answer)


def find(
    archive: Archive,
    scorer: Scorer,
    k: int,
    where: Filter | None = None,
    selection: ResultSelection | None = None,
    *,
    after: list[Any] | None = None,
    only: Sequence[int] | None = None,
    exact: bool = False,
    with_vectors: bool = False,
) -> Page:
    """Return a page of tiles, best score first.

    Args:
        archive: The archive.
        scorer: Scores tiles.
        k: Most hits, at least 1.
        where: Which tiles count; all when None.
        selection: Which of the ranked tiles are shown; all when None.
        after: The `next` of the page before. Pages over the same tiles neither repeat nor miss one, whatever is added
            meanwhile; tiles of a scene that is replaced or removed meanwhile are gone.
        only: Ids of tiles that count, beside the filter; they may grow from page to page.
        exact: Look at every tile that passes, whatever index there is.
        with_vectors: Return each hit's vector.

    Raises:
        QueryError: The scorer, the filter or the place cannot be used.
    """
    _check_k(k)
    selection, where = selection or ResultSelection(), where or Filter()
    cursor = None if after is None else Cursor.of_place(after)

    def answer(view: View) -> Page:
        view.checked(scorer.directions)
        # Decided once, for the ranking and for the count.
        chosen = view.choose(_among(where, cursor, only))
        rank: Rank = lambda n: scorer.rank(chosen, view.vectors, n, exact=exact)  # noqa: E731
        hydrate: Hydrate = lambda ranked: view.hits([ranked])[0]  # noqa: E731
        hits, more = page(rank, hydrate, view.vectors, k, selection, cursor, chosen.count)
        before = 0 if cursor is None else cursor.shown
        end = None
        if more:
            last = hits[-1]
            newest = view.newest[0] if cursor is None else cursor.up_to
            end = Cursor(score=last.score, tile_id=last.tile.id, up_to=newest, shown=before + len(hits)).place()
        hits = ranked_from(hits, before + 1)
        if with_vectors:
            rows = view.vectors([hit.tile.id for hit in hits])
            hits = [replace(hit, vector=row) for hit, row in zip(hits, rows, strict=True)]
        return Page(hits=hits, next=end, matched=chosen.count, generation=view.generation)

    return archive.read(answer)


def browse(
    archive: Archive,
    k: int,
    tiles: Filter | None = None,
    scenes: Filter | None = None,
    order: Sequence[Key] = (),
    *,
    after: Position | None = None,
) -> Listing:
    """Return a page of tiles and scenes without ranking, in the order of keys, then tiles first, then by id.

    Args:
        archive: The archive.
        k: Most rows, at least 1.
        tiles: Which tiles are listed; none when None.
        scenes: Which scenes are listed, by themselves (`exclude` means their ids); none when None.
        order: Keys, the first one first.
        after: The `next` of the page before. Pages over the same rows neither repeat nor miss one, whatever is added
            meanwhile; what is replaced or removed meanwhile is gone.

    Raises:
        QueryError: A filter or a key cannot be used, or k is below 1.
    """
    _check_k(k)

    def answer(view: View) -> Listing:
        newest = view.newest
        up_to = newest if after is None else (after.tiles_up_to, after.scenes_up_to)
        selection = view.select(bounded(tiles, up_to[0]), tile_fields(order))
        passing = scenes_passing(selection.scenes, bounded(scenes, up_to[1]), view.scene_footprints)
        shown = window(selection, passing, k, order, after, newest)
        rows = read(shown, view.tiles, lambda ids: view.scenes(set(ids)))
        if rows is None:
            raise CommitIntervenedError
        return Listing(rows=rows, matched=shown.matched, next=shown.next, generation=view.generation)

    return archive.read(answer)


def _among(where: Filter, cursor: Cursor | None, only: Sequence[int] | None) -> Filter:
    """Return which tiles are ranked: on later pages without those that were added since the first."""
    up_to = where.up_to if cursor is None else min(cursor.up_to, where.up_to or cursor.up_to)
    among = replace(where, up_to=up_to)
    if only is None:
        return among
    return Filter(all_of=(among, ~Filter(exclude=tuple(only)))) if only else Filter(up_to=-1)


def _check_k(k: int) -> None:
    if k < 1:
        raise QueryError(f"k: found {k}; need at least 1")
