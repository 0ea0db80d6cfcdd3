"""Calibrated probabilities of hits, for the imagery and sentences that a model's calibration covers."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.archive.scene_imagery import imagery_of
from bandsight.catalog.records import Hit
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import Imagery, ImageryLike

# Bisection steps of -1..1 to reach float32 resolution.
_HALVINGS = 30
# The calibration was fitted on English sentences of at most this length.
_MAX_WORDS = 40
# Short foreign words that are neither English nor part of names used in English (Las Vegas, El Paso).
_FOREIGN = frozenset(
    [
        "und",
        "mit",
        "der",
        "das",
        "ein",
        "eine",
        "zwischen",
        "wo",
        "sind",
        "auf",
        "im",
        "le",
        "les",
        "une",
        "et",
        "avec",
        "dans",
        "du",
        "au",
        "una",
        "y",
        "en",
        "del",
        "donde",
        "il",
        "gli",
        "uno",
        "della",
        "nel",
        "dove",
        "em",
        "com",
        "uma",
        "onde",
        "een",
        "het",
        "waar",
    ]
)


def calibrated(
    encoder: Encoder, hits: Sequence[Hit], cosines: NDArray[np.float32], texts: NDArray[np.float32]
) -> list[Hit]:
    """Return hits with the probability of their likeliest sentence, and whether it reaches the threshold.

    Hits without a calibration for their imagery or the sentences get a reason instead.

    Args:
        encoder: Its calibration turns cosines into probabilities.
        hits: The hits.
        cosines: Cosine of each hit with each sentence, shape (hits, sentences).
        texts: Unit vectors of the sentences as used in searches, shape (sentences, dim).
    """
    if not hits:
        return []
    kinds, meaning = [imagery_of_hit(hit) for hit in hits], encoder.probabilities
    # Sentences without a probability are ignored if another one has it.
    values = np.fmax.reduce(meaning.of(cosines, texts, kinds), axis=1)
    known = {one: (meaning.threshold(one), _reason(encoder, one, texts)) for one in set(kinds)}
    return [_judged(hit, float(value), *known[one]) for hit, value, one in zip(hits, values, kinds, strict=True)]


def _reason(encoder: Encoder, imagery: Imagery, texts: NDArray[np.float32]) -> str | None:
    """Return why imagery has no probability for any of the sentences, or None if it has one."""
    reasons = [encoder.probabilities.reason(imagery, text) for text in texts]
    return None if None in reasons else reasons[0]


def _judged(hit: Hit, value: float, level: float | None, reason: str | None) -> Hit:
    if not np.isfinite(value):
        return replace(hit, probability_reason=reason)
    return replace(hit, probability=value, match=None if level is None else bool(value >= level))


def least_cosine(encoder: Encoder, imagery: ImageryLike, text: NDArray[np.float32], probability: float) -> float:
    """Return the minimum cosine with a sentence (dim,) for a probability, or infinity if none reaches it.

    The probability increases with the cosine, so bisection works. Imagery without probabilities reaches none.
    """

    def of(cosine: float) -> float:
        return float(encoder.probabilities.of(np.full((1, 1), cosine, np.float32), text[None], [imagery])[0, 0])

    if encoder.probabilities.reason(imagery, text) is not None:
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


def unfamiliar(text: str) -> str | None:
    """Return why a query has no valid probability, or None if no reason is found.

    Only the wording is checked. A single foreign noun without diacritics is not recognised.
    """
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return "not calibrated for queries without words"
    latin = sum(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    if 2 * latin < len(letters):
        return "not calibrated for queries in scripts other than Latin"
    words = text.lower().split()
    if len(words) > _MAX_WORDS:
        return f"not calibrated for queries of more than {_MAX_WORDS} words"
    if not "".join(letters).isascii() or _FOREIGN & {word.strip(".,;:!?\"'()") for word in words}:
        return "not calibrated for queries in languages other than English"
    return None


def imagery_of_hit(hit: Hit) -> Imagery:
    """Return the imagery of a hit's tile."""
    return imagery_of(hit.scene, hit.tile.scale)


class SceneImagery:
    """A cache of scenes' imagery at native resolution, which never changes."""

    def __init__(self) -> None:
        self._of: dict[int, Imagery | None] = {}

    def of(self, archive: Archive, scene_ids: Sequence[int]) -> list[Imagery | None]:
        """Return the imagery of scenes; None for a scene that is gone."""
        if missing := [one for one in scene_ids if one not in self._of]:
            self._of |= {one: imagery_of(scene) for one, scene in archive.scenes_by_id(missing).items()}
        return [self._of.get(one) for one in scene_ids]


def at_scale(imagery: Imagery, scale: int) -> Imagery:
    """Return imagery downsampled by a scale of s×s native pixels."""
    return imagery if imagery.gsd_m is None else replace(imagery, gsd_m=imagery.gsd_m * scale)
