"""Reads windows of a scene's own grid, band by band, as they are stored."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.catalog.records import Scene
from bandsight.errors import QueryError, SceneError
from bandsight.raster.bands import BandRef
from bandsight.raster.drivers import open_raster
from bandsight.sensors.profile import Profile, load_profiles

Extent = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of a scene's grid; may stick out of the scene."""
# Most stored pixels of one band that are decoded for one picture. Without overviews, a picture of a whole scene needs
# all of them: this is a Sentinel-2 scene of 10 m and some more.
MAX_DECODED = 150_000_000


def read_extent(
    scene: Scene, bands: Sequence[BandRef], extent: Extent, shape: tuple[int, int], *, most: int = MAX_DECODED
) -> tuple[list[NDArray[Any]], NDArray[np.bool_]]:
    """Return each band of an extent as it is stored (complex numbers as amplitudes), and where it has data.

    Args:
        scene: Whose grid it is.
        bands: Some of its bands.
        extent: What is read.
        shape: Rows and columns of the answer; means where that is coarser than the file.
        most: Most stored pixels of a band that are decoded.

    Returns:
        An array (rows, columns) for each band, 0 without data; data or not, shape (bands, rows, columns).

    Raises:
        SceneError: A file is gone, or cannot be read there.
        QueryError: Too much would have to be decoded.
    """
    left, top, right, bottom = extent
    rows, cols = shape
    valid = np.zeros((len(bands), rows, cols), bool)
    # The part inside the scene, in pixels of the answer.
    x0, x1 = (round((min(max(x, 0), scene.width) - left) / (right - left) * cols) for x in (left, right))
    y0, y1 = (round((min(max(y, 0), scene.height) - top) / (bottom - top) * rows) for y in (top, bottom))
    if x1 <= x0 or y1 <= y0:
        return [np.zeros(shape, np.float32) for _ in bands], valid
    inside = (max(left, 0), max(top, 0), min(right, scene.width), min(bottom, scene.height))
    files: dict[str, list[int]] = {}
    for position, band in enumerate(bands):
        files.setdefault(band.href, []).append(position)
    out: list[NDArray[Any]] = [np.empty(0)] * len(bands)
    for href, positions in files.items():
        indexes = [bands[position].index for position in positions]
        data, seen = _read_file(scene, href, indexes, inside, (y1 - y0, x1 - x0), most)
        for position, values, mask in zip(positions, data, seen, strict=True):
            out[position] = np.zeros(shape, values.dtype)
            out[position][y0:y1, x0:x1], valid[position, y0:y1, x0:x1] = values, mask
    return out, valid


def file_grid(scene: Scene, dataset: DatasetReader) -> Affine:
    """Return the way from the scene's pixels to a file's; bands differ in pixel size, and may begin elsewhere."""
    # A file of the scene's size is on the scene's grid, also where a sidecar and not the file says where that is.
    same = (dataset.width, dataset.height) == (scene.width, scene.height)
    step: Affine
    if same or dataset.transform.is_identity:
        step = Affine.scale(dataset.width / scene.width, dataset.height / scene.height)
    else:
        step = ~dataset.transform @ Affine(*scene.transform)
    return step


@lru_cache(maxsize=1024)
def profile_of(sensor: str) -> Profile | None:
    """Return a shipped profile, None where a user's own one was used."""
    return next((profile for profile in load_profiles() if profile.name == sensor), None)


def decoded_pixels(dataset: DatasetReader, width: float, height: float, shape: tuple[int, int]) -> float:
    """Return how many stored pixels of a band are decoded for a window, from the overview that fits."""
    wanted = min(width / shape[1], height / shape[0])
    finest = max((factor for factor in dataset.overviews(1) if factor <= wanted), default=1)
    return width * height / finest**2


def _read_file(
    scene: Scene, href: str, indexes: Sequence[int], inside: Extent, shape: tuple[int, int], most: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    left, top, right, bottom = inside
    try:
        with open_raster(href) as dataset:
            to_file = file_grid(scene, dataset)
            first_col, first_row = to_file @ (left, top)
            last_col, last_row = to_file @ (right, bottom)
            window = Window(first_col, first_row, last_col - first_col, last_row - first_row)
            if (found := decoded_pixels(dataset, window.width, window.height, shape)) > most:
                raise QueryError(
                    f"{scene.name}: {found:,.0f} pixels would be decoded for one picture, at most {most:,} are; "
                    "zoom in, or add overviews to the file (gdaladdo)"
                )
            same = (window.width, window.height) == (shape[1], shape[0])
            how = Resampling.nearest if same else Resampling.average if window.width > shape[1] else Resampling.bilinear
            out_shape = (len(indexes), *shape)
            data = dataset.read(list(indexes), window=window, out_shape=out_shape, resampling=how)
            seen = dataset.read_masks(list(indexes), window=window, out_shape=out_shape) > 0
            unmasked = all(MaskFlags.all_valid in dataset.mask_flag_enums[index - 1] for index in indexes)
    except (RasterioError, IndexError, ValueError) as error:
        # IndexError: no such band; ValueError: the window lies outside. Then the file is another than the indexed one.
        reason = (str(error).splitlines() or ["?"])[0]
        raise SceneError(f"{href}: cannot be read ({reason}); is it still the file that was indexed?") from error
    values = np.abs(data) if np.iscomplexobj(data) else data
    if values.dtype.kind == "f":
        seen &= np.isfinite(values)
    profile = profile_of(scene.sensor)
    if unmasked and profile is not None:
        # The file names no value without data; the sensor's may be known. Black in every band is none either, where the
        # profile says so; white may well be a cloud.
        if profile.nodata is not None:
            seen &= values != profile.nodata
        if 0 in profile.fill_values:
            seen &= (values != 0).any(axis=0)
    return np.where(seen, values, 0).astype(values.dtype, copy=False), seen
