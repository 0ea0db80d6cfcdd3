"""Samples the valid values of each band of a scene, from an overview that fits in memory."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from bandsight.errors import SceneError
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.orientation import swaps_axes, turned
from bandsight.raster.scene_raster import SceneRaster
from bandsight.raster.windows import band_validity, bands_by_file, first_line, read_mask, step_of

# Longest side of the overview, pixels, and maximum number of values per file over all its bands.
_OVERVIEW_PX = 1024
_OVERVIEW_VALUES = 40_000_000


def sample_values(raster: SceneRaster, files: OpenFiles) -> list[NDArray[np.float32]]:
    """Return valid values of each band, shape (values,), from an overview of the scene.

    Raises:
        SceneError: A file cannot be read.
    """
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(raster.bands)
    for href, positions in bands_by_file(raster, range(len(raster.bands))).items():
        dataset = files.dataset(href)
        indexes = [raster.bands[position].index for position in positions]
        pixels = dataset.width * dataset.height
        shrink = max(1.0, math.sqrt(pixels * len(indexes) / _OVERVIEW_VALUES), math.sqrt(pixels) / _OVERVIEW_PX)
        shape = (math.ceil(dataset.height / shrink), math.ceil(dataset.width / shrink))
        try:
            data = dataset.read(indexes, out_shape=(len(indexes), *shape), resampling=Resampling.nearest)
            mask = read_mask(dataset, files.mask(raster, href), indexes, None, shape)
        except RasterioError as error:
            raise SceneError(f"{href}: cannot be read ({first_line(error)}); get the file again") from error
        values: NDArray[Any] = np.abs(data) if np.iscomplexobj(data) else data
        finite = np.isfinite(values) if values.dtype.kind == "f" else None
        seen = band_validity(raster, values, finite, mask)
        if raster.collar is not None:
            seen &= ~_in_collar(raster, files, href, values)
        for position, band, valid in zip(positions, values, seen, strict=True):
            # Values beyond float32 become infinite and are dropped, as in tiles.
            with np.errstate(over="ignore"):
                numbers = np.asarray(band[valid], np.float32)
            found[position] = numbers[np.isfinite(numbers)]
    return found


def _in_collar(raster: SceneRaster, files: OpenFiles, href: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels of a whole file are in the scene's collar, shape (rows, columns)."""
    assert raster.collar is not None
    step = step_of(raster, files, href)
    rows, cols = values.shape[1:]
    shape = (cols, rows) if swaps_axes(step) else (rows, cols)
    extent = (0.0, 0.0, float(raster.width), float(raster.height))
    near = raster.collar.window(extent, shape, (raster.width, raster.height))
    # Back from the scene's orientation to the file's.
    return np.asarray(turned(near, ~step) & raster.collar.is_empty(values), np.bool_)
