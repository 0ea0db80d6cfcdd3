"""Pictures of tiles for people: natural colour where the bands allow it, else grey."""

from collections.abc import Sequence

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.catalog.records import BandRef, Scene, Tile
from bandsight.errors import SceneError
from bandsight.rasters import open_raster
from bandsight.sensors.scaling import decibel, stretch

_RED_GREEN_BLUE_UM = (0.665, 0.56, 0.48)
# A band farther than this from red, green or blue cannot stand for it.
_NEAR_UM = 0.07
# A tile darker or flatter than the scene's range is stretched to its own, so that something can be seen.
_DISPLAY_PERCENTILES = (0.5, 99.5)


def thumbnail(scene: Scene, tile: Tile, size: int = 128) -> NDArray[np.uint8]:
    """Return a picture of a tile, uint8 (size, size, 3), cut from its scene; outside of the scene it is black.

    Raises:
        SceneError: A file of the scene is gone or cannot be read.
    """
    chosen = display_bands(scene.bands)
    window = (tile.col_off, tile.row_off, tile.col_off + tile.width, tile.row_off + tile.height)
    layers = {band: _layer(scene, band, window, size) for band in set(chosen)}
    values = np.stack([layers[band][0] for band in chosen])
    seen = np.any([layers[band][1] for band in chosen], axis=0) & np.isfinite(values).all(axis=0)
    values = np.where(seen, values, 0).astype(np.float32)
    if scene.stretch.get("to_db"):
        values = decibel(values)
    if not seen.any():
        return np.zeros((size, size, 3), np.uint8)
    if scene.stretch.get("kind") == "as_is":
        picture = np.stack([stretch(layer, 0, 255) for layer in values], axis=-1)
    else:
        # Each band from its own dark end: takes the blue of haze away. No band is stretched more than twice as much as
        # another: the noise of an even surface stays grey.
        low, high = np.percentile(values[:, seen], _DISPLAY_PERCENTILES, axis=1)
        span = np.maximum(high - low, (high - low).max() / 2)
        picture = np.stack([stretch(v, float(a), float(a + s)) for v, a, s in zip(values, low, span, strict=True)], -1)
    picture[~seen] = 0
    return picture


def display_bands(bands: Sequence[BandRef]) -> tuple[BandRef, BandRef, BandRef]:
    """Return the bands nearest to red, green and blue, or three times the first band when one of them is missing."""
    nearest = [min(bands, key=lambda band: abs(band.wavelength_um - target)) for target in _RED_GREEN_BLUE_UM]
    near = all(
        abs(band.wavelength_um - target) <= _NEAR_UM for band, target in zip(nearest, _RED_GREEN_BLUE_UM, strict=True)
    )
    if near and len(set(nearest)) == 3:  # noqa: PLR2004
        return nearest[0], nearest[1], nearest[2]
    return bands[0], bands[0], bands[0]


def _layer(
    scene: Scene, band: BandRef, extent: tuple[int, int, int, int], size: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return one band of an extent of the scene's grid, float32 (size, size), and where it has data."""
    left, top, right, bottom = extent
    out, valid = np.zeros((size, size), np.float32), np.zeros((size, size), bool)
    # The part inside the scene, in pixels of the picture.
    x0, x1 = (round((min(max(x, 0), scene.width) - left) / (right - left) * size) for x in (left, right))
    y0, y1 = (round((min(max(y, 0), scene.height) - top) / (bottom - top) * size) for y in (top, bottom))
    if x1 <= x0 or y1 <= y0:
        return out, valid
    try:
        with open_raster(band.href) as dataset:
            to_file = _to_file(scene, dataset)
            first_col, first_row = to_file @ (max(left, 0), max(top, 0))
            last_col, last_row = to_file @ (min(right, scene.width), min(bottom, scene.height))
            window = Window(first_col, first_row, last_col - first_col, last_row - first_row)
            shape = (y1 - y0, x1 - x0)
            same = (window.width, window.height) == (shape[1], shape[0])
            how = Resampling.nearest if same else Resampling.average if window.width > shape[1] else Resampling.bilinear
            data = dataset.read(band.index, window=window, out_shape=shape, resampling=how)
            seen = dataset.read_masks(band.index, window=window, out_shape=shape) > 0
    except (RasterioError, IndexError, ValueError) as error:
        # IndexError: no such band; ValueError: the window lies outside. Then the file is another than the indexed one.
        reason = (str(error).splitlines() or ["?"])[0]
        raise SceneError(f"{band.href}: cannot be read ({reason}); is it still the file that was indexed?") from error
    values = np.abs(data) if np.iscomplexobj(data) else data
    out[y0:y1, x0:x1], valid[y0:y1, x0:x1] = values, seen
    return out, valid


def _to_file(scene: Scene, dataset: DatasetReader) -> Affine:
    """Return the way from the scene's pixels to a file's; bands differ in pixel size, and may begin elsewhere."""
    # A file of the scene's size is on the scene's grid, also where a sidecar and not the file says where that is.
    same = (dataset.width, dataset.height) == (scene.width, scene.height)
    step: Affine
    if same or dataset.transform.is_identity:
        step = Affine.scale(dataset.width / scene.width, dataset.height / scene.height)
    else:
        step = ~dataset.transform @ Affine(*scene.transform)
    return step
