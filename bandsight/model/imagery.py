"""Families of imagery: kinds of images that need separate calibrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

FAMILIES = {
    "rgb": "red, green and blue images",
    "multispectral": "multispectral imagery",
    "hyperspectral": "hyperspectral imagery",
    "radar": "C-band radar",
    "radar_x": "X-band radar",
    "radar_other": "radar in bands other than C and X",
    "thermal": "thermal infrared imagery",
    "elevation": "elevation",
}
"""Description of each family, by name."""

_RADAR_UM, _VISIBLE_UM, _THERMAL_UM = 5.405, (0.4, 0.71), 3.0
# More bands than multispectral sensors have. MODIS has 36, but its profile uses 7.
_HYPERSPECTRAL = 30
# IEEE 521-2019.
_C_BAND_GHZ, _X_BAND_GHZ = (4.0, 8.0), (8.0, 12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagery:
    """Properties of an image that select its calibration."""

    family: str
    """One of `FAMILIES`."""
    gsd_m: float | None = None
    """Ground sample distance of the model's input pixels, m; None if unknown."""


ImageryLike = Imagery | Sequence[float]
"""Imagery, or just the wavelengths of its bands, µm."""


def as_imagery(like: ImageryLike) -> Imagery:
    """Return imagery unchanged, or the imagery for a list of wavelengths, µm."""
    return like if isinstance(like, Imagery) else Imagery(family=family(like))


def family(wavelengths: Sequence[float]) -> str:
    """Return the family for a list of wavelengths, µm. The code 5.405 stands for C-band radar.

    Elevation has the wavelengths of red, green and blue, and X-band radar those of C band, so wavelengths alone cannot
    distinguish them.
    """
    return _family(tuple(wavelengths))


# Cached: called for every hit of a page, with few distinct lists.
@lru_cache(maxsize=256)
def _family(wavelengths: tuple[float, ...]) -> str:
    if all(abs(value - _RADAR_UM) < 1e-3 for value in wavelengths):  # noqa: PLR2004
        return "radar"
    if all(value > _THERMAL_UM for value in wavelengths):
        return "thermal"
    if len(wavelengths) >= _HYPERSPECTRAL:
        return "hyperspectral"
    low, high = _VISIBLE_UM
    return "rgb" if all(low <= value <= high for value in wavelengths) else "multispectral"


def radar_family(frequency_ghz: float) -> str:
    """Return the radar family for a frequency."""
    if _C_BAND_GHZ[0] <= frequency_ghz < _C_BAND_GHZ[1]:
        return "radar"
    return "radar_x" if _X_BAND_GHZ[0] <= frequency_ghz <= _X_BAND_GHZ[1] else "radar_other"
