"""Scores of sentences: the vectors that tiles are ranked by, and the probabilities that scores mean.

Images of different families (see `FAMILIES`) score differently, so each family has its own calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError

NOT_CALIBRATED = "the model is not calibrated"
# Tolerance on the GSD range, because the GSD of rasters in degrees is approximate.
_GSD_MARGIN = 1.25
# Slope of scores without a probability above the score of an even chance: low, but distinct scores stay distinct.
_ABOVE_KNEE = 0.05
# Below this norm, a sentence does not differ from the background and keeps its vector.
_LEAST_NORM = 1e-6

FAMILIES = {
    "rgb": "red, green and blue images",
    "multispectral": "multispectral imagery",
    "hyperspectral": "hyperspectral imagery",
    "radar": "C-band radar",
    "radar_x": "X-band radar",
    "radar_other": "radar in bands other than C and X",
    "thermal": "thermal infrared imagery",
    "elevation": "elevation",
}
"""Description of each family, by name."""

_RADAR_UM, _VISIBLE_UM, _THERMAL_UM = 5.405, (0.4, 0.71), 3.0
# More bands than multispectral sensors have. MODIS has 36, but its profile uses 7.
_HYPERSPECTRAL = 30
# IEEE 521-2019.
_C_BAND_GHZ, _X_BAND_GHZ = (4.0, 8.0), (8.0, 12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagery:
    """Properties of an image that select its calibration."""

    family: str
    """One of `FAMILIES`."""
    gsd_m: float | None = None
    """Ground sample distance of the model's input pixels, m; None if unknown."""


ImageryLike = Imagery | Sequence[float]
"""Imagery, or just the wavelengths of its bands, µm."""


def as_imagery(like: ImageryLike) -> Imagery:
    """Return imagery unchanged, or the imagery for a list of wavelengths, µm."""
    return like if isinstance(like, Imagery) else Imagery(family=family(like))


def family(wavelengths: Sequence[float]) -> str:
    """Return the family for a list of wavelengths, µm. The code 5.405 stands for C-band radar.

    Elevation has the wavelengths of red, green and blue, and X-band radar those of C band, so wavelengths alone cannot
    distinguish them.
    """
    return _family(tuple(wavelengths))


# Cached: called for every hit of a page, with few distinct lists.
@lru_cache(maxsize=256)
def _family(wavelengths: tuple[float, ...]) -> str:
    if all(abs(value - _RADAR_UM) < 1e-3 for value in wavelengths):  # noqa: PLR2004
        return "radar"
    if all(value > _THERMAL_UM for value in wavelengths):
        return "thermal"
    if len(wavelengths) >= _HYPERSPECTRAL:
        return "hyperspectral"
    low, high = _VISIBLE_UM
    return "rgb" if all(low <= value <= high for value in wavelengths) else "multispectral"


