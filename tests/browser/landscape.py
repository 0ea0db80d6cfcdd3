"""Synthetic landscapes: fields, a lake, forests and a village, in the bands of several sensors."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.rasters import write

SIDE = 512
GSD_M = 10.0
ORIGIN = (340_480.0, 5_818_880.0)
"""West and north edge of the Sentinel-2 scenes, EPSG:32633: on the tile grid, near Brandenburg."""
# Reflectance of blue, green, red, near infrared, 1.6 and 2.2 µm.
_WATER = (0.05, 0.05, 0.035, 0.02, 0.01, 0.008)
_WOOD = (0.025, 0.04, 0.028, 0.22, 0.12, 0.06)
_ROOF = (0.13, 0.14, 0.19, 0.22, 0.24, 0.22)
_CROPS = (
    (0.04, 0.075, 0.045, 0.42, 0.22, 0.11),
    (0.07, 0.10, 0.13, 0.20, 0.29, 0.23),
    (0.09, 0.12, 0.16, 0.24, 0.33, 0.28),
    (0.05, 0.085, 0.07, 0.33, 0.25, 0.15),
)


def landscape(seed: int, *, season: float = 0.0) -> NDArray[np.float32]:
    """Return reflectance (6, SIDE, SIDE); `season` from 0 to 1 dries the fields without moving them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    seeds = rng.uniform(0, SIDE, (90, 2))
    nearest = np.argmin([(rows - y) ** 2 + (columns - x) ** 2 for y, x in seeds], axis=0)
    crop = rng.integers(0, len(_CROPS), len(seeds))
    ground = np.array(_CROPS, np.float32)[crop[nearest]]
    dry = np.array(_CROPS[2], np.float32)
    ground = ground * (1 - season) + dry * season
    edges = (nearest != np.roll(nearest, 1, 0)) | (nearest != np.roll(nearest, 1, 1))
    ground[edges] *= 0.75
    rough = _smooth(rng)
    wood = rough > np.quantile(rough, 0.82)
    ground[wood] = np.array(_WOOD) * rng.uniform(0.6, 1.5, (int(wood.sum()), 1))
    lake = ((rows - 150) / 70) ** 2 + ((columns - 190) / 110) ** 2 + 0.35 * rough / rough.std() < 1
    ground[lake] = _WATER
    village = (np.abs(rows - 380) < 60) & (np.abs(columns - 400) < 70)
    roofs = village & (rng.random((SIDE // 4, SIDE // 4)).repeat(4, 0).repeat(4, 1) > 0.55)
    ground[roofs] = np.array(_ROOF) * rng.uniform(0.7, 1.4, (int(roofs.sum()), 1))
    noise = rng.normal(1, 0.03, (SIDE, SIDE, 1))
    return np.moveaxis(np.clip(ground * noise, 0.002, 1), -1, 0).astype(np.float32)


def _smooth(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of mean 0 without details smaller than a few hundred metres."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    noise = np.fft.fft2(rng.normal(size=(SIDE, SIDE)))
    return np.fft.ifft2(noise * np.exp(-((frequency * 160) ** 2))).real


def sentinel2(folder: Path, when: str, seed: int, *, season: float = 0.0) -> None:
    """Write a folder of band files like those of a Sentinel-2 product."""
    numbers = (landscape(seed, season=season) * 10_000).astype(np.uint16)
    for name, band in zip(("B02", "B03", "B04", "B08", "B11", "B12"), numbers, strict=True):
        write(
            folder / f"T33UUU_{when}_{name}.tif", band[None], origin=ORIGIN, gsd=GSD_M, tiled=True, compress="deflate"
        )


def photo(path: Path, seed: int, origin: tuple[float, float]) -> None:
    """Write a colour image with a pixel size of 0.5 m."""
    red_green_blue = landscape(seed)[[2, 1, 0]] / 0.25 * 255
    write(path, np.clip(red_green_blue, 1, 255).astype(np.uint8)[:, :256, :256], origin=origin, gsd=0.5)


def radar(path: Path, seed: int) -> None:
    """Write backscatter in dB, VV and VH."""
    rng = np.random.default_rng(seed)
    bright = landscape(seed)[3]
    speckle = rng.gamma(4, 0.25, (2, SIDE, SIDE))
    decibels = 10 * np.log10(np.stack([bright, bright * 0.2]) * speckle * 0.5 + 1e-3)
    write(path, decibels.astype(np.float32)[:, :256, :256], origin=ORIGIN, gsd=GSD_M)
