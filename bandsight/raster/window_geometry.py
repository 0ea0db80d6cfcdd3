"""Where windows of a scene's grid lie in the scene and in its files."""

import math
from dataclasses import dataclass

from affine import Affine
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.raster.scene_raster import Extent, SceneRaster

# Tolerance to snap windows to whole pixels, because multiplied transforms have rounding errors.
_NOISE_PX = 1e-3

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inside:
    """The part of a window inside the scene."""

    extent: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the scene."""
    rows: slice
    """Slice in the window."""
    cols: slice
    """Slice in the window."""

    @property
    def shape(self) -> Shape:
        """Rows and columns of the part."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    @property
    def at(self) -> tuple[slice, slice]:
        """Its place in the window."""
        return self.rows, self.cols


def inside_of(raster: SceneRaster, extent: Extent, shape: Shape) -> Inside | None:
    """Return the part of a window inside the scene, in whole pixels of the result, or None if there is none."""
    left, top, right, bottom = extent
    col0, col1, x0, x1 = _span(left, right, shape[1], raster.width)
    row0, row1, y0, y1 = _span(top, bottom, shape[0], raster.height)
    if col1 <= col0 or row1 <= row0:
        return None
    return Inside(extent=(x0, y0, x1, y1), rows=slice(row0, row1), cols=slice(col0, col1))


def _span(start: float, end: float, count: int, size: int) -> tuple[int, int, float, float]:
    """Return the first and one-past-last pixel of a window inside the scene, and their extent.

    A coarse pixel partly outside is invalid, unless the scene is narrower than one.
    """
    step = (end - start) / count
    first = max(0, math.ceil(-start / step - 1e-9))
    last = min(count, math.floor((size - start) / step + 1e-9))
    if last <= first and start < size and end > 0:
        last = min(count, first + 1) if size - start > first * step else first
    return first, last, start + first * step, min(start + last * step, float(size))


def step_px(inside: Inside) -> int:
    """Return how many scene pixels a pixel of the window spans, rounded."""
    left, _, right, _ = inside.extent
    return max(1, round((right - left) / inside.shape[1]))


def file_window(dataset: DatasetReader, step: Affine, extent: tuple[float, float, float, float]) -> Window | None:
    """Return an extent of the scene's grid in pixels of a file, or None if they do not overlap."""
    left, top, right, bottom = extent
    (x0, y0), (x1, y1) = step @ (left, top), step @ (right, bottom)
    x0, x1, y0, y1 = (_snapped(value) for value in (min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)))
    x0, y0 = max(x0, 0.0), max(y0, 0.0)
    x1, y1 = min(x1, float(dataset.width)), min(y1, float(dataset.height))
    return Window(x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def _snapped(value: float) -> float:
    """Snap a pixel coordinate to the nearest integer if it is within rounding errors."""
    near = round(value)
    return float(near) if abs(value - near) < _NOISE_PX else value
