"""Ranks tiles by a scorer, selects results, and pages through them."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape

from bandsight.archive import Archive, View
from bandsight.attributes.fields import MAX_ID
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.model.scoring import ScoreScale
from bandsight.search.by_cell import POOL, CellScorer
from bandsight.search.diversity import mmr
from bandsight.search.recall_check import RecallCheck
from bandsight.search.scorers import Scorer
from bandsight.search.searcher import FamilyScales
from bandsight.vectors.port import Choice
from bandsight.vectors.scores import Ranked, best

GroupBy = Literal["scene", "place", "collection", "sensor"]

_GROUP: dict[str, Callable[[Hit], object]] = {
    "scene": lambda hit: hit.scene.id,
    "place": lambda hit: hit.tile.cell,
    "collection": lambda hit: hit.scene.collection,
    "sensor": lambda hit: hit.scene.sensor,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSelection:
    """How results are selected from a ranking; by default all are."""

    min_score: float | None = None
    """Hits with a lower score are dropped."""
    group_by: GroupBy | None = None
    """At most `per_group` hits are shown for each scene, place (cell of the tile grid), collection or sensor."""
    per_group: int = 1
    """Maximum number of hits for each group."""
    max_overlap: float | None = None
    """Maximum overlap with a better hit, as a fraction of the smaller footprint (0..1); others are dropped, regardless
    of scene, scale or time."""
    diversity: float = 0.0
    """Weight given to dissimilarity from higher-ranked hits, 0..1 (maximal marginal relevance,
    Carbonell and Goldstein 1998)."""

    def __post_init__(self) -> None:
        if self.group_by is not None and self.group_by not in _GROUP:
            raise QueryError(f"group_by {self.group_by!r}; need one of {', '.join(_GROUP)}")
        if self.per_group < 1:
            raise QueryError(f"per_group {self.per_group}; need at least 1")
        if self.max_overlap is not None and not 0 <= self.max_overlap <= 1:
            raise QueryError(f"max_overlap {self.max_overlap}; need 0..1")
        if not 0 <= self.diversity <= 1:
            raise QueryError(f"diversity {self.diversity}; need 0..1")
        if self.min_score is not None and not np.isfinite(self.min_score):
            raise QueryError(f"min_score {self.min_score}; need a number")

    @property
    def drops(self) -> bool:
        """Whether better hits can displace others."""
        return self.group_by is not None or self.max_overlap is not None


def select(ranking: Sequence[Hit], selection: ResultSelection) -> list[Hit]:
    """Return the hits of a ranking, best first, within their group's limit and not overlapping better hits.

    Whether a hit stays depends only on better hits, so a longer ranking keeps the same hits and adds to them.
    """
    counts: Counter[object] = Counter()
    ground = _CoveredArea()
    chosen = []
    for hit in ranking:
        if selection.group_by is not None:
            group = _GROUP[selection.group_by](hit)
            if counts[group] >= selection.per_group:
                continue
        if selection.max_overlap is not None and not ground.take(hit, selection.max_overlap):
            continue
        if selection.group_by is not None:
            counts[group] += 1
        chosen.append(hit)
    return chosen


class _CoveredArea:
    """Footprints of the hits selected so far."""

    def __init__(self) -> None:
        self._shapes: list[shapely.Geometry] = []
        self._bounds: list[tuple[float, float, float, float]] = []

    def take(self, hit: Hit, most: float) -> bool:
        """Add a hit's footprint and return True, or return False if too much of it is already covered."""
        own = shape(hit.tile.geometry)
        west, south, east, north = own.bounds
        if self._bounds:
            bounds = np.array(self._bounds)
            near = np.flatnonzero(
                (bounds[:, 0] < east) & (bounds[:, 2] > west) & (bounds[:, 1] < north) & (bounds[:, 3] > south)
            )
            others = np.array([self._shapes[at] for at in near], object)
            smaller = np.minimum(own.area, shapely.area(others))
            if (shapely.area(shapely.intersection(own, others)) > most * smaller).any():
                return False
        self._shapes.append(own)
        self._bounds.append((west, south, east, north))
        return True


