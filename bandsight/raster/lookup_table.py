"""Orthorectifies EMIT with the geometry lookup table (GLT) in its files, which maps ground pixels to sensor pixels."""

import re
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Interleaving, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.errors import SceneError
from bandsight.raster.views import DatasetView, finer, nearest, resolve_read

# Groups in a file (NASA LP DAAC, EMIT L1B and L2A user guides).
_TABLE, _BANDS = "/location/glt_", "/sensor_band_parameters/"
_NO_DATA = -9999.0
# Sensor lines are read in chunks of this size with all bands, because bands are compressed together.
_PIECE_PX = 128
_LIKELY = 25
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
# By default, GDAL flips the lines of these files.
_FROM_ABOVE = {"GDAL_NETCDF_BOTTOMUP": "NO"}


class Orthorectified(DatasetView):
    """An orthorectified EMIT raster, with wavelengths as band tags."""

    nodata = _NO_DATA

    def __init__(self, inner: DatasetReader, table: NDArray[np.int32], transform: Affine, crs: CRS) -> None:
        """Combine sensor data and lookup table.

        Args:
            inner: The raster in sensor geometry.
            table: Sensor column and line, from 1, for each ground pixel, shape (2, rows, columns); 0 for none.
            transform: Affine from ground pixels to the CRS.
            crs: The CRS.
        """
        super().__init__(inner)
        self.transform, self.crs = transform, crs
        self.height, self.width = self.shape = table.shape[1:]
        self.nodatavals = (_NO_DATA,) * inner.count
        self.mask_flag_enums = ([MaskFlags.all_valid],) * inner.count
        self.block_shapes = [(_PIECE_PX, _PIECE_PX)] * inner.count
        self.interleaving = Interleaving.band
        self._table = table
        self._waves = _wavelengths(str(inner.name), inner.count)

    def tags(self, bidx: int = 0, ns: str | None = None) -> dict[str, str]:
        """Return tags of the file, or of a band: its wavelength and width, if known."""
        if bidx == 0:
            return dict(self.inner.tags(ns=ns))
        if ns is not None or self._waves is None:
            return {}
        centre, width = self._waves[:, bidx - 1]
        return {"wavelength": repr(float(centre)), "fwhm": repr(float(width)), "wavelength_units": "Nanometers"}

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
        """Read bands like rasterio, with -9999 as nodata; coarse pixels are means of valid ones."""
        numbers, where, shape = resolve_read(self, indexes, window, out_shape)
        each = finer(where, shape, resampling)
        rows = nearest(where.row_off, where.height, shape[0] * each, self.height)
        cols = nearest(where.col_off, where.width, shape[1] * each, self.width)
        found = self._sensed(numbers, self._table[:, rows[:, None], cols[None, :]])
        if each > 1:
            found = _means(found.reshape(len(numbers), shape[0], each, shape[1], each))
        return found[0] if isinstance(indexes, int) else found

    def _sensed(self, numbers: list[int], table: NDArray[np.int32]) -> NDArray[Any]:
        """Return sensor values at positions in the lookup table, shape (bands, rows, columns)."""
        out = np.full((len(numbers), *table.shape[1:]), _NO_DATA, self.inner.dtypes[0])
        rows, cols = np.nonzero((table > 0).all(axis=0))
        x, y = table[0, rows, cols] - 1, table[1, rows, cols] - 1
        pieces = (y // _PIECE_PX).astype(np.int64) * (self.inner.width // _PIECE_PX + 1) + x // _PIECE_PX
        for piece in np.unique(pieces):
            inside = pieces == piece
            left, top = int(x[inside].min()), int(y[inside].min())
            window = Window(left, top, int(x[inside].max()) - left + 1, int(y[inside].max()) - top + 1)
            values = self.inner.read(numbers, window=window)
            out[:, rows[inside], cols[inside]] = values[:, y[inside] - top, x[inside] - left]
        if self.inner.nodata is not None:
            out[out == self.inner.nodata] = _NO_DATA
        return out


def orthorectified(dataset: DatasetReader) -> DatasetReader:
    """Return an EMIT raster orthorectified, which takes over closing it; others unchanged.

    Raises:
        SceneError: The lookup table is invalid.
    """
    tags = dataset.tags()
    six = [float(number) for number in _NUMBER.findall(tags.get("NC_GLOBAL#geotransform", ""))]
    if dataset.driver != "netCDF" or len(six) != 6 or not dataset.transform.is_identity:  # noqa: PLR2004
        return dataset
    place = str(dataset.name)
    try:
        layers = [_layer(f"{_container(place)}:{_TABLE}{axis}") for axis in "xy"]
    except RasterioError:
        return dataset
    table = np.stack(layers).astype(np.int32) if layers[0].shape == layers[1].shape else np.zeros((2, 0, 0), np.int32)
    limits = np.array([dataset.width, dataset.height]).reshape(2, 1, 1)
    # Negative entries are gaps filled with the nearest pixel.
    table = np.abs(table)
    if not table.size or (table > limits).any():
        raise SceneError(f"{place}: its lookup table does not fit its image; get the file again")
    stated = tags.get("NC_GLOBAL#spatial_ref")
    crs = CRS.from_wkt(stated) if stated else CRS.from_epsg(4326)
    # Many files have WGS 84 without an EPSG code.
    crs = CRS.from_epsg(code) if (code := crs.to_epsg(confidence_threshold=_LIKELY)) else crs
    dataset.close()
    with rasterio.Env(**_FROM_ABOVE):
        picture = DatasetReader(place, driver=["netCDF"])
    return cast("DatasetReader", Orthorectified(picture, table, Affine.from_gdal(*six), crs))


def _container(place: str) -> str:
    return place.rsplit(":", 1)[0]


def _layer(place: str) -> NDArray[Any]:
    with rasterio.Env(**_FROM_ABOVE), DatasetReader(place, driver=["netCDF"]) as opened:
        values = np.asarray(opened.read(1))
        return np.where(values == opened.nodata, 0, values)


def _wavelengths(place: str, count: int) -> NDArray[Any] | None:
    """Return centre and width of each band, nm, shape (2, bands), or None if not stated."""
    try:
        found = [_layer(f"{_container(place)}:{_BANDS}{name}").ravel() for name in ("wavelengths", "fwhm")]
    except RasterioError:
        return None
    return np.stack(found) if all(len(one) == count for one in found) else None


def _means(parts: NDArray[Any]) -> NDArray[Any]:
    """Average the valid pixels of each block, from shape (bands, rows, finer, columns, finer)."""
    seen = parts != _NO_DATA
    count = seen.sum(axis=(2, 4))
    total = np.where(seen, parts, 0).sum(axis=(2, 4), dtype=np.float64)
    mean = np.where(count * 2 >= parts.shape[2] * parts.shape[4], total / np.maximum(count, 1), _NO_DATA)
    return mean.astype(parts.dtype)
