"""Scaling of stored values to physical values, and of those to 0..255."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["as_is", "linear", "percentile"]
Decibel = Literal["amplitude", "power"]
# 10·log10 of power equals 20·log10 of amplitude. Values are clipped at -120 dB.
_DB_FACTOR = {"amplitude": 20.0, "power": 10.0}
_FLOOR_DB = -120.0
_PERCENTILES = (1.0, 99.0)
# For display, per band: a separate low end for each band removes blue haze.
_DISPLAY_PERCENTILES = (0.5, 99.0)
# Visible bands are stretched together to preserve colours.
_VISIBLE_UM = (0.44, 0.70)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A rule from stored values to 0..255, the same for every tile of a scene."""

    kind: Kind
    """`as_is`: stored values are 0..255 already. `linear`: `low` maps to 0 and `high` to 255. `percentile`: the scene's
    1st and 99th percentiles map to 0 and 255, with common percentiles for all visible bands to preserve colours."""
    quantity: str = "number"
    """Physical quantity or unit for display, e.g. `reflectance` or `K`."""
    scale: float = 1.0
    """Physical value = stored value × scale + offset."""
    offset: float = 0.0
    """See `scale`."""
    to_db: Decibel | None = None
    """Stored values are amplitude or power, and are converted to dB first."""
    low: float = 0.0
    """Physical value that maps to 0."""
    high: float = 255.0
    """Physical value that maps to 255."""
    plausible: tuple[float, float] | None = None
    """The rule applies only if the median of the scene's stored values (dB after `to_db`) is in this range."""

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
        """Return the stored value (dB after `to_db`) for a physical value."""
        return (physical - self.offset) / self.scale

    def physical(self, stored: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the physical values for stored values, any shape."""
        return stored * np.float32(self.scale) + np.float32(self.offset)


def percentile_limits(
    samples: Sequence[NDArray[np.floating[Any]]], wavelengths: Sequence[float]
) -> list[tuple[float, float]]:
    """Return the values that map to 0 and 255 in each band by a `percentile` rule; visible bands share theirs.

    Args:
        samples: Valid values of each band, at least one each.
        wavelengths: Centre wavelength of each band, µm.
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
    """Return the low and high end of a band's display range.

    Args:
        sample: Valid values of the band (dB for radar), at least one.
    """
    low, high = np.percentile(sample, _DISPLAY_PERCENTILES)
    return float(low), float(high)


def stretch(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255, clipped, any shape."""
    # The smallest float32 is a common nodata value. It maps to 0 even if it overflows.
    with np.errstate(over="ignore"):
        scaled = (values - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def decibel(values: NDArray[np.float32], of: Decibel = "amplitude") -> NDArray[np.float32]:
    """Convert amplitudes or powers to dB; non-positive values become -120."""
    factor = _DB_FACTOR[of]
    return np.asarray(factor * np.log10(np.maximum(values, 10 ** (_FLOOR_DB / factor))), np.float32)
