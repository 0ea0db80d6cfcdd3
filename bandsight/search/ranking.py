"""Turns a ranking into a page of hits: selection, cursor, variety."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.cursor import Cursor
from bandsight.search.result_selection import ResultSelection, kept, mmr
from bandsight.vectors.scores import Ranked

# How much further each attempt looks when hits were dropped or demoted.
_GROWTH = 4
# Candidates among which variety is sought, for each hit wanted.
_POOL = 5

Rank = Callable[[int], Ranked]
"""Gives the min(k, matching) best tiles."""
Hydrate = Callable[[Ranked], list[Hit]]
"""Reads the rows of ranked tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a ranking."""

    hits: list[Hit]
    """Best first; ranks go on from page to page."""
    next: list[Any] | None
    """Where the next page begins, as JSON values; None when there is nothing more."""
    matched: int | None
    """How many hits all pages have together; None where only making them would tell."""
    generation: int
    """The commit that was searched."""
    nothing_matches: bool | None = None
    """Whether none of the best hits reaches the model's threshold; None where that is not known."""


def page(
    rank: Rank,
    hydrate: Hydrate,
    vectors: Callable[[list[int]], NDArray[np.float32]],
    k: int,
    wanted: ResultSelection,
    after: Cursor | None,
    matched: int,
) -> tuple[list[Hit], bool]:
    """Return k hits of a ranking after a cursor, and whether there are more.

    Args:
        rank: The ranking.
        hydrate: Reads rows of ranked tiles.
        vectors: Reads vectors of tiles.
        k: Most hits.
        wanted: Which of the ranked tiles are shown.
        after: Where the page before ended.
        matched: How many tiles the ranking has.

    Raises:
        QueryError: A cursor with diversity: that order is not the order of the scores.
    """
    if after is not None and wanted.diversity:
        raise QueryError("token: results with diversity have one page; raise limit instead")
    if after is None and wanted == ResultSelection():
        # Not one hit more to see whether there is another: an index may have to search further for it.
        return hydrate(rank(k)), matched > k
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
            # Hits of earlier pages crowd nothing out, so they are not read again.
            behind = [after.precedes(float(score), int(tile)) for tile, score in zip(ids, scores, strict=True)]
            ids, scores = ids[behind], scores[behind]
        chosen = kept(hydrate((ids, scores)), wanted) if complete or len(ids) > pool else []
        if after is not None:
            chosen = [hit for hit in chosen if after.precedes(hit.score, hit.tile.id)]
        if complete or len(chosen) > pool:
            break
        fetch *= _GROWTH
    if not wanted.diversity:
        return chosen[:k], len(chosen) > k
    candidates = chosen[:pool]
    scores = np.array([hit.score for hit in candidates], np.float32)
    order = mmr(vectors([hit.tile.id for hit in candidates]), scores, k, wanted.diversity) if candidates else []
    return [candidates[at] for at in order], False


def ranked_from(hits: list[Hit], first: int) -> list[Hit]:
    """Return hits with ranks that count from a first one."""
    return [hit if hit.rank == rank else replace(hit, rank=rank) for rank, hit in enumerate(hits, first)]
