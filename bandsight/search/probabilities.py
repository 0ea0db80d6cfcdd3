"""What the model knows of hits: how likely each shows what a sentence says, and whether that counts as a match."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Hit
from bandsight.model.protocol import Encoder


def calibrated(encoder: Encoder, hits: Sequence[Hit], cosines: NDArray[np.float32]) -> list[Hit]:
    """Return hits with the probability that each shows what the likeliest of some sentences says.

    Args:
        encoder: Knows what a cosine is worth.
        hits: The hits.
        cosines: Of each hit with each sentence, shape (hits, sentences).
    """
    if not hits:
        return []
    bands = [hit.scene.wavelengths_um for hit in hits]
    # A probability depends on the cosine and the bands only, so cosines stand for vectors of one number.
    one = np.ones((1, 1), np.float32)
    columns = [encoder.probabilities(column[:, None], one, bands)[:, 0] for column in cosines.T]
    values = np.max(columns, axis=0)
    levels = {waves: encoder.threshold(waves) for waves in set(bands)}
    return [
        replace(hit, probability=float(value), match=None if level is None else bool(value >= level))
        for hit, value, level in zip(hits, values, (levels[waves] for waves in bands), strict=True)
    ]


def nothing_matches(hits: Sequence[Hit]) -> bool:
    """Say whether the threshold is known and no hit reaches it: the archive may hold nothing of the kind."""
    return bool(hits) and not any(hit.match is not False for hit in hits)
