"""Reads the pixels of neighbouring tiles together and scales them for the model."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from rasterio.env import set_gdal_config

from bandsight.geo.grid import TileWindow
from bandsight.raster.byte_scaling import masked_to_bytes, to_bytes
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.scene_raster import SceneRaster
from bandsight.raster.windows import read_window
from indexer.scene import RasterScene

NOTHING: NDArray[np.uint8] = np.empty((0, 0, 0), np.uint8)
# Set in processes that only read, because GDAL's block cache is process-wide.
bounded_cache = False
_CACHE_BYTES = 16 << 20, 128 << 20
# Open files of the scene a thread works on.
_of_thread = threading.local()


@dataclass(frozen=True, slots=True)
class ReadTile:
    """The pixels of one tile."""

    window: TileWindow
    pixels: NDArray[np.uint8]
    """Shape (bands, tile_px, tile_px); empty if too few pixels are valid."""
    valid_fraction: float
    """Fraction of valid pixels in the window."""
    cloud_fraction: float | None = None
    """Share of those that are cloud or its shadow; None without a quality band."""
    vector: NDArray[np.float32] | None = None
    """Its unit vector, shape (dim,), where it was embedded in the place where it was read; it has no pixels then."""
    cells: NDArray[np.uint8] | None = None
    """Records of its cells, as `bandsight.vectors.cells`; None where they are not wanted, or not embedded yet."""
    encode_s: float = 0.0
    """Its share of the time that encoders there have worked, seconds."""

    @property
    def kept(self) -> bool:
        """Whether the archive will hold it."""
        return self.vector is not None or bool(self.pixels.size)


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
        windows: Windows of one scale; their bounding box is read.
        tile_px: Tile size, pixels.
        min_valid: Minimum valid fraction of the pixels inside the scene; other tiles are returned without pixels.
        max_cloud: Maximum cloudy fraction, by the quality band; other tiles are returned without pixels.
        kept_rows: Raster rows whose blocks are worth caching for the next reads.

    Raises:
        SceneError: A file cannot be read there.
    """
    raster, scale = scene.raster, windows[0].scale
    phases = [(window.col_off % scale, window.row_off % scale) for window in windows]
    if len(set(phases)) > 1:
        # At coarse scales, tiles moved to the scene's edge are not aligned with the pixels of the others.
        alike = [[at for at, own in enumerate(phases) if own == phase] for phase in dict.fromkeys(phases)]
        options = {"tile_px": tile_px, "min_valid": min_valid, "max_cloud": max_cloud, "kept_rows": kept_rows}
        read = [read_tiles(scene, [windows[at] for at in group], **options) for group in alike]  # type: ignore[arg-type]  # one dict of ints and floats
        found = dict(zip(chain.from_iterable(alike), chain.from_iterable(read), strict=True))
        return [found[at] for at in range(len(windows))]
    left, top = min(window.col_off for window in windows), min(window.row_off for window in windows)
    right = max(window.col_off + window.width for window in windows)
    bottom = max(window.row_off + window.height for window in windows)
    if bounded_cache:
        _bound_cache(scene, max(kept_rows, bottom - top), right - left)
    shape = (bottom - top) // scale, (right - left) // scale
    read_together = read_window(raster, (left, top, right, bottom), shape, _files(raster))
    values, valid, cloud = read_together.values, read_together.valid, read_together.cloud
    scaled = to_bytes(raster.scaling, values)
    # Usually everything is valid, and tiles need no individual checks.
    whole = bool(valid.all())
    # Use views if all tiles are kept, to avoid copies; otherwise copy, so that one tile does not keep the memory of
    # all.
    own = np.ascontiguousarray if cloud is not None or not whole else np.asarray
    tiles = []
    for window in windows:
        row, col = (window.row_off - top) // scale, (window.col_off - left) // scale
        cut = np.s_[:, row : row + tile_px, col : col + tile_px]
        seen = valid[cut[1:]]
        share = 1.0 if whole else float(seen.mean())
        clouded = None if cloud is None or share == 0 else float(cloud[cut[1:]][seen].mean())
        # Only pixels inside the scene count, so that a scene smaller than a tile still yields one.
        if share == 0 or (not whole and seen.sum() < min_valid * _pixels_inside(raster, window)):
            tiles.append(ReadTile(window, NOTHING, share))
        elif clouded is not None and clouded > max_cloud:
            tiles.append(ReadTile(window, NOTHING, share, clouded))
        elif share == 1:
            tiles.append(ReadTile(window, own(scaled[cut]), share, clouded))
        else:
            tiles.append(ReadTile(window, masked_to_bytes(raster.scaling, values[cut], seen), share, clouded))
    return tiles


def _pixels_inside(raster: SceneRaster, window: TileWindow) -> float:
    """Return the number of a tile's pixels inside the scene."""
    cols = min(window.col_off + window.width, raster.width) - max(window.col_off, 0)
    rows = min(window.row_off + window.height, raster.height) - max(window.row_off, 0)
    return cols * rows / window.scale**2


def _files(raster: SceneRaster) -> OpenFiles:
    """Return this thread's open files of a scene; a thread works on one scene at a time."""
    if getattr(_of_thread, "key", None) != raster.key:
        if hasattr(_of_thread, "files"):
            _of_thread.files.close()
        _of_thread.key, _of_thread.files = raster.key, OpenFiles()
    found: OpenFiles = _of_thread.files
    return found


def _bound_cache(scene: RasterScene, rows: int, cols: int) -> None:
    """Limit GDAL's block cache to what the next reads share with this one."""
    block_rows, block_cols = scene.block
    down = -(-rows // block_rows) + 1
    across = min(-(-cols // block_cols) + 1, -(-scene.raster.width // block_cols))
    size = down * block_rows * across * block_cols * len(scene.raster.bands) * scene.number_bytes
    least, most = _CACHE_BYTES
    needed = min(max(size * 5 // 4, least), most)
    if getattr(_of_thread, "cache", None) != needed:
        # Takes effect immediately; a process works on one scene at a time.
        set_gdal_config("GDAL_CACHEMAX", needed)
        _of_thread.cache = needed