def radar_family(frequency_ghz: float) -> str:
    """Return the radar family for a frequency."""
    if _C_BAND_GHZ[0] <= frequency_ghz < _C_BAND_GHZ[1]:
        return "radar"
    return "radar_x" if _X_BAND_GHZ[0] <= frequency_ghz <= _X_BAND_GHZ[1] else "radar_other"


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Sentences that a calibration was fitted on, if it is valid only for similar ones."""

    vectors: NDArray[np.float32]
    """Unit vectors as searches use them, shape (n, dim)."""
    least_cosine: float
    """Minimum cosine to one of these for a sentence to be covered."""

    def cover(self, texts: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which sentences are covered, shape (m,), for unit vectors (m, dim)."""
        return np.asarray((texts @ self.vectors.T).max(axis=1) >= self.least_cosine, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platt:
    """probability = sigmoid(cosine × scale + bias)."""

    scale: float
    bias: float
    threshold: float | None = None
    """Minimum probability of a match; None if not measured."""
    gsd_m: tuple[float, float] | None = None
    """Smallest and largest ground sample distance of the training data, m; None if unknown."""
    questions: Questions | None = None
    """Sentences it is valid for; None for any."""

    def probability(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities for cosines of any shape."""
        return np.asarray(1 / (1 + np.exp(-(cosines * self.scale + self.bias))), np.float32)

    def covers(self, gsd_m: float | None) -> bool:
        """Return whether the calibration is valid for a ground sample distance; an unknown one counts as covered."""
        known = self.range_m
        return gsd_m is None or known is None or known[0] <= gsd_m <= known[1]

    @property
    def range_m(self) -> tuple[float, float] | None:
        """Smallest and largest ground sample distance it is valid for, m; None for any."""
        return None if self.gsd_m is None else (self.gsd_m[0] / _GSD_MARGIN, self.gsd_m[1] * _GSD_MARGIN)

    def covers_all(self, texts: NDArray[np.float32]) -> bool:
        """Return whether the calibration is valid for all of these sentences, unit vectors (n, dim)."""
        return self.questions is None or bool(self.questions.cover(texts).all())


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """Makes scores of families comparable: score = cosine × gain + offset, less steep above a knee.

    Scores of calibrated families are converted so that equal scores mean equal probabilities. Imagery without a
    probability keeps its order, but hardly rises above the score of an even chance.
    """

    gain: float = 1.0
    """Above 0."""
    offset: float = 0.0
    knee: float = np.inf
    """Score from which the slope is only `_ABOVE_KNEE` of the gain."""

    def scores(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores for cosines of any shape."""
        plain = np.asarray(cosines * np.float32(self.gain) + np.float32(self.offset), np.float32)
        return plain if np.isinf(self.knee) else np.asarray(plain - self._above(plain) * (1 - _ABOVE_KNEE), np.float32)

    def cosines(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return cosines for scores of any shape."""
        plain = scores if np.isinf(self.knee) else scores + self._above(scores) * (1 / _ABOVE_KNEE - 1)
        return np.asarray((plain - np.float32(self.offset)) / np.float32(self.gain), np.float32)

    def _above(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.maximum(scores - np.float32(self.knee), 0), np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibrations of a model by family. Other families have no probabilities."""

    families: dict[str, Platt] = field(default_factory=dict)
    background: NDArray[np.float32] | None = field(default=None, compare=False)
    """Background mean subtracted from sentences when fitting, shape (dim,)."""

    def of(self, imagery: ImageryLike) -> Platt | None:
        """Return the calibration for imagery, or None."""
        one = as_imagery(imagery)
        platt = self.families.get(one.family)
        return platt if platt is not None and platt.covers(one.gsd_m) else None

    @property
    def reference(self) -> Platt | None:
        """The calibration whose cosines are the scores: that of red, green and blue images, else the first."""
        return next((self.families[name] for name in FAMILIES if name in self.families), None)

    def scales(self, texts: NDArray[np.float32]) -> dict[str, ScoreScale]:
        """Return the families whose scores for sentences (n, dim) differ from cosines, with their scales.

        All scores are cosines if the reference does not cover one of the sentences.
        """
        reference = self.reference
        if reference is None or not reference.covers_all(texts):
            return {}
        unknown = ScoreScale(knee=-reference.bias / reference.scale)
        scales = {}
        for name in FAMILIES:
            platt = self.families.get(name)
            if platt is None or not platt.covers_all(texts):
                scales[name] = unknown
            elif platt is not reference:
                gain, offset = platt.scale / reference.scale, (platt.bias - reference.bias) / reference.scale
                scales[name] = ScoreScale(gain, offset)
        return scales

    def reason(self, imagery: ImageryLike, text: NDArray[np.float32] | None = None) -> str | None:
        """Return why there is no probability for a sentence about imagery, or None if there is one.

        Args:
            imagery: The imagery.
            text: Unit vector of the sentence as searches use it, shape (dim,); None for any.
        """
        one = as_imagery(imagery)
        if not self.families:
            return NOT_CALIBRATED
        platt = self.families.get(one.family)
        if platt is None:
            return f"not calibrated for {FAMILIES.get(one.family, one.family)}"
        if platt.covers(one.gsd_m) or platt.gsd_m is None:
            if text is None or platt.questions is None or platt.questions.cover(text[None])[0]:
                return None
            return f"not calibrated for this kind of question about {FAMILIES[one.family]}"
        low, high = platt.gsd_m
        fitted = f"{low:g} m" if low == high else f"{low:g} to {high:g} m"
        return f"not calibrated for {FAMILIES[one.family]} of {one.gsd_m:g} m per pixel, only for {fitted}"


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Converts the scores of a model to probabilities."""

    model: str
    """Name of the model, for messages."""
    calibration: Calibration
    """Calibration by family of imagery."""
    logit_scale: float | None
    """Logarithm of the model's logit scale."""
    logit_bias: float | None
    """The model's logit bias; None if trained without one."""
    dim: int
    """Length of the model's vectors."""

    def __post_init__(self) -> None:
        background = self.calibration.background
        if background is not None and len(background) != self.dim:
            raise ModelError(
                f"model {self.model}: its calibration has a background vector of length {len(background)}, but its "
                f"vectors have length {self.dim}; run bandsight calibrate again"
            )

    def of(
        self,
        cosines: NDArray[np.float32],
        texts: NDArray[np.float32],
        imagery: Sequence[ImageryLike],
    ) -> NDArray[np.float32]:
        """Return the probability that each image shows what each sentence describes, shape (images, sentences).

        NaN where the model is not calibrated for the imagery or for this kind of sentence about it.

        Args:
            cosines: Cosines between images and sentences, shape (images, sentences).
            texts: Unit vectors of the sentences as searches use them, shape (sentences, dim).
            imagery: Imagery of each image.
        """
        out = np.full_like(cosines, np.nan, np.float32)
        calibrations = [self.calibration.of(one) for one in imagery]
        for platt in {id(one): one for one in calibrations if one is not None}.values():
            rows = np.array([other is platt for other in calibrations])
            covered = np.ones(len(texts), np.bool_) if platt.questions is None else platt.questions.cover(texts)
            out[rows] = np.where(covered, platt.probability(cosines[rows]), np.nan)
        return out

    def reason(self, imagery: ImageryLike, text: NDArray[np.float32] | None = None) -> str | None:
        """Return why there is no probability, or None if there is one; see `Calibration.reason`."""
        return self.calibration.reason(imagery, text)

    def families(self, text: NDArray[np.float32]) -> dict[str, Platt]:
        """Return the calibrations that are valid for a sentence, by family of imagery.

        Args:
            text: Unit vector of the sentence as searches use it, shape (dim,).
        """
        return {
            name: platt
            for name, platt in self.calibration.families.items()
            if platt.questions is None or platt.questions.cover(text[None])[0]
        }

    def threshold(self, imagery: ImageryLike) -> float | None:
        """Return the minimum probability of a match, or None if not measured."""
        platt = self.calibration.of(imagery)
        return None if platt is None else platt.threshold

    @property
    def sure(self) -> float | None:
        """Probability from which a hit is a match: the highest threshold of all families; None if none has one."""
        levels = [platt.threshold for platt in self.calibration.families.values() if platt.threshold is not None]
        return max(levels, default=None)

    def scales(self, texts: NDArray[np.float32]) -> dict[str, ScoreScale]:
        """Return the families whose scores for sentences differ from cosines; see `Calibration.scales`."""
        return self.calibration.scales(texts)

    def own(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return uncalibrated probabilities, from the model's logit scale and bias.

        Raises:
            ModelError: The model has no logit bias.
        """
        if self.logit_bias is None or self.logit_scale is None:
            raise ModelError(
                f"model {self.model}: no logit bias (init_logit_bias in the config), so its scores are not "
                "probabilities; fit a calibration: bandsight calibrate DATA --model MODEL"
            )
        scale = np.exp(np.float32(self.logit_scale))
        return np.asarray(1 / (1 + np.exp(-(cosines * scale + np.float32(self.logit_bias)))), np.float32)


class TextEncoder(Protocol):
    """The part of an `Encoder` that embeds sentences."""

    @property
    def background(self) -> NDArray[np.float32] | None:
        """Mean vector of the background sentences, shape (dim,), or None."""

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one unit vector per text, shape (n, dim)."""


def sentence_vectors(encoder: TextEncoder, texts: list[str]) -> NDArray[np.float32]:
    """Return the unit vectors of sentences for ranking tiles, shape (n, dim).

    If the model's calibration was fitted without a background, these are the vectors of `Encoder.embed_texts`.
    """
    return less_background(encoder.embed_texts(texts), encoder.background)


def less_background(vectors: NDArray[np.float32], mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Subtract the background mean (dim,) from unit vectors (n, dim) and renormalise.

    This keeps tiles that score well with any sentence from ranking first.
    """
    if mean is None or not len(vectors):
        return vectors
    apart = vectors - mean
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    return np.where(lengths > _LEAST_NORM, apart / np.maximum(lengths, _LEAST_NORM), vectors).astype(np.float32)
