"""A band of a scene and the location of its pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class BandRef:
    """A band of a scene and the location of its pixels."""

    name: str
    """Name in the sensor profile, e.g. `B04`."""
    wavelength_um: float
    """Centre wavelength passed to the model, µm."""
    href: str
    """File or URL."""
    index: int
    """Band index in the file, from 1."""


def number_type(name: str) -> np.dtype[Any]:
    """Return the NumPy type in which a band is read, for a rasterio data type name."""
    return np.dtype(np.complex64 if name == "complex_int16" else name)
