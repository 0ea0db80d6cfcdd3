"""Calibrated probabilities of hits, and thresholds: whether a hit counts as a match."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.catalog.records import Hit
from bandsight.model.protocol import Encoder

# Bisecting -1..1 this often reaches the resolution of float32.
_HALVINGS = 30
_ONE: NDArray[np.float32] = np.ones((1, 1), np.float32)

Bands = tuple[float, ...]


def calibrated(encoder: Encoder, hits: Sequence[Hit], cosines: NDArray[np.float32]) -> list[Hit]:
    """Return hits with their probability, of the likeliest sentence, and whether it reaches the threshold.

    Args:
        encoder: Its calibration turns cosines into probabilities.
        hits: The hits.
        cosines: Of each hit with each sentence, shape (hits, sentences).
    """
    if not hits:
        return []
    bands = [hit.scene.wavelengths_um for hit in hits]
    # A probability depends on the cosine and the bands only, so cosines stand for vectors of one number.
    columns = [encoder.probabilities(column[:, None], _ONE, bands)[:, 0] for column in cosines.T]
    values = np.max(columns, axis=0)
    levels = {waves: encoder.threshold(waves) for waves in set(bands)}
    return [
        replace(hit, probability=float(value), match=None if level is None else bool(value >= level))
        for hit, value, level in zip(hits, values, (levels[waves] for waves in bands), strict=True)
    ]


def nothing_matches(hits: Sequence[Hit]) -> bool:
    """Return True when thresholds are known and no hit reaches its own."""
    return bool(hits) and not any(hit.match is not False for hit in hits)


def least_cosine(encoder: Encoder, wavelengths: Sequence[float], probability: float) -> float:
    """Return the least cosine with at least this probability, infinity where none reaches it.

    A probability grows with the cosine and depends on nothing but the bands, so a bisection over cosines finds it.
    """

    def of(cosine: float) -> float:
        return float(encoder.probabilities(np.full((1, 1), cosine, np.float32), _ONE, [wavelengths])[0, 0])

    low, high = -1.0, 1.0
    if of(low) >= probability:
        return -np.inf
    if of(high) < probability:
        return np.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if of(middle) >= probability else (middle, high)
    return high


class SceneBands:
    """A cache of the wavelengths of scenes, which never change."""

    def __init__(self) -> None:
        self._of: dict[int, Bands] = {}

    def of(self, archive: Archive, scene_ids: Sequence[int]) -> list[Bands]:
        """Return the wavelengths of scenes, µm; empty for a scene that is gone."""
        if missing := [one for one in scene_ids if one not in self._of]:
            self._of |= {one: scene.wavelengths_um for one, scene in archive.scenes_by_id(missing).items()}
        return [self._of.get(one, ()) for one in scene_ids]
