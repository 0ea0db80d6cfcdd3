"""Reads the pixels of neighbouring tiles in one go and scales them for the model."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.errors import SceneError
from bandsight.geo.grid import TileWindow
from bandsight.rasters import open_raster
from bandsight.sensors.filling import filled
from bandsight.sensors.scaling import decibel, stretch
from indexer.scene import RasterScene, SceneQuality

NOTHING: NDArray[np.uint8] = np.empty((0, 0, 0), np.uint8)
_open = threading.local()


@dataclass(frozen=True, slots=True)
class ReadTile:
    """The pixels of one tile."""

    window: TileWindow
    pixels: NDArray[np.uint8]
    """Shape (bands, tile_px, tile_px); empty when too little is valid."""
    valid_fraction: float
    """Share of the window's pixels that hold data."""
    cloud_fraction: float | None = None
    """Share of those that are cloud or its shadow; None where no quality band says it."""


def read_row(
    scene: RasterScene, windows: Sequence[TileWindow], *, tile_px: int, min_valid: float, max_cloud: float = 1.0
) -> list[ReadTile]:
    """Read tiles that lie side by side.

    Args:
        scene: An open scene.
        windows: Windows of one row and one scale.
        tile_px: Side of a tile, pixels.
        min_valid: Tiles with a smaller valid share of what lies within the scene come back without pixels.
        max_cloud: So do tiles of which a larger share is cloud, where a quality band says so.

    Raises:
        SceneError: A file cannot be read there.
    """
    left = min(window.col_off for window in windows)
    top = windows[0].row_off
    right = max(window.col_off + window.width for window in windows)
    bottom = top + windows[0].height
    scale = windows[0].scale
    values, valid, cloud = _read(scene, (left, top, right, bottom), scale)
    tiles = []
    for window in windows:
        col = (window.col_off - left) // scale
        cut = np.s_[:, :tile_px, col : col + tile_px]
        seen = valid[cut[1:]]
        share = float(seen.mean())
        clouded = None if cloud is None or not seen.any() else float(cloud[cut[1:]][seen].mean())
        # What lies outside of the scene is not its fault: a scene smaller than a tile is a tile all the same.
        if share == 0 or seen.sum() < min_valid * _pixels_inside(scene, window):
            tiles.append(ReadTile(window, NOTHING, share))
        elif clouded is not None and clouded > max_cloud:
            tiles.append(ReadTile(window, NOTHING, share, clouded))
        else:
            tiles.append(ReadTile(window, _scaled(scene, filled(values[cut], seen)), share, clouded))
    return tiles


def _pixels_inside(scene: RasterScene, window: TileWindow) -> float:
    """Return how many pixels of a tile lie within the raster."""
    cols = min(window.col_off + window.width, scene.width) - max(window.col_off, 0)
    rows = min(window.row_off + window.height, scene.height) - max(window.row_off, 0)
    return cols * rows / window.scale**2


