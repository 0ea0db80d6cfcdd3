"""Ranks tiles by a question, with calibrated probabilities and thresholds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Head
from bandsight.catalog.records import Hit
from bandsight.model.imagery import Imagery, ImageryLike
from bandsight.model.protocol import Encoder
from bandsight.search.imagery import at_scale, imagery_of_hit
from bandsight.search.ranking import Page, find
from bandsight.search.resolve import Question
from bandsight.search.searcher import Searcher

# Bisecting -1..1 this often reaches the resolution of float32.
_HALVINGS = 30
_TOO_FEW = "the classifier has labels of too few places for a calibrated probability"
_ONE: NDArray[np.float32] = np.ones((1, 1), np.float32)


def calibrated(encoder: Encoder, hits: Sequence[Hit], cosines: NDArray[np.float32]) -> list[Hit]:
    """Return hits with their probability, of the likeliest sentence, and whether it reaches the threshold.

    Hits of imagery that the model is not calibrated for get the reason instead.

    Args:
        encoder: Its calibration turns cosines into probabilities.
        hits: The hits.
        cosines: Of each hit with each sentence, shape (hits, sentences).
    """
    if not hits:
        return []
    kinds = [imagery_of_hit(hit) for hit in hits]
    # A probability depends on the cosine and the imagery only, so cosines stand for vectors of one number.
    columns = [encoder.probabilities(column[:, None], _ONE, kinds)[:, 0] for column in cosines.T]
    values = np.max(columns, axis=0)
    known = {one: (encoder.threshold(one), encoder.uncalibrated(one)) for one in set(kinds)}
    return [_judged(hit, float(value), *known[one]) for hit, value, one in zip(hits, values, kinds, strict=True)]


def _judged(hit: Hit, value: float, level: float | None, reason: str | None) -> Hit:
    if not np.isfinite(value):
        return replace(hit, probability_reason=reason)
    return replace(hit, probability=value, match=None if level is None else bool(value >= level))


def nothing_matches(hits: Sequence[Hit]) -> bool | None:
    """Return whether no hit reaches its threshold; None where that is not known of all of them and none reaches it."""
    if any(hit.match for hit in hits):
        return False
    return True if hits and all(hit.match is False for hit in hits) else None


def least_cosine(encoder: Encoder, imagery: ImageryLike, probability: float) -> float:
    """Return the least cosine with at least this probability, infinity where none reaches it.

    A probability grows with the cosine and depends on nothing but the imagery, so a bisection over cosines finds it.
    Imagery without a probability never reaches one.
    """

    def of(cosine: float) -> float:
        return float(encoder.probabilities(np.full((1, 1), cosine, np.float32), _ONE, [imagery])[0, 0])

    if encoder.uncalibrated(imagery) is not None:
        return np.inf
    low, high = -1.0, 1.0
    if of(low) >= probability:
        return -np.inf
    if of(high) < probability:
        return np.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if of(middle) >= probability else (middle, high)
    return high


def _classified(hits: Sequence[Hit], head: Head, label: str) -> list[Hit]:
    """Return the hits of a classifier with its probability, where that was fitted on labels of other places."""
    if head.calibrated:
        return [replace(hit, probability=hit.score, matched=label) for hit in hits]
    return [replace(hit, probability_reason=_TOO_FEW, matched=label) for hit in hits]


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
            check=self._searcher.check,
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
        if question.unfamiliar is not None:
            return []
        found = searcher.archive.similarities(question.texts, among)
        scenes = found.selection.scenes.ids.tolist()
        kinds = dict(zip(scenes, searcher.imagery.of(searcher.archive, scenes), strict=True))
        # How fine a tile's pixels are depends on its scale, which is read of those tiles only that may be likely.
        level = {
            one: least_cosine(searcher.encoder, replace(one, gsd_m=None), question.min_probability)
            for one in set(kinds.values()) - {None}
        }
        least = np.array([level.get(kinds[scene], np.inf) for scene in scenes], np.float64)
        likely = found.scores.max(axis=0) >= least[found.selection.scene_at]
        tiles = searcher.archive.tiles_by_id(found.selection.ids[likely].tolist())
        return [tile.id for tile in tiles.values() if self._is_covered(kinds.get(tile.scene_id), tile.scale)]

    def _is_covered(self, imagery: Imagery | None, scale: int) -> bool:
        return imagery is not None and self._searcher.encoder.uncalibrated(at_scale(imagery, scale)) is None

    def _described(self, hits: list[Hit]) -> list[Hit]:
        """Return hits with their probability, their match and the example that each is most like."""
        question = self._question
        if question.head is not None:
            return _classified(hits, question.head, question.labels[0])
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
        if question.unfamiliar is not None:
            hits = [replace(hit, probability_reason=question.unfamiliar) for hit in hits]
        elif len(question.texts):
            hits = calibrated(self._searcher.encoder, hits, cosines)
        return [replace(hit, matched=label) for hit, label in zip(hits, matched, strict=True)]

    def _matched(self, found: Page, *, is_first: bool) -> int | None:
        """Return how many hits there are on all pages, None where only making them would tell."""
        if is_first and found.next is None:
            return len(found.hits)
        selection = self._question.selection
        undecided = selection.drops or selection.diversity or selection.min_score is not None
        return None if undecided else found.matched
