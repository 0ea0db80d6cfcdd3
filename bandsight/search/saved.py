"""Saved searches: saving with their first run, and rerunning after new commits."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from bandsight.archive import Archive
from bandsight.attributes.cql2 import NOTHING
from bandsight.attributes.fields import MAX_ID
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.catalog.saved_searches import SavedHits, SavedSearch
from bandsight.errors import ArchiveError, NotFoundError, QueryError
from bandsight.search.items import check_names
from bandsight.search.question import question_of
from bandsight.search.ranking import BAD_PLACE, Page, Ranking
from bandsight.search.request import Filters, SaveSearchBody, query_of_body
from bandsight.search.searcher import Searcher

# Number of cached runs, each of a saved search at one generation.
_MOST_CACHED = 8
_PLACE_PARTS = 3
_MAX_TITLE = 200


@dataclass(frozen=True, slots=True)
class _Run:
    """The hits of a saved search at one generation."""

    hits: list[Hit]
    generation: int
    nothing_matches: bool | None


class SavedRuns:
    """A cache of the latest runs of saved searches; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[str, int, int], _Run] = OrderedDict()

    def get(self, search_id: str, generation: int, up_to: int, run: Callable[[], Page]) -> _Run:
        """Return the cached hits of a search, or run it.

        Args:
            search_id: The search.
            generation: The generation being served.
            up_to: Newest tile included.
            run: Runs the search.
        """
        key = (search_id, generation, up_to)
        with self._lock:
            found = self._runs.get(key)
        if found is None:
            found = self.put(search_id, up_to, run())
        return found

    def put(self, search_id: str, up_to: int, page: Page) -> _Run:
        """Cache the hits of a run."""
        made = _Run(page.hits, page.generation, page.nothing_matches)
        with self._lock:
            self._runs[search_id, page.generation, up_to] = made
            while len(self._runs) > _MOST_CACHED:
                self._runs.popitem(last=False)
        return made


def save(searcher: Searcher, runs: SavedRuns, body: SaveSearchBody) -> SavedSearch:
    """Save a semantic search with its current hits.

    Raises:
        QueryError: It has no query, it is invalid, or there are too many saved searches.
        NotFoundError: An example tile is not in the archive.
    """
    question = question_of(searcher, body.q, body.semantic)
    if question is None:
        raise QueryError(
            "q, semantic: found neither; a saved search needs a query (POST /search lists items without one)"
        )
    archive = searcher.archive
    archive.refresh()
    up_to = archive.newest_tile
    page = question.page(Filter(up_to=up_to, all_of=(_where(searcher, body),)), body.hits, None)
    title = body.title.strip() or ", ".join(question.labels) or "negative examples only"
    hits = SavedHits(
        ids=np.array([hit.tile.id for hit in page.hits], np.int64),
        scores=np.array([hit.score for hit in page.hits], np.float32),
    )
    saved = archive.saved_searches.add(
        title[:_MAX_TITLE], body.to_save(question), max_hits=body.hits, hits=hits, generation=page.generation
    )
    runs.put(saved.id, up_to, page)
    return saved


def request_of_saved(saved: SavedSearch) -> Filters:
    """Return the request of a saved search.

    Raises:
        ArchiveError: It is not valid in this version.
    """
    try:
        return Filters.model_validate(dict(saved.request))
    except ValidationError as error:
        raise ArchiveError(
            f"search {saved.id}: it was saved by an incompatible version of Bandsight; delete it and save it again"
        ) from error


