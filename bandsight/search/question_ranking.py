"""Orders of tiles: what a list in the order of a question asks for its pages."""

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.search.engine import find
from bandsight.search.probabilities import calibrated, least_cosine, nothing_matches
from bandsight.search.ranking import Page
from bandsight.search.resolve import Question
from bandsight.search.searcher import Searcher


class Ranking(Protocol):
    """An order of tiles."""

    @property
    def key(self) -> Any:
        """What tells this order from another, as JSON values."""

    def page(self, where: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best hits after a place among the tiles that pass a filter.

        Pages neither repeat nor miss a hit, whatever is indexed meanwhile.

        Raises:
            QueryError: The question, the filter or the place cannot be used.
        """


class QuestionRanking:
    """Tiles in the order of a question."""

    def __init__(self, searcher: Searcher, question: Question) -> None:
        self._searcher, self._question = searcher, question

    @property
    def key(self) -> Any:
        """The question."""
        return {"question": self._question.key}

    def page(self, where: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best hits after a place; see `Ranking`."""
        question = self._question
        among = where
        if question.exclude:
            among = Filter(exclude=question.exclude, all_of=() if where.is_empty else (where,))
        found = find(
            self._searcher.archive,
            question.scorer,
            k,
            among,
            question.selection,
            after=after,
            only=self._likely(among),
            exact=question.exact,
            with_vectors=bool(len(question.positives)) and not question.is_one,
        )
        hits = self._described(found.hits)
        # Whether anything matches is known from the best hits, which are on the first page.
        nothing = None if after is not None else nothing_matches(hits) if hits else self._has_threshold
        return replace(found, hits=hits, matched=self._matched(found, is_first=after is None), nothing_matches=nothing)

    @property
    def _has_threshold(self) -> bool:
        return self._question.min_probability is not None or self._question.selection.min_score is not None

    def _likely(self, among: Filter) -> list[int] | None:
        """Return the tiles that are likely enough, None where no least probability is set."""
        question, searcher = self._question, self._searcher
        if question.min_probability is None:
            return None
        found = searcher.archive.similarities(question.texts, among)
        bands = searcher.bands.of(searcher.archive, found.selection.scenes.ids.tolist())
        level = {one: least_cosine(searcher.encoder, one, question.min_probability) for one in set(bands)}
        least = np.array([level[one] for one in bands], np.float64)
        likely = found.scores.max(axis=0) >= least[found.selection.scene_at]
        ids: list[int] = found.selection.ids[likely].tolist()
        return ids

    def _described(self, hits: list[Hit]) -> list[Hit]:
        """Return hits with their probability, their match and the example that each is most like."""
        question = self._question
        if not hits or not len(question.positives):
            return hits
        if question.is_one:
            matched = [question.labels[0]] * len(hits)
            cosines = np.array([[hit.score] for hit in hits], np.float32)
        else:
            vectors = np.stack([hit.vector for hit in hits if hit.vector is not None])
            nearest = (vectors @ question.positives.T).argmax(axis=1).tolist()
            matched = [question.labels[at] for at in nearest]
            cosines = vectors @ question.texts.T
        if len(question.texts):
            hits = calibrated(self._searcher.encoder, hits, cosines)
        return [replace(hit, matched=label) for hit, label in zip(hits, matched, strict=True)]

    def _matched(self, found: Page, *, is_first: bool) -> int | None:
        """Return how many hits there are on all pages, None where only making them would tell."""
        if is_first and found.next is None:
            return len(found.hits)
        selection = self._question.selection
        undecided = selection.drops or selection.diversity or selection.min_score is not None
        return None if undecided else found.matched
