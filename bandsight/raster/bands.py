"""A band of a scene and where its pixels are."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class BandRef:
    """One band of a scene and where its pixels are."""

    name: str
    """Name in the sensor profile, e.g. `B04`."""
    wavelength_um: float
    """Centre wavelength given to the model, µm."""
    href: str
    """File or URL."""
    index: int
    """Band number in that file, from 1."""


def number_type(name: str) -> np.dtype[Any]:
    """Return the type in which a band is read, by the name that rasterio has for what is stored."""
    return np.dtype(np.complex64 if name == "complex_int16" else name)
