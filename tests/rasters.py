"""Small rasters for tests, written on the spot."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

RGB = ("red", "green", "blue")


def picture(bands: int, height: int, width: int, seed: int = 0, dtype: str = "uint8") -> NDArray[Any]:
    """Return numbers with structure: blocks of 8 pixels, from 1 up, so that nothing looks like fill."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(1, 255, (bands, -(-height // 8), -(-width // 8)))
    return np.kron(coarse, np.ones((1, 8, 8), int))[:, :height, :width].astype(dtype)


def write(
    path: Path,
    values: NDArray[Any],
    *,
    crs: str | None = "EPSG:32633",
    origin: tuple[float, float] = (400_000.0, 5_800_000.0),
    gsd: float = 10.0,
    transform: Any = None,
    **profile: Any,
) -> Path:
    """Write bands (C, H, W) as GeoTIFF; without a CRS also without georeference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    if crs is None and transform is not None:
        profile |= {"transform": transform}
    if crs is not None:
        profile |= {"crs": crs, "transform": transform or from_origin(*origin, gsd, gsd)}
    if count == len(RGB) and values.dtype == np.uint8:
        profile.setdefault("photometric", "RGB")
    with warnings.catch_warnings():
        # Some of these lie nowhere on purpose.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        opened = rasterio.open(
            path, "w", driver="GTiff", width=width, height=height, count=count, dtype=values.dtype, **profile
        )
    with opened as dataset:
        dataset.write(values)
    return path


def variables(path: Path, names: Sequence[str], side: int = 64) -> Path:
    """Write a NetCDF file (version 3, CF) with one variable (y, x) of whole numbers for each band, on a UTM grid."""
    from rasterio.crs import CRS
    from scipy.io import netcdf_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with netcdf_file(str(path), "w") as file:
        for name, first, step in (("y", 5_800_000, -10), ("x", 400_000, 10)):
            file.createDimension(name, side)
            axis = file.createVariable(name, "d", (name,))
            axis[:] = first + step * (np.arange(side) + 0.5)
            axis.standard_name, axis.units = f"projection_{name}_coordinate".encode(), b"m"
        grid = file.createVariable("spatial_ref", "i", ())
        grid.crs_wkt = CRS.from_epsg(32633).to_wkt().encode()
        grid.grid_mapping_name = b"transverse_mercator"
        for number, name in enumerate(names):
            band = file.createVariable(name, "h", ("y", "x"))
            band[:] = picture(1, side, side, seed=number, dtype="int16")[0] * 10
            band.grid_mapping = b"spatial_ref"
    return path
