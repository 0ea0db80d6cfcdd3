"""What the air adds to reflectance at the top of the atmosphere, judged by a scene's darkest ground.

Clear air scatters as molecules do; what floats in it has a smooth spectrum of its own, and the darkest ground of a
scene (shade, water, in red and blue also plants) says how much there is of that. Where a scene has no dark ground, as a
desert has none, no more is taken away than air can be.

Sources: dark objects reflect about 1 % (Chavez, "Image-based atmospheric corrections, revisited and improved", 1996);
optical depth of molecules (Hansen and Travis, "Light scattering in planetary atmospheres", 1974); that of aerosol
falls with the power 1.3 of the wavelength (Ångström, "The parameters of atmospheric turbidity", 1964).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Reflectance of the darkest ground, and share of pixels that are darker still, percent.
_DARK, DARKEST = 0.01, 0.5
# Reflectance of one optical depth of molecules: seen from above, the sun 30° above the horizon.
_PER_DEPTH = 0.47
# Aerosol: power of the wavelength, and most reflectance at 0.55 µm.
_ANGSTROM, _MOST = -1.3, 0.08
# Bands of shorter waves than this tell how much aerosol there is, µm.
_SHORT_UM = 1.0


def path_reflectance(wavelengths: ArrayLike, darkest: ArrayLike) -> NDArray[np.float64]:
    """Return the reflectance of the air in each band, shape (bands,).

    Args:
        wavelengths: Centres of reflective bands, µm, shape (bands,).
        darkest: Reflectance at the top of the atmosphere that `DARKEST` percent of the scene's pixels are below,
            shape (bands,).
    """
    waves = np.asarray(wavelengths, np.float64)
    most = np.maximum(np.asarray(darkest, np.float64) - _DARK, 0)
    clear = _PER_DEPTH * 0.008569 * waves**-4 * (1 + 0.0113 * waves**-2 + 0.00013 * waves**-4)
    slope = (waves / 0.55) ** _ANGSTROM
    room = ((most - clear) / slope)[waves < _SHORT_UM]
    aerosol = float(np.clip(room.min(initial=_MOST), 0, _MOST)) if len(room) else 0.0
    return np.minimum(clear + aerosol * slope, most)
