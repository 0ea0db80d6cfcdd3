"""Example queries that have good matches in an archive, each with its best tile."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandsight.archive import Archive
from bandsight.archive.scene_imagery import imagery_of
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import sentence_vectors
from bandsight.search.ranking import nearest
from bandsight.search.searcher import calibrated

# Common queries, in no particular order.
CANDIDATES = (
    "a lake surrounded by fields",
    "a river beside fields",
    "a river through a forest",
    "a dense forest",
    "trees seen from above",
    "farmland divided into fields",
    "circular irrigated fields",
    "a village with houses",
    "a dense city",
    "houses with gardens",
    "an industrial area with large roofs",
    "an airport with runways",
    "a harbour with ships",
    "a highway junction",
    "a solar farm",
    "a coast with a beach",
    "open water",
    "bare mountains",
    "mountains with snow",
    "desert sand",
    "a quarry",
    "grassland and pasture",
    "a wetland with ponds",
)
# Nearest tiles to consider for each candidate, and maximum number of examples.
_DEPTH = 24
_MAX_EXAMPLES = 12
# An example is at least as likely as not, also where no threshold was measured.
_LEAST = 0.5


def example_queries(archive: Archive, encoder: Encoder, candidates: Sequence[str] = CANDIDATES) -> list[dict[str, Any]]:
    """Return the candidates with the most probable matches, best first; each tile appears once.

    If the model has match thresholds, a candidate needs a tile above its threshold.
    """
    texts = sentence_vectors(encoder, list(candidates))
    found: list[tuple[float, str, int, float]] = []
    for text, vector, hits in zip(candidates, texts, nearest(archive, texts, _DEPTH), strict=True):
        if not hits:
            continue
        cosines = np.array([[hit.score] for hit in hits], np.float32)
        kinds = [imagery_of(hit.scene, hit.tile.scale) for hit in hits]
        for hit, imagery in zip(calibrated(encoder, hits, kinds, cosines, vector[None]), kinds, strict=True):
            threshold, probability = encoder.probabilities.threshold(imagery), hit.probability
            if probability is not None and probability >= _LEAST and hit.match is not False:
                # Thresholds differ by sensor, so compare the margin above the threshold.
                margin = probability / threshold if threshold else probability
                found.append((margin, text, hit.tile.id, probability))
    examples: list[dict[str, Any]] = []
    used: set[str | int] = set()
    for _, text, tile, probability in sorted(found, reverse=True):
        if not {text, tile} & used and len(examples) < _MAX_EXAMPLES:
            used |= {text, tile}
            examples.append({"text": text, "tile": tile, "probability": round(probability, 4)})
    return examples
