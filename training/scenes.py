"""Real multi-band scenes without labels: what teaches the input stage that one place is one place in any bands."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

# Landsat 8/9 OLI and TIRS band centres, µm (USGS); the same for the others from their operators' pages.
_LANDSAT8 = {1: 0.443, 2: 0.482, 3: 0.561, 4: 0.655, 5: 0.865, 6: 1.609, 7: 2.201, 10: 10.895, 11: 12.005}
_LANDSAT5 = {1: 0.485, 2: 0.56, 3: 0.66, 4: 0.83, 5: 1.65, 6: 11.45, 7: 2.215}
_SENTINEL2 = {1: 0.443, 2: 0.490, 3: 0.560, 4: 0.665, 5: 0.705, 6: 0.740, 7: 0.783, 8: 0.842}
_NAIP = (0.66, 0.56, 0.46, 0.83)
_BGRN = (0.485, 0.545, 0.63, 0.82)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """All bands of one scene on one grid."""

    name: str
    """Folder name."""
    pixels: NDArray[np.uint8]
    """Stretched to 0..255, shape (bands, height, width)."""
    wavelengths: NDArray[np.float32]
    """Band centres, µm, shape (bands,)."""
    rgb: tuple[int, int, int]
    """Positions of red, green and blue."""


def read_stacks(folder: Path) -> list[Stack]:
    """Read the scenes that have red, green, blue and something more."""
    stacks = []
    landsat8 = {w: folder / "landsat8_florida" / f"l8_B{b}.tif" for b, w in _LANDSAT8.items()}
    stacks.append(_from_files("landsat8", landsat8))
    landsat5 = {w: folder / "landsat5_tucurui" / f"LT52240631988227CUB02_B{b}.TIF" for b, w in _LANDSAT5.items()}
    stacks.append(_from_files("landsat5", landsat5))
    cape = folder / "sentinel2_cape_lookout"
    sentinel2 = {w: cape / f"2018-10-13, Sentinel-2B L1C, B0{b}.tiff" for b, w in _SENTINEL2.items()}
    stacks.append(_from_files("sentinel2", sentinel2))
    landsat7 = (0.478, 0.561, 0.661, 0.835, 1.65, 2.208)
    stacks.append(_from_file("landsat7", folder / "landsat7_olinda" / "L7_ETMs.tif", landsat7))
    stacks.append(_from_file("planetscope", folder / "planetscope_port_au_prince" / "rgbn.tif", _BGRN))
    stacks.extend(_from_file("naip", path, _NAIP) for path in sorted((folder / "naip_north_dakota").glob("*.tif")))
    stacks.append(_aviris(folder / "aviris_jasper_ridge" / "jasperRidge2_R198.mat"))
    return stacks


def _from_files(name: str, files: dict[float, Path]) -> Stack:
    bands = []
    for path in files.values():
        with rasterio.open(path) as dataset:
            bands.append(dataset.read(1))
    return _stack(name, np.stack(bands), tuple(files))


def _from_file(name: str, path: Path, wavelengths: tuple[float, ...]) -> Stack:
    with rasterio.open(path) as dataset:
        return _stack(name, dataset.read(), wavelengths)


def _aviris(path: Path) -> Stack:
    from scipy.io import loadmat

    cube = loadmat(path)
    height, width = int(cube["lines"].item()), int(cube["cols"].item())
    # Columns first, as MATLAB stores it. `GT` lists which of the 224 channels (9.5 nm apart from 0.38 µm) are kept.
    pixels = np.asarray(cube["Y"], np.float32).reshape(-1, width, height).transpose(0, 2, 1)
    channels = np.asarray(cube["GT"], np.float64).ravel()
    return _stack("aviris", pixels, tuple(float(0.38 + 0.0095 * (channel - 1)) for channel in channels))


def _stack(name: str, values: NDArray[np.generic], wavelengths: tuple[float, ...]) -> Stack:
    """Stretch bands to 0..255: the visible ones together, so colours keep; the others each on its own."""
    array = values.astype(np.float32)
    waves = np.asarray(wavelengths, np.float32)
    seen = array[:, (array > 0).all(axis=0)]
    visible = (waves > 0.44) & (waves < 0.70)
    out = np.empty(array.shape, np.uint8)
    for band in range(len(array)):
        source = seen[visible] if visible[band] else seen[band]
        low, high = np.percentile(source, (1, 99))
        out[band] = np.clip((array[band] - low) / max(high - low, 1e-6) * 255, 0, 255)
    rgb = tuple(int(np.abs(waves - target).argmin()) for target in (0.66, 0.56, 0.485))
    return Stack(name=name, pixels=out, wavelengths=waves, rgb=(rgb[0], rgb[1], rgb[2]))
