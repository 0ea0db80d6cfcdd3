"""Ranks tiles by a query of many parts and arranges them into pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.cursor import Cursor
from bandsight.search.result_selection import Arrangement, kept, mmr
from bandsight.search.scorers import best_scores, squeezed
from bandsight.vectors.port import Choice, VectorStore
from bandsight.vectors.scores import Ranked, best

_ALL = 2**40
# How much further each attempt looks when hits were dropped or demoted.
_GROWTH = 4
# Candidates among which variety is sought, for each hit wanted.
_POOL = 5

Rank = Callable[[int], Ranked]
"""Gives the min(k, matching) best tiles."""
Hydrate = Callable[[Ranked], list[Hit]]
"""Gives the rows of ranked tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a ranking."""

    hits: list[Hit]
    """Best first; ranks count from 1 on every page."""
    next: Cursor | None
    """Goes on behind these hits; None when there is nothing more."""
    matched: int
    """How many tiles pass the filter, whatever the arrangement shows of them."""
    generation: int
    """The commit that was searched."""


def rank_best(
    store: VectorStore,
    among: Choice,
    positives: NDArray[np.float32],
    negatives: NDArray[np.float32],
    k: int,
    *,
    exact: bool,
) -> Ranked:
    """Return the min(k, matching) best tiles of a choice under the strategy `best`.

    The best of a maximum are among the best of its parts. Negatives demote some of those, so the look goes further
    until no unseen tile can be better than the k-th.
    """
    if not len(positives):
        return _rescored(store, among.search(negatives[:1], _ALL, exact=True), positives, negatives, k)
    fetch = k if not len(negatives) else _GROWTH * k
    while True:
        parts = among.search(positives, fetch, exact=exact)
        answer = _rescored(store, parts, positives, negatives, k)
        complete = any(len(ids) < fetch for ids, _ in parts)
        if complete or not len(negatives):
            return answer
        unseen = squeezed(np.array([max(scores[-1] for _, scores in parts)], np.float32))[0]
        if len(answer[1]) == k and answer[1][-1] > unseen:
            return answer
        fetch *= _GROWTH


def _rescored(
    store: VectorStore,
    parts: Sequence[Ranked],
    positives: NDArray[np.float32],
    negatives: NDArray[np.float32],
    k: int,
) -> Ranked:
    ids = np.unique(np.concatenate([ids for ids, _ in parts]))
    return best(ids, best_scores(store.get(ids.tolist()), positives, negatives), k)


def page(
    rank: Rank,
    hydrate: Hydrate,
    vectors: Callable[[list[int]], NDArray[np.float32]],
    k: int,
    wanted: Arrangement,
    after: Cursor | None,
    matched: int,
) -> tuple[list[Hit], bool]:
    """Return k hits of a ranking behind a cursor, and whether there are more.

    Args:
        rank: The ranking.
        hydrate: Reads rows of ranked tiles.
        vectors: Reads vectors of tiles.
        k: Most hits.
        wanted: Which of the ranked tiles are shown.
        after: Where the page before ended.
        matched: How many tiles the ranking has.

    Raises:
        QueryError: A cursor with diversity: its order is not that of scores.
    """
    if after is not None and wanted.diversity:
        raise QueryError("token: an answer made for variety has one page; ask for more hits instead")
    if after is None and wanted == Arrangement():
        # Not one more, to see whether there is more: an index may have to look further for the eleventh.
        return _ranked(hydrate(rank(k))), matched > k
    pool = _POOL * k if wanted.diversity else k
    fetch = (pool + 1) * (_GROWTH if wanted.drops or after is not None else 1)
    while True:
        ids, scores = rank(fetch)
        complete = len(ids) < fetch
        if wanted.min_score is not None:
            good = scores >= np.float32(wanted.min_score)
            complete = complete or not good.all()
            ids, scores = ids[good], scores[good]
        if after is not None and not wanted.drops:
            # What earlier pages showed crowds nothing out and need not be read again.
            behind = [after.precedes(float(score), int(tile)) for tile, score in zip(ids, scores, strict=True)]
            ids, scores = ids[behind], scores[behind]
        chosen = kept(hydrate((ids, scores)), wanted) if complete or len(ids) > pool else []
        if after is not None:
            chosen = [hit for hit in chosen if after.precedes(hit.score, hit.tile.id)]
        if complete or len(chosen) > pool:
            break
        fetch *= _GROWTH
    if not wanted.diversity:
        return _ranked(chosen[:k]), len(chosen) > k
    candidates = chosen[:pool]
    scores = np.array([hit.score for hit in candidates], np.float32)
    order = mmr(vectors([hit.tile.id for hit in candidates]), scores, k, wanted.diversity) if candidates else []
    return _ranked([candidates[at] for at in order]), False


def _ranked(hits: list[Hit]) -> list[Hit]:
    return [hit if hit.rank == rank else replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]
