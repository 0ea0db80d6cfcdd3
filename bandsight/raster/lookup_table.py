"""Orthorectifies EMIT with the geometry lookup table (GLT) in its files, which maps ground pixels to sensor pixels."""

import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from bandsight.errors import SceneError
from bandsight.raster.sensor_view import SensorView

# Groups in a file (NASA LP DAAC, EMIT L1B and L2A user guides).
_TABLE, _BANDS = "/location/glt_", "/sensor_band_parameters/"
_NO_DATA = -9999.0
_LIKELY = 25
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
# By default, GDAL flips the lines of these files.
_FROM_ABOVE = {"GDAL_NETCDF_BOTTOMUP": "NO"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _TableGround:
    """A grid on the ground with its lookup table."""

    transform: Affine
    crs: CRS
    table: NDArray[np.int32]
    """Sensor column and line, from 1, for each ground pixel, shape (2, rows, columns); 0 for none."""

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.table.shape[1:]
        return rows, cols

    def sensor_pixels(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int32]:
        return self.table[:, rows[:, None], cols[None, :]]


class Orthorectified(SensorView):
    """An orthorectified EMIT raster, with wavelengths as band tags."""

    def __init__(self, inner: DatasetReader, ground: _TableGround) -> None:
        """Combine sensor data and lookup table."""
        super().__init__(inner, ground, _NO_DATA)
        self._waves = _wavelengths(str(inner.name), inner.count)

    def tags(self, bidx: int = 0, ns: str | None = None) -> dict[str, str]:
        """Return tags of the file, or of a band: its wavelength and width, if known."""
        if bidx == 0:
            return dict(self.inner.tags(ns=ns))
        if ns is not None or self._waves is None:
            return {}
        centre, width = self._waves[:, bidx - 1]
        return {"wavelength": repr(float(centre)), "fwhm": repr(float(width)), "wavelength_units": "Nanometers"}


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
    ground = _TableGround(transform=Affine.from_gdal(*six), crs=crs, table=table)
    return cast("DatasetReader", Orthorectified(picture, ground))


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