BAD_PLACE = "token: not from a page of this ranking; pass the token of the previous page, unchanged"
_PARTS = 4
# Factor by which each retry widens the search if hits were dropped or demoted.
_GROWTH = 4
# Number of candidates for diversity per requested hit.
_POOL = 5

Rank = Callable[[int], Ranked]
"""Returns the min(k, matching) best tiles."""
Hydrate = Callable[[Ranked], list[Hit]]
"""Reads the rows of ranked tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last hit of a page, and the newest tile that existed when the first page was made."""

    score: float
    """Of the last hit."""
    tile_id: int
    """Of the last hit."""
    up_to: int
    """Newest tile of the first page's generation; newer tiles are left out."""
    shown: int
    """Number of hits returned so far, including this page."""

    @classmethod
    def of_place(cls, place: list[Any]) -> "Cursor":
        """Parse the output of `place`.

        Raises:
            QueryError: It is not a valid place.
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
        """Return whether a hit comes after the page's last one."""
        return (-score, tile_id) > (-self.score, self.tile_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a ranking."""

    hits: list[Hit]
    """Best first; ranks continue across pages."""
    next: list[Any] | None
    """Start of the next page, as JSON values, or None on the last page."""
    matched: int | None
    """Total number of hits on all pages, or None if it is unknown without computing them."""
    generation: int
    """Generation searched."""
    nothing_matches: bool | None = None
    """Whether none of the best hits reaches the model's threshold; None if unknown."""


class Ranking(Protocol):
    """An order of tiles."""

    @property
    def key(self) -> Any:
        """Identity of the order, as JSON values."""

    def page(self, where: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best hits after a place among the tiles that pass a filter.

        Pages neither repeat nor miss hits, even if scenes are added between requests.

        Raises:
            QueryError: The query, the filter or the place is invalid.
        """


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
        k: Maximum number of hits.
        selection: Selects results from the ranked tiles.
        after: Where the previous page ended.
        matched: Number of tiles in the ranking.

    Raises:
        QueryError: There is a cursor with diversity, whose order is not by score.
    """
    if after is not None and selection.diversity:
        raise QueryError("token: results with diversity have one page; raise limit instead")
    if after is None and selection == ResultSelection():
        # Do not request an extra hit to see whether there are more: the index might have to search further.
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
            # Hits on earlier pages cannot displace later ones, so they are not read again.
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
    """Return hits with ranks counted from `first`."""
    return [hit if hit.rank == rank else replace(hit, rank=rank) for rank, hit in enumerate(hits, first)]


def nearest(
    archive: Archive, vectors: NDArray[np.float32], k: int, where: Filter | None = None, *, exact: bool = False
) -> list[list[Hit]]:
    """Return the min(k, matching) best tiles for each query vector, scored on the raw vectors.

    Args:
        archive: The archive.
        vectors: Unit vectors, shape (q, dim).
        k: Maximum number of hits for each, at least 1.
        where: Filter for the tiles, or None for all.
        exact: Compare with every tile that passes the filter, without the index.

    Raises:
        QueryError: The vectors have the wrong length or are not finite, k is below 1, or the filter names a property
            that no scene has.
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
    check: RecallCheck | None = None,
    by_cell: bool = False,
    families: FamilyScales | None = None,
) -> Page:
    """Return a page of tiles, best score first.

    Args:
        archive: The archive.
        scorer: Scores tiles.
        k: Maximum number of hits, at least 1.
        where: Filter for the tiles, or None for all.
        selection: Selects results from the ranked tiles, or None for all.
        after: The previous page's `next`. Pages neither repeat nor miss tiles, even if tiles are added between
            requests; tiles of replaced or removed scenes disappear.
        only: Ids of the only tiles to search, in addition to the filter; the list may grow between pages.
        exact: Compare every tile that passes the filter, even if there is an index.
        with_vectors: Return each hit's vector.
        check: Compares some searches with exact ones.
        by_cell: Rank by the best cell of each tile; see `CellScorer`.
        families: Scales of the scores of families; None if scores are those of the scorer.

    Raises:
        QueryError: The scorer, the filter or the place is invalid, or no tile has cells.
    """
    _check_k(k)
    selection, where = selection or ResultSelection(), where or Filter()
    cursor = None if after is None else Cursor.of_place(after)

    def answer(view: View) -> Page:
        view.checked(scorer.directions)
        # The filter is evaluated once, for both the ranking and the count.
        choices = _choices(archive, view, _among(where, cursor, only), families)
        cells = CellScorer(scorer, view.cells) if by_cell else None
        total = sum(choice.count for choice, _ in choices)
        count = total if cells is None or exact else min(total, POOL)

        def rank(n: int) -> Ranked:
            found = _ranked(choices, cells or scorer, view, n, exact=exact)
            # Without an index, every search is exact.
            if check is not None and cells is None and not exact and archive.store.index_figures["index"] != "none":
                check.offer(found, lambda count: _ranked(choices, scorer, view, count, exact=True))
            return found

        hydrate: Hydrate = lambda ranked: view.hits([ranked])[0]  # noqa: E731
        hits, more = page(rank, hydrate, view.vectors, k, selection, cursor, count)
        before = 0 if cursor is None else cursor.shown
        end = None
        if more:
            last = hits[-1]
            newest = view.newest[0] if cursor is None else cursor.up_to
            end = Cursor(score=last.score, tile_id=last.tile.id, up_to=newest, shown=before + len(hits)).place()
        hits = ranked_from(hits if cells is None else cells.located(hits), before + 1)
        if with_vectors:
            rows = view.vectors([hit.tile.id for hit in hits])
            hits = [replace(hit, vector=row) for hit, row in zip(hits, rows, strict=True)]
        return Page(hits=hits, next=end, matched=count, generation=view.generation)

    return archive.read(answer)


def _choices(
    archive: Archive, view: View, among: Filter, families: FamilyScales | None
) -> list[tuple[Choice, ScoreScale]]:
    """Return the tiles that pass a filter, separately for each scale of scores."""
    parts = [] if families is None else families.split(archive, view.scene_columns)
    if len(parts) > 1:
        return [(view.choose(Filter(all_of=(among, part))), scale) for part, scale in parts]
    return [(view.choose(among), parts[0][1] if parts else ScoreScale())]


def _ranked(
    choices: Sequence[tuple[Choice, ScoreScale]], scorer: Scorer | CellScorer, view: View, n: int, *, exact: bool
) -> Ranked:
    """Return the n best tiles of all choices, by their scaled scores."""
    found = [(scorer.rank(choice, view.vectors, n, exact=exact), scale) for choice, scale in choices]
    ids, scores = zip(*((ids, scale.scores(scores)) for (ids, scores), scale in found), strict=True)
    # Scaled scores can be equal where cosines differ, and equal scores are in the order of ids.
    alone = len(choices) == 1 and choices[0][1] == ScoreScale()
    return (ids[0], scores[0]) if alone else best(np.concatenate(ids), np.concatenate(scores), n)


def _among(where: Filter, cursor: Cursor | None, only: Sequence[int] | None) -> Filter:
    """Return the filter for the tiles to rank; later pages exclude tiles added since the first one."""
    up_to = where.up_to if cursor is None else min(cursor.up_to, where.up_to or cursor.up_to)
    among = replace(where, up_to=up_to)
    if only is None:
        return among
    return Filter(all_of=(among, ~Filter(exclude=tuple(only)))) if only else Filter(up_to=-1)


def _check_k(k: int) -> None:
    if k < 1:
        raise QueryError(f"k: found {k}; need at least 1")
