"""Simulates bands beyond red, green and blue for captioned images, with each pixel as a mixture of kinds of ground.

A pixel's colour indicates what it may be, and the typical spectrum of that kind, scaled to the pixel's brightness,
gives the other bands. The spectra are rounded from textbooks and spectral libraries for common surfaces (top of canopy,
no atmosphere). This teaches that near infrared is bright over plants and dark over water, and that shortwave infrared
distinguishes cloud from snow. It is not a measurement.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_UM = (0.44, 0.49, 0.56, 0.665, 0.705, 0.74, 0.783, 0.842, 0.945, 1.61, 2.2, 2.5)
# Reflectance at these wavelengths.
KINDS = {
    "green plants": (0.03, 0.04, 0.09, 0.04, 0.12, 0.32, 0.42, 0.45, 0.43, 0.22, 0.10, 0.06),
    "dark woods": (0.02, 0.02, 0.04, 0.025, 0.06, 0.16, 0.21, 0.23, 0.22, 0.10, 0.04, 0.03),
    "dry plants": (0.06, 0.08, 0.13, 0.18, 0.21, 0.25, 0.27, 0.30, 0.32, 0.36, 0.25, 0.18),
    "dark soil": (0.04, 0.05, 0.08, 0.12, 0.13, 0.14, 0.15, 0.17, 0.20, 0.28, 0.25, 0.20),
    "bright soil": (0.12, 0.16, 0.23, 0.31, 0.33, 0.35, 0.36, 0.38, 0.41, 0.48, 0.43, 0.36),
    "clear water": (0.05, 0.05, 0.04, 0.02, 0.015, 0.012, 0.01, 0.008, 0.005, 0.003, 0.002, 0.002),
    "turbid water": (0.06, 0.08, 0.11, 0.09, 0.07, 0.04, 0.035, 0.025, 0.01, 0.005, 0.003, 0.003),
    "asphalt": (0.07, 0.08, 0.09, 0.10, 0.10, 0.11, 0.11, 0.12, 0.13, 0.15, 0.14, 0.13),
    "concrete": (0.20, 0.23, 0.27, 0.30, 0.31, 0.32, 0.33, 0.33, 0.34, 0.38, 0.35, 0.30),
    "red roof": (0.07, 0.08, 0.11, 0.24, 0.26, 0.28, 0.29, 0.31, 0.33, 0.38, 0.36, 0.30),
    "cloud": (0.75, 0.75, 0.75, 0.76, 0.77, 0.77, 0.78, 0.78, 0.72, 0.60, 0.45, 0.38),
}
SNOW = (0.88, 0.88, 0.88, 0.87, 0.87, 0.86, 0.85, 0.82, 0.70, 0.10, 0.06, 0.04)
WATER = ("clear water", "turbid water")
# Sharpness of the assignment of a pixel to the kind with the nearest colour, and weight of brightness besides colour.
_SHARP, _BRIGHTNESS = 40.0, 0.6
# Weight of smoothness as evidence for water; limits of roughness and brightness of water (0..1, over 7 × 7 pixels).
_EVEN, _ROUGH, _DARK = 12.0, 0.025, 0.5
# Reflectance of an image's full brightness, for finding the kind.
_FULL = 0.45
# Bands (µm) of real sensors; one sensor is drawn, and some of its bands.
SENSORS = (
    (0.443, 0.49, 0.56, 0.665, 0.705, 0.74, 0.783, 0.842, 0.865, 0.945, 1.61, 2.19),
    (0.49, 0.56, 0.665, 0.842, 1.61, 2.19),
    (0.443, 0.482, 0.561, 0.655, 0.865, 1.609, 2.201),
    (0.478, 0.561, 0.661, 0.835, 1.65, 2.208),
    (0.485, 0.545, 0.63, 0.82),
    (0.66, 0.56, 0.46, 0.83),
    (0.665, 0.842, 1.61),
)


def imitate(
    views: Tensor,
    wavelengths: tuple[float, ...],
    rng: np.random.Generator,
    *,
    snow: bool = False,
    without: Collection[str] = (),
    smooth_is_water: bool = False,
) -> Tensor:
    """Return simulated views in other bands for views (n, 3, H, W) of red, green and blue, all 0..1.

    Args:
        views: Red, green, blue.
        wavelengths: Wavelengths of the new bands, µm, 0.4 to 2.5.
        rng: Draws the deviation of each kind from its typical spectrum.
        snow: Whether white pixels are snow instead of cloud.
        without: Kinds of ground known to be absent, which would be confused with others by colour: `WATER`.
        smooth_is_water: Whether dark, smooth ground of any colour is water, because a green pond is dark in infrared.
    """
    kinds = {name: spectrum for name, spectrum in KINDS.items() if name not in without}
    if snow:
        kinds["cloud"] = SNOW
    spectra = np.array([*kinds.values()], np.float32)
    colours = at(spectra, (0.665, 0.56, 0.49))
    wanted = at(spectra * rng.uniform(0.85, 1.15, spectra.shape), wavelengths)
    visible = colours.mean(axis=1, keepdims=True)
    # Value of a band per unit of visible brightness.
    gain = torch.from_numpy((wanted / visible).astype(np.float32))
    pixels = views.permute(0, 2, 3, 1)
    bright = pixels.mean(dim=-1, keepdim=True)
    feature = torch.cat([pixels / (bright + 0.02) / 3, _BRIGHTNESS * bright], dim=-1)
    known = np.concatenate([colours / visible / 3, _BRIGHTNESS * np.minimum(visible / _FULL, 1)], axis=1)
    distance = torch.cdist(feature.reshape(-1, 4), torch.from_numpy(known.astype(np.float32)))
    logits = -_SHARP * distance
    if smooth_is_water:
        wet = [name in WATER for name in kinds]
        logits[:, wet] += _EVEN * _evenness(bright.permute(0, 3, 1, 2)).reshape(-1, 1)
    share = torch.softmax(logits, dim=1)
    bands = (share @ gain).reshape(*pixels.shape[:3], len(wavelengths)) * bright
    return bands.permute(0, 3, 1, 2).clamp(0, 1)


def _evenness(bright: Tensor) -> Tensor:
    """Return 1 where a view (n, 1, H, W) is dark and smooth like water, 0 where it is rough or bright."""
    mean = functional.avg_pool2d(bright, 7, stride=1, padding=3, count_include_pad=False)
    square = functional.avg_pool2d(bright**2, 7, stride=1, padding=3, count_include_pad=False)
    rough = (square - mean**2).clamp_min(0).sqrt()
    return torch.sigmoid((_ROUGH - rough) / 0.006) * torch.sigmoid((_DARK - mean) / 0.04)


def at(spectra: np.ndarray, wavelengths: tuple[float, ...]) -> np.ndarray:
    """Return spectra (kinds, 12) of `KINDS` at other wavelengths, shape (kinds, bands)."""
    return np.stack([np.interp(wavelengths, _UM, spectrum) for spectrum in spectra])
