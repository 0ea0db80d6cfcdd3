"""A band of a scene and where its pixels are."""

from dataclasses import dataclass


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
