"""Checks lists of centre wavelengths in µm, and finds the bands nearest to given wavelengths."""

from collections.abc import Sequence

import numpy as np

from bandsight.errors import WavelengthError
from bandsight.wavelength_range import wavelength_problem


def check_wavelengths(wavelengths: Sequence[float], bands: int | None = None) -> tuple[float, ...]:
    """Return wavelengths as a tuple of floats, after checking them.

    Args:
        wavelengths: Centre wavelength of each band, µm.
        bands: Number of bands of the pixels; not checked when None.

    Raises:
        WavelengthError: The list is empty, its length differs from `bands`, or a value is not a wavelength in µm.
    """
    values = tuple(float(value) for value in wavelengths)
    if not values:
        raise WavelengthError("wavelengths: found none; pass the centre wavelength of each band in µm")
    if bands is not None and len(values) != bands:
        raise WavelengthError(
            f"wavelengths: found {len(values)} for {bands} bands; pass one centre wavelength in µm for each band"
        )
    for position, value in enumerate(values):
        if problem := wavelength_problem(value):
            raise WavelengthError(f"wavelengths: value {value:g} at position {position} {problem}")
    return values


def nearest_bands(wavelengths: Sequence[float], targets: Sequence[float]) -> list[int]:
    """Return the index of the band nearest to each target wavelength, µm."""
    waves = np.asarray(wavelengths)
    return [int(np.abs(waves - target).argmin()) for target in targets]
