"""What the air adds to reflectance at the top of the atmosphere, judged by a scene's darkest ground.

Clear air scatters as molecules do; what floats in it has a smooth spectrum of its own, and the darkest ground of a
scene (shade, water, in red and blue also plants) says how much there is of that. Where a scene has no dark ground, as a
desert has none, no more is taken away than air can be.

Sources: dark objects reflect about 1 % (Chavez, "Image-based atmospheric corrections, revisited and improved", 1996);
optical depth of molecules (Hansen and Travis, "Light scattering in planetary atmospheres", 1974); that of aerosol
falls with the power 1.3 of the wavelength (Ångström, "The parameters of atmospheric turbidity", 1964).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Reflectance of the darkest ground, and share of pixels that are darker still, percent.
_DARK, DARKEST = 0.01, 0.5
# Aerosol: power of the wavelength, and most reflectance at 0.55 µm.
_ANGSTROM, _MOST = -1.3, 0.08
# Bands of shorter waves than this tell how much aerosol there is, but for those that water vapour darkens, µm.
_SHORT_UM, _VAPOUR_UM = 1.0, (0.89, 0.99)
# Height of the sun where nothing says it, and the least that is reckoned with, degrees.
_USUAL_SUN, _LEAST_SUN = 45.0, 15.0


def sun_height(sun_elevation: float) -> float:
    """Return the sine of the sun's height, the share of its light that falls on level ground.

    Args:
        sun_elevation: Degrees above the horizon; what is lower than a working sensor's sun counts as that.
    """
    return math.sin(math.radians(max(sun_elevation, _LEAST_SUN)))


def path_reflectance(
    wavelengths: ArrayLike, darkest: ArrayLike, *, sun_elevation: float | None = None, sun_corrected: bool = True
) -> NDArray[np.float64]:
    """Return the reflectance of the air in each band, shape (bands,).

    Args:
        wavelengths: Centres of reflective bands, µm, shape (bands,).
        darkest: Reflectance at the top of the atmosphere that `DARKEST` percent of the scene's pixels are below,
            shape (bands,).
        sun_elevation: Degrees above the horizon; None where unknown.
        sun_corrected: The reflectance is for the sun's light as it falls, less the lower the sun stands.
    """
    waves = np.asarray(wavelengths, np.float64)
    most = np.maximum(np.asarray(darkest, np.float64) - _DARK, 0)
    height = sun_height(_USUAL_SUN if sun_elevation is None else sun_elevation)
    # Seen from above, once scattered: phase function of molecules, a quarter, and the light that is missing.
    light = 1 / height if sun_corrected else 1.0
    per_depth = 0.75 * (1 + height**2) / 4 * light
    clear = per_depth * 0.008569 * waves**-4 * (1 + 0.0113 * waves**-2 + 0.00013 * waves**-4)
    slope = (waves / 0.55) ** _ANGSTROM
    telling = (waves < _SHORT_UM) & ~((waves > _VAPOUR_UM[0]) & (waves < _VAPOUR_UM[1]))
    room = ((most - clear) / slope)[telling]
    aerosol = float(np.clip(room.min(), 0, _MOST * height * light)) if len(room) else 0.0
    return np.asarray(np.minimum(clear + aerosol * slope, most))