class SavedRanking:
    """The current hits of a saved search, in order; filters only narrow them.

    The search runs once after each commit; filters are applied to its hits only.
    """

    def __init__(self, searcher: Searcher, runs: SavedRuns, saved: SavedSearch) -> None:
        """Initialize.

        Raises:
            ArchiveError: The search is not valid in this version.
        """
        self._searcher, self._runs, self._saved = searcher, runs, saved
        self._request = request_of_saved(saved)

    @property
    def key(self) -> Any:
        """Identity of the saved search."""
        return {"search": self._saved.id}

    def source(self) -> Ranking:
        """Return the ranking of all tiles from which the hits are taken.

        Raises:
            QueryError: An example is no longer valid.
            NotFoundError: An example tile or classifier is gone.
        """
        try:
            question = question_of(self._searcher, self._request.q, self._request.semantic)
        except (NotFoundError, QueryError) as error:
            reason = str(error).partition(";")[0]
            raise type(error)(
                f"search {self._saved.id}: one of its examples is no longer valid ({reason}); delete this search "
                "and save one with other examples"
            ) from error
        if question is None:
            raise ArchiveError(f"search {self._saved.id}: its query is missing; delete it and save it again")
        return question

    def hits(self) -> list[Hit]:
        """Return all current hits."""
        self._searcher.archive.refresh()
        return list(self._run(self._searcher.archive.newest_tile).hits)

    def page(self, where: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best hits that pass another filter; see `Ranking`."""
        archive = self._searcher.archive
        archive.refresh()
        up_to = archive.newest_tile if after is None else _checked(after)[2]
        run = self._run(up_to)
        hits = _passing(archive, run.hits, where)
        following = hits if after is None else _following(hits, after)
        shown = following[:k]
        end = [shown[-1].tile.id, shown[-1].score, up_to] if len(following) > k else None
        return Page(
            hits=shown, next=end, matched=len(hits), generation=run.generation, nothing_matches=run.nothing_matches
        )

    def _run(self, up_to: int) -> _Run:
        def run() -> Page:
            where = Filter(up_to=up_to, all_of=(_where(self._searcher, self._request),))
            return self.source().page(where, self._saved.max_hits, None)

        return self._runs.get(self._saved.id, self._searcher.archive.generation, up_to, run)


class OriginalRanking:
    """The hits that a search had when it was saved and that still exist; filters only narrow them."""

    def __init__(self, source: Ranking, ids: tuple[int, ...], generation: int) -> None:
        """Initialize.

        Args:
            source: Ranks all tiles.
            ids: Tiles of the hits.
            generation: The generation searched.
        """
        self._source, self._ids, self._generation = source, ids, generation

    @property
    def key(self) -> Any:
        """Identity of the ranking and its generation."""
        return {"saved": self._source.key, "generation": self._generation}

    def page(self, where: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best hits after a place; see `Ranking`."""
        only = Filter(all_of=(where, ~Filter(exclude=self._ids))) if self._ids else Filter(up_to=-1)
        return self._source.page(only, k, after)


def original_ids(archive: Archive, saved: SavedSearch) -> tuple[int, ...] | None:
    """Return the tiles of a search's saved hits, best first, or None if it has not been run."""
    if saved.generation is None:
        return None
    return tuple(archive.saved_searches.all_hits(saved.id).ids.tolist())


def _where(searcher: Searcher, request: Filters) -> Filter:
    query = query_of_body(request, searcher.max_hits)
    check_names(searcher.archive, query)
    return query.of("tile", searcher.archive) or NOTHING


def _passing(archive: Archive, hits: list[Hit], where: Filter) -> list[Hit]:
    if where.is_empty or not hits:
        return hits
    passing = archive.read(lambda view: view.passing([hit.tile for hit in hits], where))
    return [hit for hit in hits if hit.tile.id in passing]


def _following(hits: list[Hit], after: list[Any]) -> list[Hit]:
    """Return the hits after a tile or, if it is gone, those with lower scores."""
    tile_id, score, _ = after
    for at, hit in enumerate(hits):
        if hit.tile.id == tile_id:
            return hits[at + 1 :]
    return [hit for hit in hits if (-hit.score, hit.tile.id) > (-score, tile_id)]


def _checked(place: list[Any]) -> list[Any]:
    """Check a place: [tile id, score, newest tile].

    Raises:
        QueryError: It is invalid.
    """
    valid = len(place) == _PLACE_PARTS and type(place[1]) in {int, float}
    if not valid or not all(type(number) is int and 0 <= number <= MAX_ID for number in (place[0], place[2])):
        raise QueryError(BAD_PLACE)
    return place
