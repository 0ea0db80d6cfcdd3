"""How a sensor's numbers become physical values, and those 0..255."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["as_is", "linear", "percentile"]
Decibel = Literal["amplitude", "power"]
# 10·log10 of power is 20·log10 of amplitude; nothing is below -120 dB.
_DB_FACTOR = {"amplitude": 20.0, "power": 10.0}
_FLOOR_DB = -120.0
_PERCENTILES = (1.0, 99.0)
# The same for pictures, each band on its own: its own dark end removes the blue of haze.
_DISPLAY_PERCENTILES = (0.5, 99.0)
# Bands in here are stretched together, so that colours keep.
_VISIBLE_UM = (0.44, 0.70)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A rule from stored numbers to 0..255, the same for every tile of a scene."""

    kind: Kind
    """`as_is`: the numbers are 0..255 already. `linear`: `low` becomes 0, `high` becomes 255. `percentile`:
    the scene's own 1st and 99th percentile do, those of the visible bands together, so that colours keep."""
    quantity: str = "number"
    """What a physical value is, for people, e.g. `reflectance` or `K`."""
    scale: float = 1.0
    """Physical value = stored number × scale + offset."""
    offset: float = 0.0
    """See `scale`."""
    to_db: Decibel | None = None
    """Stored numbers are amplitude or power, and become dB before anything else."""
    low: float = 0.0
    """Physical value that becomes 0."""
    high: float = 255.0
    """Physical value that becomes 255."""
    plausible: tuple[float, float] | None = None
    """The median of the scene's stored numbers (dB after `to_db`) is in this range, or the rule does not apply."""

    def __post_init__(self) -> None:
        if self.kind not in {"as_is", "linear", "percentile"}:
            raise ValueError(f"kind {self.kind!r}; need as_is, linear or percentile")
        if self.to_db not in {None, "amplitude", "power"}:
            raise ValueError(f"to_db {self.to_db!r}; need amplitude or power")
        if self.scale <= 0:
            raise ValueError(f"scale {self.scale}; need a positive number")
        if self.low >= self.high:
            raise ValueError(f"low {self.low} and high {self.high}; need low < high")

    def stored(self, physical: float) -> float:
        """Return the stored number (dB after `to_db`) of a physical value."""
        return (physical - self.offset) / self.scale

    def physical(self, stored: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the physical values of stored numbers, any shape."""
        return stored * np.float32(self.scale) + np.float32(self.offset)


def percentile_limits(
    samples: Sequence[NDArray[np.floating[Any]]], wavelengths: Sequence[float]
) -> list[tuple[float, float]]:
    """Return what becomes 0 and 255 in each band by a `percentile` rule: those of visible bands are one.

    Args:
        samples: Valid values of each band, at least one each.
        wavelengths: Centre of each, µm.
    """
    visible = [_VISIBLE_UM[0] < wave < _VISIBLE_UM[1] for wave in wavelengths]
    seen = [sample for sample, is_visible in zip(samples, visible, strict=True) if is_visible]
    together = np.percentile(np.concatenate(seen), _PERCENTILES) if seen else None
    pairs = [
        together if together is not None and is_visible else np.percentile(sample, _PERCENTILES)
        for sample, is_visible in zip(samples, visible, strict=True)
    ]
    return [(float(low), float(high)) for low, high in pairs]


def display_range(sample: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the dark and the bright end of a band in pictures of its scene.

    Args:
        sample: Its valid values, dB of radar; at least one.
    """
    low, high = np.percentile(sample, _DISPLAY_PERCENTILES)
    return float(low), float(high)


def stretch(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Return values with `low` at 0 and `high` at 255, clipped, any shape."""
    # The least float32 is a common nodata value, and ends at 0 whether it overflows or not.
    with np.errstate(over="ignore"):
        scaled = (values - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def decibel(values: NDArray[np.float32], of: Decibel = "amplitude") -> NDArray[np.float32]:
    """Return amplitudes or powers in dB; what is not positive becomes -120."""
    factor = _DB_FACTOR[of]
    return np.asarray(factor * np.log10(np.maximum(values, 10 ** (_FLOOR_DB / factor))), np.float32)
