"""Shows a raster in sensor geometry on a north-up grid, pixel by pixel, without interpolation."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Interleaving, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.raster.views import DatasetView, finer, nearest, resolve_read

# Sensor lines are read in chunks of this size with all bands, because bands are compressed together.
_PIECE_PX = 128


class Ground(Protocol):
    """A north-up grid on the ground, and which sensor pixel shows each of its pixels."""

    @property
    def transform(self) -> Affine:
        """Affine from ground pixels to the CRS."""

    @property
    def crs(self) -> CRS:
        """Coordinate reference system."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    def sensor_pixels(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return sensor column and line, from 1, shape (2, rows, columns), for ground rows × columns; 0 for none."""


class SensorView(DatasetView):
    """A raster in sensor geometry, seen on the ground."""

    def __init__(self, inner: DatasetReader, ground: Ground, nodata: float) -> None:
        """Combine a raster with its ground.

        Args:
            inner: The raster in sensor geometry.
            ground: Where its pixels lie.
            nodata: Value of ground pixels that the sensor did not see.
        """
        super().__init__(inner)
        self.transform, self.crs, self.nodata = ground.transform, ground.crs, nodata
        self.height, self.width = self.shape = ground.shape
        self.nodatavals = (nodata,) * inner.count
        # The nodata value marks what the sensor did not see, so no mask has to be read.
        self.mask_flag_enums = ([MaskFlags.all_valid],) * inner.count
        self.block_shapes = [(_PIECE_PX, _PIECE_PX)] * inner.count
        self.interleaving = Interleaving.band
        self._ground = ground

    def overviews(self, _: int) -> list[int]:
        """Return no overviews."""
        return []

    def read(
        self,
        indexes: int | Sequence[int] | None = None,
        window: Window | None = None,
        out_shape: tuple[int, ...] | None = None,
        resampling: Resampling = Resampling.nearest,
    ) -> NDArray[Any]:
        """Read bands like rasterio; coarse pixels are means of valid ones."""
        numbers, where, shape = resolve_read(self, indexes, window, out_shape)
        each = finer(where, shape, resampling)
        rows = nearest(where.row_off, where.height, shape[0] * each, self.height)
        cols = nearest(where.col_off, where.width, shape[1] * each, self.width)
        found = self._sensed(numbers, self._ground.sensor_pixels(rows, cols))
        if each > 1:
            found = _means(found.reshape(len(numbers), shape[0], each, shape[1], each), self.nodata)
        return found[0] if isinstance(indexes, int) else found

    def _sensed(self, numbers: list[int], table: NDArray[np.int32]) -> NDArray[Any]:
        """Return sensor values at sensor pixels, shape (bands, rows, columns)."""
        out = np.full((len(numbers), *table.shape[1:]), self.nodata, self.inner.dtypes[0])
        rows, cols = np.nonzero((table > 0).all(axis=0))
        x, y = table[0, rows, cols] - 1, table[1, rows, cols] - 1
        pieces = (y // _PIECE_PX).astype(np.int64) * (self.inner.width // _PIECE_PX + 1) + x // _PIECE_PX
        order = np.argsort(pieces, kind="stable")
        for inside in np.split(order, np.flatnonzero(np.diff(pieces[order])) + 1) if len(order) else ():
            left, top = int(x[inside].min()), int(y[inside].min())
            window = Window(left, top, int(x[inside].max()) - left + 1, int(y[inside].max()) - top + 1)
            values = self.inner.read(numbers, window=window)
            out[:, rows[inside], cols[inside]] = values[:, y[inside] - top, x[inside] - left]
        if self.inner.nodata is not None:
            out[out == self.inner.nodata] = self.nodata
        return out


def _means(parts: NDArray[Any], nodata: float) -> NDArray[Any]:
    """Average the valid pixels of each block, from shape (bands, rows, finer, columns, finer)."""
    seen = parts != nodata
    count = seen.sum(axis=(2, 4))
    total = np.where(seen, parts, 0).sum(axis=(2, 4), dtype=np.float64)
    mean = total / np.maximum(count, 1)
    if parts.dtype.kind in "iu":
        mean = np.floor(mean + 0.5)
    return np.where(count * 2 >= parts.shape[2] * parts.shape[4], mean, nodata).astype(parts.dtype)