def _read(
    scene: RasterScene, extent: tuple[int, int, int, int], scale: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Return values (bands, rows, columns), validity and cloud of an extent that may stick out of the raster."""
    left, top, right, bottom = extent
    rows, cols = (bottom - top) // scale, (right - left) // scale
    values = np.zeros((len(scene.bands), rows, cols), np.float32)
    valid = np.zeros((rows, cols), bool)
    cloud = None if scene.quality is None else np.zeros((rows, cols), bool)
    # The part inside, in whole output pixels.
    col0, row0 = max(0, -(left // scale)), max(0, -(top // scale))
    col1 = min(cols, -(-(scene.width - left) // scale))
    row1 = min(rows, -(-(scene.height - top) // scale))
    if col1 <= col0 or row1 <= row0:
        return values, valid, cloud
    inside = (left + col0 * scale, top + row0 * scale, left + col1 * scale, top + row1 * scale)
    here = np.s_[row0:row1, col0:col1]
    valid[here] = True
    for href, positions in scene.files.items():
        data, mask = _read_file(scene, href, positions, inside, (row1 - row0, col1 - col0))
        values[np.ix_(positions, range(row0, row1), range(col0, col1))] = data
        valid[here] &= mask
    for fill in scene.fill_values:
        valid &= (values != fill).any(axis=0)
    if scene.quality is not None and cloud is not None:
        numbers = _read_quality(scene, scene.quality, inside, (row1 - row0, col1 - col0))
        cloud[here] = scene.quality.quality.cloudy(numbers)
        valid[here] &= ~scene.quality.quality.empty(numbers)
    return values, valid, cloud


def _read_file(
    scene: RasterScene,
    href: str,
    positions: Sequence[int],
    inside: tuple[int, int, int, int],
    shape: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return all bands that lie in one file, and where the file has data."""
    indexes = [scene.bands[position].index for position in positions]
    try:
        dataset, has_masks = _dataset(scene, href)
        window = _window(scene, dataset, scene.file_transforms[href], inside)
        if window is None:
            return np.zeros((len(indexes), *shape), np.float32), np.zeros(shape, bool)
        same = (window.width, window.height) == (shape[1], shape[0])
        how = Resampling.nearest if same else Resampling.average if window.width > shape[1] else Resampling.bilinear
        out_shape = (len(indexes), *shape)
        data = dataset.read(indexes, window=window, out_shape=out_shape, resampling=how)
        if np.iscomplexobj(data):
            data = np.abs(data)
        # As GDAL's dataset mask: a pixel is empty when every band says so; one band may well have the nodata value as
        # a number. What is not a number can't be read as one, though.
        mask = np.isfinite(data).all(axis=0) if data.dtype.kind == "f" else np.ones(shape, bool)
        if scene.nodata is not None:
            mask &= (data != scene.nodata).any(axis=0)
        if has_masks:
            mask &= (dataset.read_masks(indexes, window=window, out_shape=out_shape) > 0).any(axis=0)
    except (RasterioError, ValueError) as error:
        raise SceneError(f"{href}: cannot be read ({_first_line(error)}); get the file again") from error
    return np.nan_to_num(data.astype(np.float32), posinf=0, neginf=0), mask


def _read_quality(
    scene: RasterScene, quality: SceneQuality, inside: tuple[int, int, int, int], shape: tuple[int, int]
) -> NDArray[np.integer]:
    """Return the numbers of the quality band, never mixed with each other."""
    try:
        dataset, _ = _dataset(scene, quality.href)
        window = _window(scene, dataset, quality.transform, inside)
        if window is None:
            return np.zeros(shape, np.int64)
        numbers = dataset.read(1, window=window, out_shape=shape, resampling=Resampling.nearest)
    except (RasterioError, ValueError) as error:
        raise SceneError(f"{quality.href}: cannot be read ({_first_line(error)}); get the file again") from error
    return np.asarray(numbers, np.int64)


def _window(
    scene: RasterScene, dataset: DatasetReader, transform: Affine, inside: tuple[int, int, int, int]
) -> Window | None:
    """Return an extent of the reference grid in a file's own pixels; None where the file does not reach."""
    left, top, right, bottom = inside
    # A scene's files differ by scale and offset only.
    to_file = ~transform @ Affine(*scene.transform)
    (x0, y0), (x1, y1) = to_file @ (left, top), to_file @ (right, bottom)
    x0, y0 = max(x0, 0.0), max(y0, 0.0)
    x1, y1 = min(x1, float(dataset.width)), min(y1, float(dataset.height))
    return Window(x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def _dataset(scene: RasterScene, href: str) -> tuple[DatasetReader, bool]:
    """Return this thread's open file and whether it has masks; a thread works on one scene at a time."""
    identity = (scene.record.key, scene.record.href)
    if getattr(_open, "scene", None) != identity:
        for dataset, _ in getattr(_open, "files", {}).values():
            dataset.close()
        _open.scene, _open.files = identity, {}
    if href not in _open.files:
        dataset = open_raster(href)
        _open.files[href] = (
            dataset,
            any(MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums),
        )
    found: tuple[DatasetReader, bool] = _open.files[href]
    return found


def _scaled(scene: RasterScene, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    if scene.to_db:
        values = decibel(values, scene.to_db)
    bands = [stretch(band, low, high) for band, low, high in zip(values, scene.low, scene.high, strict=True)]
    return np.stack(bands)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
