"""Turns a ranking into a page of hits: selection, cursor, variety."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.result_selection import ResultSelection, mmr, select
from bandsight.vectors.scores import Ranked

BAD_PLACE = "token: found one that no page of this ranking gave; pass the token of the page before, unchanged"
_PARTS = 4
# How much further each attempt looks when hits were dropped or demoted.
_GROWTH = 4
# Candidates among which variety is sought, for each hit selection.
_POOL = 5

Rank = Callable[[int], Ranked]
"""Gives the min(k, matching) best tiles."""
Hydrate = Callable[[Ranked], list[Hit]]
"""Reads the rows of ranked tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last hit of a page, and the newest tile there was when the first page was made."""

    score: float
    """Of the last hit."""
    tile_id: int
    """Of the last hit."""
    up_to: int
    """Newest tile of the first page's generation; later ones are left out."""
    shown: int
    """How many hits this page and those before have."""

    @classmethod
    def of_place(cls, place: list[Any]) -> "Cursor":
        """Read what `place` wrote.

        Raises:
            QueryError: It is something else.
        """
        if len(place) != _PARTS or type(place[0]) not in {int, float} or not math.isfinite(place[0]):
            raise QueryError(BAD_PLACE)
        if not all(type(number) is int and 0 <= number <= MAX_ID for number in place[1:]):
            raise QueryError(BAD_PLACE)
        score, tile_id, up_to, shown = place
        return cls(score=float(score), tile_id=tile_id, up_to=up_to, shown=shown)

    def place(self) -> list[Any]:
        """Return the cursor as JSON values."""
        return [self.score, self.tile_id, self.up_to, self.shown]

    def precedes(self, score: float, tile_id: int) -> bool:
        """Say whether a hit comes after the page's last."""
        return (-score, tile_id) > (-self.score, self.tile_id)


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
    selection: ResultSelection,
    after: Cursor | None,
    matched: int,
) -> tuple[list[Hit], bool]:
    """Return k hits of a ranking after a cursor, and whether there are more.

    Args:
        rank: The ranking.
        hydrate: Reads rows of ranked tiles.
        vectors: Reads vectors of tiles.
        k: Most hits.
        selection: Which of the ranked tiles are shown.
        after: Where the page before ended.
        matched: How many tiles the ranking has.

    Raises:
        QueryError: A cursor with diversity: that order is not the order of the scores.
    """
    if after is not None and selection.diversity:
        raise QueryError("token: results with diversity have one page; raise limit instead")
    if after is None and selection == ResultSelection():
        # Not one hit more to see whether there is another: an index may have to search further for it.
        return hydrate(rank(k)), matched > k
    pool = _POOL * k if selection.diversity else k
    fetch = (pool + 1) * (_GROWTH if selection.drops or after is not None else 1)
    while True:
        ids, scores = rank(fetch)
        complete = len(ids) < fetch
        if selection.min_score is not None:
            good = scores >= np.float32(selection.min_score)
            complete = complete or not good.all()
            ids, scores = ids[good], scores[good]
        if after is not None and not selection.drops:
            # Hits of earlier pages crowd nothing out, so they are not read again.
            later = [after.precedes(float(score), int(tile)) for tile, score in zip(ids, scores, strict=True)]
            ids, scores = ids[later], scores[later]
        chosen = select(hydrate((ids, scores)), selection) if complete or len(ids) > pool else []
        if after is not None:
            chosen = [hit for hit in chosen if after.precedes(hit.score, hit.tile.id)]
        if complete or len(chosen) > pool:
            break
        fetch *= _GROWTH
    if not selection.diversity:
        return chosen[:k], len(chosen) > k
    candidates = chosen[:pool]
    scores = np.array([hit.score for hit in candidates], np.float32)
    order = mmr(vectors([hit.tile.id for hit in candidates]), scores, k, selection.diversity) if candidates else []
    return [candidates[at] for at in order], False


def ranked_from(hits: list[Hit], first: int) -> list[Hit]:
    """Return hits with ranks that count from a first one."""
    return [hit if hit.rank == rank else replace(hit, rank=rank) for rank, hit in enumerate(hits, first)]
