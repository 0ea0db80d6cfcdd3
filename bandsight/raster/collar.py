"""Finds the collar of a scene: black pixels connected to the edge, unlike black ground inside."""

import math

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from bandsight.errors import SceneError
from bandsight.raster.masks import Collar
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.orientation import file_shape, turned
from bandsight.raster.scene_raster import SceneRaster
from bandsight.raster.windows import first_line, step_of

# Longest side of the overview that is searched, pixels.
_OVERVIEW_PX = 1024
# Minimum fraction of the scene that a collar covers, so that a dark pixel in a corner does not count.
_LEAST_SHARE = 0.002
# Side of a probe window at the edge, pixels, and the black fraction that indicates a collar.
_PROBE_PX, _PROBE_SHARE = 16, 0.25
# Black has values up to this after lossy compression.
_NOISE = 3
_LOSSY = {"jpeg", "webp", "jpeg2000", "lerc"}


def find_collar(raster: SceneRaster, files: OpenFiles) -> Collar | None:
    """Return a scene's collar, or None if it has none.

    Args:
        raster: A scene whose files have neither a mask nor a nodata value.
        files: Its files.

    Raises:
        SceneError: A file cannot be read.
    """
    shrink = max(1.0, max(raster.width, raster.height) / _OVERVIEW_PX)
    shape = (math.ceil(raster.height / shrink), math.ceil(raster.width / shrink))
    lossy = any(_is_lossy(files, href) for href in {band.href for band in raster.bands})
    at_most = float(_NOISE if lossy else 0)
    if not _is_black_at_edge(raster, files, at_most):
        return None
    empty = np.ones(shape, bool)
    for band in raster.bands:
        dataset, step = files.dataset(band.href), step_of(raster, files, band.href)
        try:
            # Nearest neighbour, because averaging would hide black next to bright ground.
            values = dataset.read(band.index, out_shape=file_shape(shape, step), resampling=Resampling.nearest)
        except RasterioError as error:
            raise SceneError(f"{band.href}: cannot be read ({first_line(error)}); get the file again") from error
        values = turned(np.abs(values) if np.iscomplexobj(values) else values, step)
        empty &= (values >= 0) & (values <= at_most)
        if not empty.any():
            return None
    border = _connected_to_edge(empty)
    if border.mean() < _LEAST_SHARE:
        return None
    # The overview may miss the collar's boundary by one cell.
    return Collar.of(_grown(border), at_most)


def _is_black_at_edge(raster: SceneRaster, files: OpenFiles, at_most: float) -> bool:
    """Return whether the first band is black in a corner or mid-side. Most scenes are ruled out by this.

    Reading whole rows and columns would decode every block along the edge.
    """
    band = raster.bands[0]
    dataset = files.dataset(band.href)
    cols, rows = min(_PROBE_PX, dataset.width), min(_PROBE_PX, dataset.height)
    lefts = {0, (dataset.width - cols) // 2, dataset.width - cols}
    tops = {0, (dataset.height - rows) // 2, dataset.height - rows}
    places = [(left, top) for left in lefts for top in tops if {left, top} & {0, max(lefts)} or top == max(tops)]
    try:
        probes = [dataset.read(band.index, window=Window(left, top, cols, rows)) for left, top in sorted(places)]
    except RasterioError as error:
        raise SceneError(f"{band.href}: cannot be read ({first_line(error)}); get the file again") from error
    return any(bool((np.abs(probe) <= at_most).mean() > _PROBE_SHARE) for probe in probes)


def _is_lossy(files: OpenFiles, href: str) -> bool:
    dataset = files.dataset(href)
    compression = dataset.compression.value.lower() if dataset.compression else ""
    return compression in _LOSSY or dataset.driver in {"JPEG", "JP2OpenJPEG"}


def _connected_to_edge(empty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the empty pixels connected to the edge (4-connectivity)."""
    reached = np.zeros_like(empty)
    reached[0], reached[-1] = empty[0], empty[-1]
    reached[:, 0], reached[:, -1] = empty[:, 0], empty[:, -1]
    while True:
        before = int(reached.sum())
        # Sweep along rows and columns in both directions. Each sweep propagates along straight runs of black.
        for axis in (0, 1):
            for backwards in (False, True):
                _sweep(np.swapaxes(reached, 0, axis), np.swapaxes(empty, 0, axis), backwards=backwards)
        if int(reached.sum()) == before:
            return reached


def _sweep(reached: NDArray[np.bool_], empty: NDArray[np.bool_], *, backwards: bool) -> None:
    """Propagate reached pixels from row to row, in place."""
    rows = range(len(reached) - 2, -1, -1) if backwards else range(1, len(reached))
    for row in rows:
        reached[row] |= reached[row + 1 if backwards else row - 1] & empty[row]


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    rows, cols = mask.shape
    parts = [padded[row : row + rows, col : col + cols] for row in range(3) for col in range(3)]
    return np.asarray(np.logical_or.reduce(parts), np.bool_)
