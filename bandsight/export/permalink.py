"""A registered search as it was: the hits that it had then, in today's archive."""

from collections.abc import Callable
from typing import Any

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.search.question_ranking import Ranking
from bandsight.search.ranking import Page
from bandsight.search.saved import Hits


class AsRegistered:
    """The hits of a registered search, none that came later; whatever else is asked only narrows them."""

    def __init__(self, rank: Callable[[], Ranking], then: Hits) -> None:
        """Prepare.

        Args:
            rank: Gives the order of the search.
            then: Its hits.
        """
        self._ranking, self._then = rank(), then

    @property
    def key(self) -> Any:
        """The question, and whose hits are meant."""
        return {"then": self._ranking.key, "generation": self._then.generation}

    def page(self, wanted: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best of them behind a place; see `Ranking`."""
        return self._ranking.page(_only(self._then.ids, wanted), k, after)


def gone_since(archive: Archive, then: Hits) -> list[int]:
    """Return the hits of then that the archive no longer holds."""
    there = set(archive.tile_ids(_only(then.ids, Filter())).tolist())
    return [tile_id for tile_id in then.ids if tile_id not in there]


def _only(ids: tuple[int, ...], wanted: Filter) -> Filter:
    return Filter(all_of=(wanted, ~Filter(exclude=ids))) if ids else Filter(up_to=-1)
