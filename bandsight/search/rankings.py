"""Orders of tiles by meaning: what every list by meaning asks for its pages."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bandsight.attributes.filters import Filter
from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.answers import Answer, calibrated, calibrated_by_score
from bandsight.search.cursor import Cursor
from bandsight.search.engine import find
from bandsight.search.ranking import Page
from bandsight.search.resolve import Question
from bandsight.search.searcher import Searcher
from bandsight.search.thresholds import least_cosine

BAD_PLACE = "token: not one of a former page; pass a page's own token"
_PLACES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPage:
    """A part of a ranking."""

    hits: list[tuple[Hit, dict[str, Any]]]
    """Best first, each with what its item says beside the tile: `bandsight:score`, `bandsight:rank`, …"""
    next: list[Any] | None
    """Where to go on, as JSON, handed back as `after`; None when there is nothing more."""
    matched: int | None
    """How many hits there are on all pages, None when nobody counted."""
    generation: int
    """The commit that was searched."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the answer says as a whole, e.g. `nothing_matches`."""


class Ranking(Protocol):
    """An order of tiles by meaning."""

    @property
    def said(self) -> Any:
        """What tells this ranking from another, as JSON."""

    def page(self, wanted: Filter, k: int, after: list[Any] | None) -> RankedPage:
        """Return the k best hits behind a place among the tiles that pass a filter.

        Pages neither repeat nor miss a hit, whatever is indexed meanwhile.

        Raises:
            QueryError: The question, the filter or the place cannot be answered as asked.
        """


class MeaningRanking:
    """Tiles in the order of a question."""

    def __init__(self, searcher: Searcher, question: Question) -> None:
        """Prepare.

        Args:
            searcher: Archive and model.
            question: What is asked.
        """
        self._searcher, self._question = searcher, question

    @property
    def said(self) -> Any:
        """The question."""
        return {"meaning": self._question.key}

    def page(self, wanted: Filter, k: int, after: list[Any] | None) -> RankedPage:
        """Return the k best hits behind a place; see `Ranking`."""
        asked, archive = self._question, self._searcher.archive
        cursor, shown = _cursor(after)
        among = wanted
        if asked.exclude:
            among = Filter(exclude=asked.exclude, all_of=() if wanted.is_empty else (wanted,))
        likely = self._likely(among)
        found = find(
            archive,
            asked.query,
            k,
            among,
            asked.arrangement,
            after=cursor,
            only=likely,
            exact=asked.exact,
            with_vectors=bool(len(asked.query.positives)) and not asked.is_one,
        )
        hits, nothing = self._judged(found, shown)
        end = None if found.next is None else [found.next.token(), shown + len(hits)]
        return RankedPage(
            hits=hits,
            next=end,
            matched=self._matched(found, is_first=cursor is None),
            generation=found.generation,
            # Whether anything matches is known from the best hits, which are on the first page.
            facts={} if cursor else {"nothing_matches": nothing},
        )

    def _likely(self, among: Filter) -> list[int] | None:
        """Return the tiles that are likely enough, None where that was not asked."""
        asked = self._question
        if asked.min_probability is None:
            return None
        found = self._searcher.archive.similarities(asked.texts, among)
        scenes = found.selection.scenes.ids.tolist()
        bands = self._searcher.bands.of(self._searcher.archive, scenes)
        level = {one: least_cosine(self._searcher.encoder, one, asked.min_probability) for one in set(bands)}
        least = np.array([level[one] for one in bands], np.float64)
        likely = found.scores.max(axis=0) >= least[found.selection.scene_at]
        ids: list[int] = found.selection.ids[likely].tolist()
        return ids

    def _judged(self, found: Page, shown: int) -> tuple[list[tuple[Hit, dict[str, Any]]], bool]:
        """Return hits with what is said of them, and whether none of them is likely to be right."""
        asked, model = self._question, self._searcher.archive.model
        thresholds = asked.min_probability is not None or asked.arrangement.min_score is not None
        if not found.hits:
            return [], thresholds
        unknown: list[Any] = [None] * len(found.hits)
        judgement, nearest = Answer(found.hits, unknown, unknown), unknown
        if asked.is_one:
            nearest = [asked.labels[0]] * len(found.hits)
            if len(asked.texts):
                judgement = calibrated_by_score(self._searcher.encoder, found.hits)
        elif len(asked.query.positives):
            vectors = np.stack([hit.vector for hit in found.hits if hit.vector is not None])
            nearest = [asked.labels[at] for at in (vectors @ asked.query.positives.T).argmax(axis=1).tolist()]
            if len(asked.texts):
                judgement = calibrated(self._searcher.encoder, found.hits, vectors, asked.texts)
        hits = [
            (
                hit,
                {
                    "bandsight:rank": shown + hit.rank,
                    "bandsight:score": round(hit.score, _PLACES),
                    "bandsight:probability": None if chance is None else round(chance, _PLACES),
                    "bandsight:match": match,
                    "bandsight:matched": label,
                    "bandsight:model": model.name,
                    "bandsight:digest": model.digest,
                    "bandsight:generation": found.generation,
                },
            )
            for hit, chance, match, label in zip(
                found.hits, judgement.probabilities, judgement.matches, nearest, strict=True
            )
        ]
        return hits, judgement.nothing_matches

    def _matched(self, found: Page, *, is_first: bool) -> int | None:
        """Return how many hits there are on all pages, None where only making them would tell."""
        if is_first and found.next is None:
            return len(found.hits)
        arrangement = self._question.arrangement
        undecided = arrangement.drops or arrangement.diversity or arrangement.min_score is not None
        return None if undecided else found.matched


def _cursor(place: list[Any] | None) -> tuple[Cursor | None, int]:
    """Return the archive's own cursor of a place, and how many hits came before it."""
    if place is None:
        return None, 0
    if len(place) != 2 or not isinstance(place[0], str):  # noqa: PLR2004
        raise QueryError(BAD_PLACE)
    return Cursor.parse(place[0]), number_in(place, 1)


def number_in(place: list[Any], at: int) -> int:
    """Return a number of a place.

    Raises:
        QueryError: There is none.
    """
    if at >= len(place) or type(place[at]) is not int or not 0 <= place[at] <= MAX_ID:
        raise QueryError(BAD_PLACE)
    return int(place[at])
