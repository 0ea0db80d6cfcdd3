"""Calibration: maps cosines to probabilities and sets match thresholds, for each family of imagery."""

import base64
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.imagery import FAMILIES, ImageryLike, as_imagery

FILE = "calibration.json"
NOT_CALIBRATED = "the model is not calibrated"
# Environment variable: folder of the user's own calibrations.
_FOLDER_VARIABLE = "BANDSIGHT_CALIBRATIONS"
# Tolerance on the GSD range, because the GSD of rasters in degrees is approximate.
_GSD_MARGIN = 1.25


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


def user_file(digest: str) -> Path:
    """Return the path of the user's own calibration of a model, named by the digest of its weights.

    The folder is `$BANDSIGHT_CALIBRATIONS`, or `bandsight/calibrations` in the user's data folder
    (`$XDG_DATA_HOME`, `~/.local/share`).
    """
    folder = os.environ.get(_FOLDER_VARIABLE)
    if folder:
        return Path(folder).expanduser() / f"{digest}.json"
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "bandsight" / "calibrations" / f"{digest}.json"


def read_calibration(folder: Path | None, digest: str) -> Calibration:
    """Return the calibration of a model: the one in its folder, overridden by the user's own for each family.

    Args:
        folder: The model folder, which may contain a calibration.json, or None.
        digest: Digest of the model's weights.

    Raises:
        ModelError: A file is not a valid calibration, or was fitted for other weights.
    """
    shipped = shipped_calibration(folder, digest)
    own = user_file(digest)
    advice = f"delete {own} and run bandsight calibrate again"
    fitted = _read(own, digest, advice)
    if not fitted.families or not shipped.families:
        return fitted if fitted.families else shipped
    if not _same(shipped.background, fitted.background):
        raise ModelError(f"{own}: fitted on scores with another background than the model's own calibration; {advice}")
    return Calibration(shipped.families | fitted.families, shipped.background)


def shipped_calibration(folder: Path | None, digest: str) -> Calibration:
    """Return the calibration in a model's folder, empty if there is none; see `read_calibration`."""
    return Calibration() if folder is None else _read(folder / FILE, digest, "download the model again")


def _same(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.allclose(one, other, atol=1e-4))


def _read(path: Path, digest: str, advice: str) -> Calibration:
    """Read a calibration file; empty if it does not exist.

    Ignores the entry `default` of earlier versions, which was not fitted on any imagery.
    """
    if not path.is_file():
        return Calibration()
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        families = {name: _platt(entry) for name, entry in document["families"].items() if name != "default"}
        fitted_for = document.get("model_digest")
        background = _mean(document.get("background"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a calibration ({error!r}); {advice}") from error
    if unknown := sorted(set(families) - set(FAMILIES)):
        raise ModelError(f"{path}: unknown families {unknown}; expected some of {list(FAMILIES)}")
    if fitted_for is not None and fitted_for != digest:
        raise ModelError(
            f"{path}: fitted for a model with other weights ({str(fitted_for)[:12]}, this one has {digest[:12]}); "
            "delete it and run bandsight calibrate for this model"
        )
    return Calibration(families, background)


def _mean(entry: dict[str, Any] | None) -> NDArray[np.float32] | None:
    if entry is None:
        return None
    mean = np.array(entry["mean"], np.float32)
    if mean.ndim != 1 or not np.isfinite(mean).all():
        raise ValueError(f"background of shape {mean.shape}: need a vector of finite numbers")
    return mean


def background_entry(mean: NDArray[np.float32]) -> dict[str, Any]:
    """Return the entry `background` of calibration.json for a mean vector, shape (dim,)."""
    return {"mean": [round(float(value), 5) for value in mean]}


def _platt(entry: dict[str, Any]) -> Platt:
    threshold, gsd_m, asked = entry.get("threshold"), entry.get("gsd_m"), entry.get("questions")
    numbers = [float(entry["scale"]), float(entry["bias"]), *([] if threshold is None else [float(threshold)])]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{numbers}: scale, bias and threshold must be finite")
    if numbers[0] <= 0:
        raise ValueError(f"scale {numbers[0]}: must be above 0, or the probability falls as the score rises")
    if gsd_m is not None:
        low, high = (float(value) for value in gsd_m)
        if not 0 < low <= high < math.inf:
            raise ValueError(f"gsd_m {gsd_m}: need [smallest, largest], above 0")
        gsd_m = (low, high)
    return Platt(
        scale=numbers[0],
        bias=numbers[1],
        threshold=None if threshold is None else numbers[2],
        gsd_m=gsd_m,
        questions=None if asked is None else _questions(asked),
    )


def _questions(entry: dict[str, Any]) -> Questions:
    count, least = len(entry["sentences"]), float(entry["least_cosine"])
    numbers = np.frombuffer(base64.b64decode(entry["vectors"], validate=True), "<f2").astype(np.float32)
    vectors = numbers.reshape(count, -1)
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all() or not -1 <= least <= 1:
        raise ValueError(f"questions: need a vector of finite numbers for each sentence, and a cosine; found {least}")
    return Questions(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), least)


def questions_entry(sentences: Sequence[str], vectors: NDArray[np.float32], least_cosine: float) -> dict[str, Any]:
    """Return the entry `questions` of a family in calibration.json; see `Questions`.

    The vectors are stored as consecutive little-endian float16 values, base64-encoded.
    """
    encoded = base64.b64encode(vectors.astype("<f2").tobytes()).decode("ascii")
    return {"sentences": list(sentences), "least_cosine": round(least_cosine, 3), "vectors": encoded}
