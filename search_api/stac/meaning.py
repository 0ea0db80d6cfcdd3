"""`q` by meaning, and the hits of a registered search: two rankings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bandsight.archive import Archive, Cursor, Query
from bandsight.ask import Answer, judged
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.filters import Filter
from bandsight.query_text import check_text
from search_api.schemas import MAX_ID
from search_api.service import Service
from search_api.stac.limits import MAX_TERMS
from search_api.stac.query import RankedPage, Ranking
from search_api.stac.registered import Registered

_BAD_PLACE = "token: not one of a former page; pass a page's own token"
# Registered searches whose hits are kept in memory, of one generation each.
_KEPT = 4


def terms_of(q: str | list[str]) -> list[str]:
    """Return the alternatives of `q`: separated by commas, or a list.

    Raises:
        QueryError: There is none, or there are too many, or one is too long.
    """
    parts = q.split(",") if isinstance(q, str) else q
    terms = [check_text(part) for part in parts if part.strip()]
    if not terms:
        raise QueryError("q: found no text (empty); describe the place, e.g. a river beside fields")
    if len(terms) > MAX_TERMS:
        raise QueryError(f"q: found {len(terms)} alternatives; at most {MAX_TERMS} are allowed")
    return terms


class TextRanking:
    """Tiles by their likeness to the best of several sentences."""

    def __init__(self, service: Service, terms: list[str]) -> None:
        self._service = service
        self._terms = terms
        self._texts = service.encoder.embed_texts(terms)

    @property
    def said(self) -> Any:
        """The sentences."""
        return {"q": self._terms}

    def page(self, wanted: Filter, k: int, after: list[Any] | None) -> RankedPage:
        """Return the k best hits behind a place; see `Ranking`."""
        archive, encoder = self._service.archive, self._service.encoder
        cursor, shown = _cursor(after)
        query = Query(positives=self._texts, strategy="best" if len(self._terms) > 1 else "average")
        found = archive.find(query, k, wanted, after=cursor, with_vectors=True)
        hits: list[tuple[Hit, dict[str, Any]]] = [
            (hit, {"bandsight:rank": shown + hit.rank, "bandsight:score": round(hit.score, 6)}) for hit in found.hits
        ]
        judgement = Answer([], [], [])
        if found.hits:
            vectors = np.stack([hit.vector for hit in found.hits if hit.vector is not None])
            judgement = judged(encoder, found.hits, vectors, self._texts)
            nearest = (vectors @ self._texts.T).argmax(axis=1)
            judgements = zip(hits, judgement.probabilities, judgement.matches, nearest.tolist(), strict=True)
            for (_, facts), chance, match, term in judgements:
                facts["bandsight:probability"] = None if chance is None else round(chance, 6)
                facts["bandsight:match"] = match
                facts["bandsight:matched"] = self._terms[term]
        up_to = cursor.up_to if cursor else (found.next.up_to if found.next else None)
        counted = wanted if up_to is None else Filter(up_to=up_to, all_of=(wanted,))
        end = None if found.next is None else [found.next.token(), shown + len(hits)]
        # Whether anything matches is known from the best hits, which are on the first page.
        nothing = {} if cursor else {"nothing_matches": judgement.nothing_matches}
        return RankedPage(
            hits=hits, next=end, matched=len(archive.tile_ids(counted)), generation=found.generation, facts=nothing
        )


@dataclass(frozen=True, slots=True)
class _Top:
    """The hits of a registered search at one generation."""

    hits: list[tuple[Hit, dict[str, Any]]]
    generation: int
    facts: dict[str, Any]


class Kept:
    """Remembers the hits of registered searches as long as nothing has been indexed since."""

    def __init__(self) -> None:
        self.top = lru_cache(maxsize=_KEPT)(self._top)

    @staticmethod
    def _top(source: "_Source", generation: int, up_to: int) -> _Top:  # noqa: ARG004  (part of what is remembered)
        page = source.rank().page(Filter(up_to=up_to, all_of=(source.wanted,)), source.search.hits, None)
        return _Top(page.hits, page.generation, page.facts)


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
    def said(self) -> Any:
        """The registered search."""
        return {"search": self._source.search.id}

    def page(self, wanted: Filter, k: int, after: list[Any] | None) -> RankedPage:
        """Return the k best of the hits that also pass another filter; see `Ranking`."""
        up_to = self._archive.newest_tile if after is None else _number(after, 2)
        top = self._kept.top(self._source, self._archive.generation, up_to)
        passing = set(self._archive.tile_ids(wanted).tolist())
        hits = [(hit, facts) for hit, facts in top.hits if hit.tile.id in passing]
        behind = hits if after is None else _behind(hits, after)
        shown = behind[:k]
        end = None
        if len(behind) > k:
            last = shown[-1][0]
            end = [last.tile.id, last.score, up_to]
        return RankedPage(hits=shown, next=end, matched=len(hits), generation=top.generation, facts=top.facts)


def _behind(hits: list[tuple[Hit, dict[str, Any]]], after: list[Any]) -> list[tuple[Hit, dict[str, Any]]]:
    """Return the hits behind a tile; if it is gone, those of a lower score."""
    tile_id, score = _number(after, 0), after[1]
    if not isinstance(score, (int, float)):
        raise QueryError(_BAD_PLACE)
    for at, (hit, _) in enumerate(hits):
        if hit.tile.id == tile_id:
            return hits[at + 1 :]
    return [(hit, facts) for hit, facts in hits if (-hit.score, hit.tile.id) > (-score, tile_id)]


def _cursor(place: list[Any] | None) -> tuple[Cursor | None, int]:
    """Return the archive's own cursor of a place, and how many hits came before it."""
    if place is None:
        return None, 0
    if len(place) != 2 or not isinstance(place[0], str):  # noqa: PLR2004
        raise QueryError(_BAD_PLACE)
    return Cursor.parse(place[0]), _number(place, 1)


def _number(place: list[Any], at: int) -> int:
    if at >= len(place) or type(place[at]) is not int or not 0 <= place[at] <= MAX_ID:
        raise QueryError(_BAD_PLACE)
    return int(place[at])
