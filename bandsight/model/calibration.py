"""Calibration: from cosines to probabilities, and match thresholds, for each family of imagery."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError

FILE = "calibration.json"
# A model calibrates the families that it has data for. The others use its `default`.
FAMILIES = ("rgb", "multispectral", "radar", "thermal")
_RADAR_UM, _VISIBLE_UM, _THERMAL_UM = 5.405, (0.4, 0.71), 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Platt:
    """probability = sigmoid(cosine × scale + bias)."""

    scale: float
    bias: float
    threshold: float | None = None
    """Least probability of a match; None where it was not measured."""

    def probability(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities of cosines of any shape."""
        return np.asarray(1 / (1 + np.exp(-(cosines * self.scale + self.bias))), np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The default calibration of a model, and those of families."""

    default: Platt
    families: dict[str, Platt]

    def of(self, wavelengths: Sequence[float] | None) -> Platt:
        """Return the calibration for images with these bands, µm; None stands for red, green, blue."""
        return self.families.get("rgb" if wavelengths is None else family(wavelengths), self.default)


def family(wavelengths: Sequence[float]) -> str:
    """Return the family of imagery of a list of bands, µm; radar has the code 5.405.

    Elevation is coded as red, green, blue, so it belongs to `rgb`.
    """
    return _family(tuple(wavelengths))


# Called for every hit of a page, with few distinct lists.
@lru_cache(maxsize=256)
def _family(wavelengths: tuple[float, ...]) -> str:
    if all(abs(value - _RADAR_UM) < 1e-3 for value in wavelengths):  # noqa: PLR2004
        return "radar"
    if all(value > _THERMAL_UM for value in wavelengths):
        return "thermal"
    low, high = _VISIBLE_UM
    return "rgb" if all(low <= value <= high for value in wavelengths) else "multispectral"


def read_calibration(folder: Path, builtin: Platt | None) -> Calibration | None:
    """Return the calibration in the calibration.json of a model folder, None where there is no such file.

    Args:
        folder: The model folder.
        builtin: Scale and bias of the model itself, used where the file has no `default`.

    Raises:
        ModelError: The file is not a valid calibration.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        families = {name: _platt(entry) for name, entry in document["families"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a calibration ({error!r}); download the model again") from error
    if unknown := sorted(set(families) - {*FAMILIES, "default"}):
        raise ModelError(f"{path}: unknown families {unknown}; expected {[*FAMILIES, 'default']}")
    default = families.pop("default", builtin)
    if default is None:
        raise ModelError(f"{path}: no family 'default', and the model has no logit bias; need one of them")
    return Calibration(default, families)


def _platt(entry: dict[str, Any]) -> Platt:
    threshold = entry.get("threshold")
    numbers = [float(entry["scale"]), float(entry["bias"]), *([] if threshold is None else [float(threshold)])]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{numbers}: scale, bias and threshold must be finite")
    return Platt(scale=numbers[0], bias=numbers[1], threshold=None if threshold is None else numbers[2])
