"""The hits of a registered search: a ranking that filters only narrow."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.question_ranking import Ranking
from bandsight.search.ranking import BAD_PLACE, Page
from bandsight.search.saved import Registered

# Registered searches whose hits are kept in memory, of one generation each.
_KEPT = 4
_PLACE_PARTS = 3


@dataclass(frozen=True, slots=True)
class _Top:
    """The hits of a registered search at one generation."""

    hits: list[Hit]
    generation: int
    nothing_matches: bool | None


class Kept:
    """Remembers the hits of registered searches as long as nothing has been indexed since."""

    def __init__(self) -> None:
        self.top = lru_cache(maxsize=_KEPT)(self._top)

    @staticmethod
    def _top(source: "_Source", generation: int, up_to: int) -> _Top:  # noqa: ARG004  (part of what is remembered)
        page = source.rank().page(Filter(up_to=up_to, all_of=(source.wanted,)), source.search.hits, None)
        return _Top(page.hits, page.generation, page.nothing_matches)


class _Source:
    """What a registered search ranks; equal for equal searches."""

    def __init__(self, search: Registered, rank: Callable[[], Ranking], wanted: Filter) -> None:
        self.search, self.rank, self.wanted = search, rank, wanted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and other.search.id == self.search.id

    def __hash__(self) -> int:
        return hash(self.search.id)


class TopRanking:
    """The best hits of a registered search, in its order; whatever else is asked only narrows them."""

    def __init__(
        self, archive: Archive, kept: Kept, search: Registered, rank: Callable[[], Ranking], wanted: Filter
    ) -> None:
        """Prepare.

        Args:
            archive: What is searched.
            kept: Remembers hits.
            search: The search.
            rank: Gives its order, where nothing is remembered.
            wanted: Its own filter.
        """
        self._archive, self._kept = archive, kept
        self._source = _Source(search, rank, wanted)

    @property
    def key(self) -> Any:
        """The registered search."""
        return {"search": self._source.search.id}

    def rank(self) -> Ranking:
        """Return the order behind it, of all tiles."""
        return self._source.rank()

    def hits(self) -> list[Hit]:
        """Return all hits, as of now."""
        self._archive.refresh()
        top = self._kept.top(self._source, self._archive.generation, self._archive.newest_tile)
        return list(top.hits)

    def page(self, wanted: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best of the hits that also pass another filter; see `Ranking`."""
        up_to = self._archive.newest_tile if after is None else _checked(after)[2]
        top = self._kept.top(self._source, self._archive.generation, up_to)
        passing = _among(np.array([hit.tile.id for hit in top.hits], np.int64), self._archive.tile_ids(wanted))
        hits = [one for one, passes in zip(top.hits, passing.tolist(), strict=True) if passes]
        behind = hits if after is None else _behind(hits, after)
        shown = behind[:k]
        end = None
        if len(behind) > k:
            last = shown[-1]
            end = [last.tile.id, last.score, up_to]
        return Page(
            hits=shown, next=end, matched=len(hits), generation=top.generation, nothing_matches=top.nothing_matches
        )


def _among(ids: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which ids are among others, of which there may be millions, in their order."""
    at = np.searchsorted(ascending, ids)
    found = at < len(ascending)
    found[found] = ascending[at[found]] == ids[found]
    return found


def _behind(hits: list[Hit], after: list[Any]) -> list[Hit]:
    """Return the hits behind a tile; if it is gone, those of a lower score."""
    tile_id, score, _ = after
    for at, hit in enumerate(hits):
        if hit.tile.id == tile_id:
            return hits[at + 1 :]
    return [hit for hit in hits if (-hit.score, hit.tile.id) > (-score, tile_id)]


def _checked(place: list[Any]) -> list[Any]:
    """Return a place [tile id, score, newest tile].

    Raises:
        QueryError: It is something else.
    """
    fine = len(place) == _PLACE_PARTS and type(place[1]) in {int, float}
    if not fine or not all(type(number) is int and 0 <= number <= MAX_ID for number in (place[0], place[2])):
        raise QueryError(BAD_PLACE)
    return place
