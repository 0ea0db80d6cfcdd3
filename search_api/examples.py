"""Sentences that an archive can answer, each with the tile that answers it best."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandsight.archive import Archive
from bandsight.model.protocol import Encoder
from bandsight.search.question_ranking import calibrated
from bandsight.search.ranking import nearest

# What people look for first, in the words that they use; in no order.
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
# Nearest tiles of each sentence that are judged.
_DEPTH = 24
_MOST = 12


def examples(archive: Archive, encoder: Encoder, candidates: Sequence[str] = CANDIDATES) -> list[dict[str, Any]]:
    """Return the sentences that are likeliest to be true of some tile, the surest first, no tile twice.

    Only sentences that reach the model's own level of a match count, where it has one.
    """
    texts = encoder.embed_texts(list(candidates))
    found: list[tuple[float, str, int, float]] = []
    for text, hits in zip(candidates, nearest(archive, texts, _DEPTH), strict=True):
        if not hits:
            continue
        cosines = np.array([[hit.score] for hit in hits], np.float32)
        for hit in calibrated(encoder, hits, cosines):
            level, chance = encoder.threshold(hit.scene.wavelengths_um), hit.probability
            if chance is not None and hit.match is not False:
                # How far above its own level: so sensors of different levels compare.
                found.append((chance / level if level else chance, text, hit.tile.id, chance))
    chosen: list[dict[str, Any]] = []
    said: set[str | int] = set()
    for _, text, tile, chance in sorted(found, reverse=True):
        if not {text, tile} & said and len(chosen) < _MOST:
            said |= {text, tile}
            chosen.append({"text": text, "tile": tile, "probability": round(chance, 4)})
    return chosen
