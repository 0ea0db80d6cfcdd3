"""Lists of centre wavelengths in µm, one for each band: checked, and searched for a colour."""

import math
from collections.abc import Sequence

import numpy as np

from bandsight.errors import WavelengthError

# Longest thermal channel in use is near 15 µm; SAR travels as a code of a few µm (the DOFA convention gives C-band
# 5.405). Anything above 100 can only be nanometres, or a true radar wavelength that the models do not know.
LONGEST_UM = 100.0


def check_wavelengths(wavelengths: Sequence[float], bands: int | None = None) -> tuple[float, ...]:
    """Return the wavelengths as a tuple of floats, or say what is wrong with them.

    Args:
        wavelengths: Centre wavelength of each band, µm.
        bands: How many bands the pixels have; not compared when None.

    Raises:
        WavelengthError: The list is empty, its length differs from `bands`, or a value is not a wavelength in µm.
    """
    values = tuple(float(value) for value in wavelengths)
    if not values:
        raise WavelengthError("wavelengths: none given; pass the centre wavelength of each band in µm")
    if bands is not None and len(values) != bands:
        raise WavelengthError(
            f"wavelengths: {len(values)} given for {bands} bands; pass one centre wavelength in µm for each band"
        )
    for position, value in enumerate(values):
        if not math.isfinite(value) or value <= 0:
            raise WavelengthError(
                f"wavelengths: value {value:g} at position {position} is not a wavelength; need a positive number of µm"
            )
        if value > LONGEST_UM:
            raise WavelengthError(
                f"wavelengths: value {value:g} at position {position} looks like nanometres; need µm, "
                f"so divide by 1000 ({value / 1000:g})"
            )
    return values


def nearest_bands(wavelengths: Sequence[float], targets: Sequence[float]) -> list[int]:
    """Return for each target, µm, the position of the band that is nearest to it."""
    waves = np.asarray(wavelengths)
    return [int(np.abs(waves - target).argmin()) for target in targets]
