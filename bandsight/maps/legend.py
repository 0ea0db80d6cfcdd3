"""Probabilities of scores, for the legend of a heat map."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bandsight.maps.scores import ScoreField
from bandsight.search.question import Question
from bandsight.search.searcher import Searcher, least_cosine

if TYPE_CHECKING:
    from bandsight.model.scoring import Imagery

_PROBABILITIES = (0.1, 0.25, 0.5, 0.75, 0.9)
_PLACES = 4


def probability_marks(searcher: Searcher, question: Question, field: ScoreField) -> list[dict[str, Any]]:
    """Return scores with their probability and the sensors for which it is valid.

    The list is empty if a score is not the cosine with the best sentence: with other kinds of examples, with negatives,
    for a classifier, and for the average of several sentences.
    """
    if not question.only_texts or question.unfamiliar is not None:
        return []
    rows = np.unique(field.scene_at)
    kinds: dict[Imagery, set[str]] = {}
    scenes = searcher.imagery.of(searcher.archive, field.scenes.ids[rows].tolist())
    for row, imagery in zip(rows.tolist(), scenes, strict=True):
        if imagery is not None:
            kinds.setdefault(imagery, set()).add(str(field.scenes.sensors[row]))
    found: dict[tuple[float, float], set[str]] = {}
    for imagery, sensors in kinds.items():
        for probability in _PROBABILITIES:
            # The score does not tell which sentence matched, so all of them must reach the probability.
            cosine = max(least_cosine(searcher.encoder, imagery, text, probability) for text in question.texts)
            if np.isfinite(cosine):
                score = float(question.families.of(imagery.family).scores(np.array(cosine, np.float32)))
                found.setdefault((probability, round(score, _PLACES)), set()).update(sensors)
    return [
        {"probability": probability, "score": score, "sensors": sorted(sensors)}
        for (probability, score), sensors in sorted(found.items())
    ]
