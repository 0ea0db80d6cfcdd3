"""Estimates path radiance in top-of-atmosphere reflectance from a scene's darkest pixels.

Clear air adds Rayleigh scattering. Aerosol has a smooth spectrum, and its amount is estimated from the darkest pixels
of a scene (shade, water, and vegetation in red and blue). For scenes without dark pixels, such as deserts, the estimate
is capped at a plausible maximum.

Sources: dark objects reflect about 1% (Chavez, "Image-based atmospheric corrections, revisited and improved", 1996);
Rayleigh optical depth (Hansen and Travis, "Light scattering in planetary atmospheres", 1974); aerosol optical depth
decreases with the power 1.3 of the wavelength (Ångström, "The parameters of atmospheric turbidity", 1964).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Reflectance of dark objects, and percentile of the darkest pixels.
_DARK, DARKEST = 0.01, 0.5
# Aerosol: Ångström exponent, and maximum reflectance at 0.55 µm.
_ANGSTROM, _MOST = -1.3, 0.08
# Bands below this wavelength are used to estimate aerosol, except those with water vapour absorption, µm.
_SHORT_UM, _VAPOUR_UM = 1.0, (0.89, 0.99)
# Default and minimum sun elevation, degrees.
_USUAL_SUN, _LEAST_SUN = 45.0, 15.0


def sun_height(sun_elevation: float) -> float:
    """Return the sine of the sun elevation, the fraction of sunlight on level ground.

    Args:
        sun_elevation: Degrees above the horizon; clamped to a minimum.
    """
    return math.sin(math.radians(max(sun_elevation, _LEAST_SUN)))


def path_reflectance(
    wavelengths: ArrayLike, darkest: ArrayLike, *, sun_elevation: float | None = None, sun_corrected: bool = True
) -> NDArray[np.float64]:
    """Return the path reflectance of each band, shape (bands,).

    Args:
        wavelengths: Centre wavelengths of reflective bands, µm, shape (bands,).
        darkest: `DARKEST` percentile of the scene's top-of-atmosphere reflectance, shape (bands,).
        sun_elevation: Degrees above the horizon; None if unknown.
        sun_corrected: Whether the reflectance is corrected for the solar zenith angle.
    """
    waves = np.asarray(wavelengths, np.float64)
    most = np.maximum(np.asarray(darkest, np.float64) - _DARK, 0)
    height = sun_height(_USUAL_SUN if sun_elevation is None else sun_elevation)
    # Single scattering seen from above: Rayleigh phase function, a factor 1/4, and the solar zenith correction.
    light = 1 / height if sun_corrected else 1.0
    per_depth = 0.75 * (1 + height**2) / 4 * light
    clear = per_depth * 0.008569 * waves**-4 * (1 + 0.0113 * waves**-2 + 0.00013 * waves**-4)
    slope = (waves / 0.55) ** _ANGSTROM
    telling = (waves < _SHORT_UM) & ~((waves > _VAPOUR_UM[0]) & (waves < _VAPOUR_UM[1]))
    room = ((most - clear) / slope)[telling]
    aerosol = float(np.clip(room.min(), 0, _MOST * height * light)) if len(room) else 0.0
    return np.asarray(np.minimum(clear + aerosol * slope, most))
