"""Simulates C-band radar images of 10 to 30 m: land cover with typical backscatter and speckle, in decibels.

The values are rounded from published ones for Sentinel-1 at 30 to 45 degrees. Calm water reflects the pulse away, woods
scatter it in all directions, and walls reflect it twice, so towns have bright points.
"""

import numpy as np
from numpy.typing import NDArray

from training.ground import PLACES, Ground, Shares, covers, enlarged
from training.simulate import fractal
from training.spectra import KINDS

SAR_UM = 5.405
# VV and VH of each kind of `KINDS`, dB.
_SIGMA0_DB = {
    "green plants": (-11.0, -17.5),
    "dark woods": (-9.0, -14.5),
    "dry plants": (-13.0, -20.5),
    "dark soil": (-12.5, -21.5),
    "bright soil": (-15.5, -24.5),
    "clear water": (-22.0, -30.0),
    "turbid water": (-21.0, -29.0),
    "asphalt": (-17.5, -25.5),
    "concrete": (-7.0, -14.0),
    "red roof": (-5.0, -12.5),
    "cloud": (-12.0, -19.0),
}
_WATERS = ("clear water", "turbid water")
_BUILT = ("concrete", "red roof")
# Maximum variation by wind (water gets brighter), and by moisture and angle (everything else), dB.
_WIND_DB, _MOISTURE_DB = (-2.0, 7.0), 2.0
# Share of built-up pixels with double reflections, and how much brighter these are.
_CORNERS, _CORNERS_DB = (0.03, 0.15), (6.0, 14.0)
# Standard deviation of the brightness of slopes, dB; those that face the sensor are brighter.
_SLOPES_DB = {"bare": (0.5, 4.0), "forest": (0.0, 2.5)}
# Number of averaged independent looks.
_LOOKS = (3.0, 40.0)
# Ranges that are scaled to 0..1, dB: those of the product's profiles, and others in use.
_FULL_DB = ((-25.0, 0.0), (-30.0, 0.0), (-25.0, 5.0), (-22.0, -3.0))
# Minimum size of small tiles, which have fewer pixels, as a share of the view's.
_LEAST = 0.35


def radar_ground(n: int, size: int, rng: np.random.Generator) -> Ground:
    """Return n radar views of one polarisation or two (VV, VH), 0..1, with the labels of `covers`."""
    bands = int(rng.integers(1, 3))
    first = 0 if bands == 2 else int(rng.integers(2))
    shown = size
    if rng.random() < 0.5:
        size = round(size * rng.uniform(_LEAST, 1))
    looks, full = float(np.exp(rng.uniform(*np.log(_LOOKS)))), _FULL_DB[int(rng.integers(len(_FULL_DB)))]
    views = np.empty((n, bands, size, size), np.float32)
    labels: list[str | None] = []
    for row in range(n):
        place = str(rng.choice([*PLACES]))
        shares, label = covers(place, size, rng)
        power = _power(shares, place, rng)[first : first + bands]
        speckled = power * rng.gamma(looks, 1 / looks, power.shape)
        views[row] = np.clip((10 * np.log10(speckled + 1e-5) - full[0]) / (full[1] - full[0]), 0, 1)
        labels.append(label)
    return Ground(enlarged(views, shown), (SAR_UM,) * bands, labels)


def _power(shares: Shares, place: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return backscatter VV and VH as power, without speckle, shape (2, size, size)."""
    names, size = [*KINDS], shares.shape[1]
    sigma0 = np.array([_SIGMA0_DB[name] for name in names]) + rng.uniform(-_MOISTURE_DB, _MOISTURE_DB, (len(names), 1))
    wet = [names.index(name) for name in _WATERS]
    sigma0[wet] += rng.uniform(*_WIND_DB)
    power = np.tensordot((10 ** (sigma0 / 10)).T, shares, axes=1)
    built = shares[[names.index(name) for name in _BUILT]].sum(axis=0)
    corners = (rng.random((size, size)) < rng.uniform(*_CORNERS)) * built
    power *= 10 ** (corners * rng.uniform(*_CORNERS_DB, (size, size)) / 10)
    height = fractal(1, size, rng, (1.6, 2.4))[0]
    slope = np.gradient(height, axis=1)
    steep = rng.uniform(*_SLOPES_DB.get(place, (0.0, 0.5))) * (1 - shares[wet].sum(axis=0))
    power *= 10 ** (steep * slope / (slope.std() + 1e-6) / 10)
    return np.asarray(power, np.float32)
