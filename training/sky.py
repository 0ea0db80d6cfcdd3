"""Simulates clouds and snow over ground in any bands: thick or thin, in banks, puffs or veils, with shadows.

A cloud is white in every band up to shortwave infrared, and dark in thermal bands. A thin cloud obscures short
wavelengths more than long ones. Snow is white too, but black in shortwave infrared.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.simulate import covering, fractal
from training.spectra import KINDS, SNOW, at

# The scattering of thin clouds decreases with up to this power of the wavelength.
_BLUER = 1.2
_GREEN_UM, _HEAT_UM = 0.55, 3.0
# Minimum mean opacity of a cloudy place, and of one with some clouds. Thinner or shapeless clouds have no label, unless
# they are invisible.
_CLOUDY, _SOME, _UNSEEN = 0.3, 0.12, 0.05
_VEILED = 0.5


@dataclass(frozen=True, slots=True)
class Cover:
    """The clouds or snow over one view."""

    opacity: NDArray[np.float32]
    """Opacity at each pixel, 0..1, shape (bands, size, size)."""
    white: NDArray[np.float32]
    """Reflectance of the cover, shape (bands,)."""
    shadow: NDArray[np.float32]
    """Share of light blocked by shadows, shape (size, size)."""
    label: str | None
    """`cloud`, `some_cloud` or `snow`; `clear` if the label of the ground still holds; None if it is unclear."""

    def over(self, ground: NDArray[np.float32], bright: float = 1.0) -> NDArray[np.float32]:
        """Return ground, shape (bands, size, size), under this cover; `bright` is the light on it."""
        lit = ground * (1 - self.shadow)
        return np.asarray(lit * (1 - self.opacity) + self.opacity * self.white[:, None, None] * bright, np.float32)


def clouds(size: int, wavelengths: tuple[float, ...], rng: np.random.Generator) -> Cover:
    """Return clouds of any kind over a view of size by size pixels in some bands (µm)."""
    form: Literal["bank", "puffs", "veil"] = rng.choice(["bank", "puffs", "veil"], p=[0.4, 0.4, 0.2])
    thick = float(rng.uniform(0.3, 1.0))
    share = float(rng.uniform(0.1, 0.95))
    if form == "bank":
        mask = covering(fractal(1, size, rng, (1.0, 2.2))[0], share, rng.uniform(0.04, 0.3))
    elif form == "puffs":
        mask = covering(_cells(size, rng), min(share, 0.8), rng.uniform(0.3, 1.0))
    else:
        thick *= 0.8
        mask = 0.4 + 0.6 * fractal(1, size, rng, (1.6, 2.6))[0]
    texture = 1 - rng.uniform(0, 0.3) * fractal(1, size, rng, (0.8, 1.8))[0]
    opacity = mask * thick * texture
    mean = float(opacity.mean())
    waves = np.array(wavelengths)
    bluer = (waves / _GREEN_UM) ** -(_BLUER * rng.random() * (1 - thick))
    white = at(np.array([KINDS["cloud"]], np.float32), wavelengths)[0]
    white[waves > _HEAT_UM] = 0.05
    shadow = np.zeros_like(opacity)
    if form != "veil":
        shift = (int(rng.integers(-10, 11)), int(rng.integers(-10, 11)))
        shadow = np.roll(opacity, shift, (0, 1)) * rng.uniform(0, 0.6)
    label = _called(mean, shapeless=form == "veil")
    return Cover(
        np.clip(opacity * bluer[:, None, None], 0, 1).astype(np.float32),
        white.astype(np.float32),
        shadow.astype(np.float32),
        label,
    )


def _called(opacity: float, *, shapeless: bool) -> str | None:
    if opacity > (_VEILED if shapeless else _CLOUDY):
        return "cloud"
    if opacity < _UNSEEN:
        return "clear"
    return None if shapeless or opacity < _SOME else "some_cloud"


def snow(size: int, wavelengths: tuple[float, ...], rng: np.random.Generator) -> Cover:
    """Return snow over a random share of a view."""
    share = float(rng.uniform(0.1, 0.95))
    mask = covering(fractal(1, size, rng, (1.0, 2.0))[0], share, rng.uniform(0.05, 0.3))
    white = at(np.array([SNOW], np.float32), wavelengths)[0]
    return Cover(
        np.repeat(mask[None], len(wavelengths), 0).astype(np.float32),
        white.astype(np.float32),
        np.zeros((size, size), np.float32),
        "snow" if share > 0.5 else "clear" if share < 0.2 else None,
    )


def _cells(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a field of blobs of similar size, like fair-weather cumulus, with varying thickness."""
    count = round(6 * 6 ** rng.random())
    noise = torch.from_numpy(rng.random((1, 1, count, count), np.float32))
    blobs = functional.interpolate(noise, size=(size, size), mode="bicubic", align_corners=False)[0, 0].numpy()
    field = blobs + rng.uniform(0, 1) * fractal(1, size, rng, (1.2, 2.2))[0]
    return np.asarray((field - field.min()) / (np.ptp(field) + 1e-9), np.float32)
