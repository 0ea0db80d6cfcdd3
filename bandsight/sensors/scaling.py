"""How a sensor's numbers become 0..255."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["as_is", "linear", "percentile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A rule from stored numbers to 0..255, the same for every tile of a scene."""

    kind: Kind
    """`as_is`: the numbers are 0..255 already. `linear`: `low` becomes 0, `high` becomes 255. `percentile`:
    the scene's own 1st and 99th percentile do, those of the visible bands together, so that colours keep."""
    low: float = 0.0
    """Becomes 0, in stored numbers (dB after `to_db`)."""
    high: float = 255.0
    """Becomes 255."""
    to_db: bool = False
    """Amplitudes become dB (20·log10) before anything else."""
    plausible: tuple[float, float] | None = None
    """The scene's median lies in here, or its numbers are not what this rule is for."""


def stretch(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Return values with `low` at 0 and `high` at 255, clipped, any shape."""
    scaled = (values - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def decibel(amplitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 20·log10 of amplitudes; what is not positive becomes -120."""
    return np.asarray(20 * np.log10(np.maximum(amplitudes, 1e-6)), np.float32)
