"""Which probability each score stands for, for the legend of a heat map."""

from typing import Any

import numpy as np

from bandsight.maps.scores import ScoreField
from bandsight.search.question_ranking import least_cosine
from bandsight.search.resolve import Question
from bandsight.search.scorers import MeanScorer
from bandsight.search.searcher import Bands, Searcher

_PROBABILITIES = (0.1, 0.25, 0.5, 0.75, 0.9)
_PLACES = 4


def probability_marks(searcher: Searcher, question: Question, field: ScoreField) -> list[dict[str, Any]]:
    """Return scores with their probability and the sensors that it is valid for.

    The list is empty where a score is not the cosine with the best sentence: with examples of other kinds, with
    negatives, and for the average of several sentences.
    """
    only_texts = len(question.texts) == len(question.positives) and not len(question.negatives)
    if not only_texts or (len(question.positives) > 1 and isinstance(question.scorer, MeanScorer)):
        return []
    rows = np.unique(field.scene_at)
    kinds: dict[Bands, set[str]] = {}
    for row, waves in zip(
        rows.tolist(), searcher.bands.of(searcher.archive, field.scenes.ids[rows].tolist()), strict=True
    ):
        kinds.setdefault(waves, set()).add(str(field.scenes.sensors[row]))
    found: dict[tuple[float, float], set[str]] = {}
    for waves, sensors in kinds.items():
        for probability in _PROBABILITIES:
            score = least_cosine(searcher.encoder, waves, probability)
            if np.isfinite(score):
                found.setdefault((probability, round(score, _PLACES)), set()).update(sensors)
    return [
        {"probability": probability, "score": score, "sensors": sorted(sensors)}
        for (probability, score), sensors in sorted(found.items())
    ]
