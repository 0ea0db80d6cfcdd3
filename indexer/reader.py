"""Reads the pixels of neighbouring tiles in one go and scales them for the model."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.env import set_gdal_config
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.errors import SceneError
from bandsight.geo.grid import TileWindow
from bandsight.raster.byte_scaling import WHOLE_NUMBERS, to_bytes
from bandsight.raster.drivers import open_raster
from bandsight.raster.filling import filled
from indexer.scene import RasterScene, SceneQuality

NOTHING: NDArray[np.uint8] = np.empty((0, 0, 0), np.uint8)
_open = threading.local()
# Set in a process that does nothing but read: GDAL's cache of decoded blocks is the whole process's.
bounded_cache = False
_CACHE_BYTES = 16 << 20, 128 << 20


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


def read_tiles(
    scene: RasterScene,
    windows: Sequence[TileWindow],
    *,
    tile_px: int,
    min_valid: float,
    max_cloud: float = 1.0,
    kept_rows: int = 0,
) -> list[ReadTile]:
    """Read neighbouring tiles.

    Args:
        scene: An open scene.
        windows: Windows of one scale; all that lies between them is read too.
        tile_px: Side of a tile, pixels.
        min_valid: Tiles with a smaller valid share of what lies within the scene come back without pixels.
        max_cloud: So do tiles of which a larger share is cloud, where a quality band says so.
        kept_rows: Rows of the raster whose blocks are worth keeping for the next reads.

    Raises:
        SceneError: A file cannot be read there.
    """
    scale = windows[0].scale
    phases = [(window.col_off % scale, window.row_off % scale) for window in windows]
    if len(set(phases)) > 1:
        # Tiles that were moved to the scene's edge fall between the pixels of the others at a coarse scale.
        alike = [[at for at, own in enumerate(phases) if own == phase] for phase in dict.fromkeys(phases)]
        options = {"tile_px": tile_px, "min_valid": min_valid, "max_cloud": max_cloud, "kept_rows": kept_rows}
        read = [read_tiles(scene, [windows[at] for at in group], **options) for group in alike]  # type: ignore[arg-type]
        found = dict(zip(chain.from_iterable(alike), chain.from_iterable(read), strict=True))
        return [found[at] for at in range(len(windows))]
    left, top = min(window.col_off for window in windows), min(window.row_off for window in windows)
    right = max(window.col_off + window.width for window in windows)
    bottom = max(window.row_off + window.height for window in windows)
    if bounded_cache:
        _bound_cache(scene, max(kept_rows, bottom - top), right - left)
    values, valid, cloud = _read(scene, (left, top, right, bottom), scale)
    scaled = to_bytes(scene, values)
    # Mostly all of it is there, and no tile needs to be looked at by itself.
    whole = bool(valid.all())
    # Where every tile is kept they are views, which costs no copy; else one tile would hold the memory of all.
    own = np.ascontiguousarray if cloud is not None or not whole else np.asarray
    tiles = []
    for window in windows:
        row, col = (window.row_off - top) // scale, (window.col_off - left) // scale
        cut = np.s_[:, row : row + tile_px, col : col + tile_px]
        seen = valid[cut[1:]]
        share = 1.0 if whole else float(seen.mean())
        clouded = None if cloud is None or share == 0 else float(cloud[cut[1:]][seen].mean())
        # What lies outside of the scene is not its fault: a scene smaller than a tile is a tile all the same.
        if share == 0 or (not whole and seen.sum() < min_valid * _pixels_inside(scene, window)):
            tiles.append(ReadTile(window, NOTHING, share))
        elif clouded is not None and clouded > max_cloud:
            tiles.append(ReadTile(window, NOTHING, share, clouded))
        elif share == 1:
            tiles.append(ReadTile(window, own(scaled[cut]), share, clouded))
        else:
            pixels = to_bytes(scene, filled(values[cut].astype(np.float32), seen))
            tiles.append(ReadTile(window, pixels, share, clouded))
    return tiles


def _pixels_inside(scene: RasterScene, window: TileWindow) -> float:
    """Return how many pixels of a tile lie within the raster."""
    cols = min(window.col_off + window.width, scene.width) - max(window.col_off, 0)
    rows = min(window.row_off + window.height, scene.height) - max(window.row_off, 0)
    return cols * rows / window.scale**2


def _read(
    scene: RasterScene, extent: tuple[int, int, int, int], scale: int
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Return values (bands, rows, columns), validity and cloud of an extent that may stick out of the raster.

    Values are as they are stored where all files hold one type of whole numbers of at most 16 bits, else float32.
    """
    left, top, right, bottom = extent
    rows, cols = (bottom - top) // scale, (right - left) // scale
    valid = np.zeros((rows, cols), bool)
    cloud = None if scene.quality is None else np.zeros((rows, cols), bool)
    # The part inside, in whole output pixels.
    col0, row0 = max(0, -(left // scale)), max(0, -(top // scale))
    col1 = min(cols, -(-(scene.width - left) // scale))
    row1 = min(rows, -(-(scene.height - top) // scale))
    if col1 <= col0 or row1 <= row0:
        return np.zeros((len(scene.bands), rows, cols), np.float32), valid, cloud
    inside = (left + col0 * scale, top + row0 * scale, left + col1 * scale, top + row1 * scale)
    shape, here = (row1 - row0, col1 - col0), np.s_[row0:row1, col0:col1]
    found = {href: _read_file(scene, href, positions, inside, shape) for href, positions in scene.files.items()}
    kinds = {data.dtype for data, _ in found.values()}
    kind = kinds.pop() if len(kinds) == 1 and kinds <= WHOLE_NUMBERS else np.dtype(np.float32)
    if len(found) == 1 and shape == valid.shape:
        ((values, _),) = found.values()
        values = values.astype(kind, copy=False)
    else:
        values = np.zeros((len(scene.bands), rows, cols), kind)
        for href, positions in scene.files.items():
            for position, band in zip(positions, found[href][0], strict=True):
                values[position][here] = band
    valid[here] = True
    for _, mask in found.values():
        if mask is not None:
            valid[here] &= mask
    for fill in scene.fill_values:
        valid &= ~_everywhere(values, fill)
    if scene.quality is not None and cloud is not None:
        numbers = _read_quality(scene, scene.quality, inside, shape)
        cloud[here] = scene.quality.quality.cloudy(numbers)
        valid[here] &= ~scene.quality.quality.empty(numbers)
    return values, valid, cloud


def _read_file(
    scene: RasterScene,
    href: str,
    positions: Sequence[int],
    inside: tuple[int, int, int, int],
    shape: tuple[int, int],
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return all bands that lie in one file, and where the file has data (None: everywhere)."""
    indexes = [scene.bands[position].index for position in positions]
    try:
        dataset, has_masks = _dataset(scene, href)
        window = _window(scene, dataset, scene.file_transforms[href], inside)
        if window is None:
            return np.zeros((len(indexes), *shape), dataset.dtypes[0]), np.zeros(shape, bool)
        same = (window.width, window.height) == (shape[1], shape[0])
        how = Resampling.nearest if same else Resampling.average if window.width > shape[1] else Resampling.bilinear
        out_shape = (len(indexes), *shape)
        data = dataset.read(indexes, window=window, out_shape=out_shape, resampling=how)
        if np.iscomplexobj(data):
            data = np.abs(data)
        # As GDAL's dataset mask: a pixel is empty when every band says so; one band may well have the nodata value as
        # a number. What is not a number can't be read as one, though.
        mask = np.isfinite(data).all(axis=0) if data.dtype.kind == "f" else None
        if scene.nodata is not None:
            there = ~_everywhere(data, scene.nodata)
            mask = there if mask is None else mask & there
        if has_masks:
            there = (dataset.read_masks(indexes, window=window, out_shape=out_shape) > 0).any(axis=0)
            mask = there if mask is None else mask & there
    except (RasterioError, ValueError) as error:
        raise SceneError(f"{href}: cannot be read ({_first_line(error)}); get the file again") from error
    if data.dtype in WHOLE_NUMBERS:
        return data, mask
    return np.nan_to_num(data.astype(np.float32), posinf=0, neginf=0), mask


def _everywhere(values: NDArray[Any], number: float) -> NDArray[np.bool_]:
    """Return where all bands have one number; where the first one has it nowhere, the others need no look."""
    if values.dtype in WHOLE_NUMBERS:
        limits = np.iinfo(values.dtype)
        if not (float(number).is_integer() and limits.min <= number <= limits.max):
            return np.zeros(values.shape[1:], bool)
        number = int(number)
    where: NDArray[np.bool_] = values[0] == number
    for band in values[1:]:
        if not where.any():
            break
        where &= band == number
    return where


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


def _bound_cache(scene: RasterScene, rows: int, cols: int) -> None:
    """Let GDAL keep the decoded blocks that the next reads share with this one, and hardly more."""
    block_rows, block_cols = scene.block
    down = -(-rows // block_rows) + 1
    across = min(-(-cols // block_cols) + 1, -(-scene.width // block_cols))
    size = down * block_rows * across * block_cols * len(scene.bands) * scene.number_bytes
    least, most = _CACHE_BYTES
    wanted = min(max(size * 5 // 4, least), most)
    if getattr(_open, "cache", None) != wanted:
        # GDAL takes it at once; a process works on one scene at a time.
        set_gdal_config("GDAL_CACHEMAX", wanted)
        _open.cache = wanted


def _first_line(error: BaseException) -> str:
    """Return what went wrong, in GDAL's words where rasterio only says that something did."""
    while isinstance(error, RasterioError) and error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]
