"""Places Sentinel-3 images, which are in instrument geometry, by the latitude and longitude of each of their pixels.

The geolocation files of a product give both for every pixel (ESA, Sentinel-3 OLCI and SLSTR product data format).
Ground pixels take the nearest sensor pixel: found roughly on a coarse grid, then exactly in the geolocation of the
window that is read.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from threading import Lock
from typing import cast

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.errors import SceneError
from bandsight.raster.metric_crs import metric_crs
from bandsight.raster.sensor_view import SensorView

# SLSTR names its grid and view at the end of file and variable: an, in, fn, ao, … (ESA).
_GRID = re.compile(r"_([abcfit][no])$")
# By default, GDAL flips the lines of these files.
_FROM_ABOVE = {"GDAL_NETCDF_BOTTOMUP": "NO"}
# Sensor pixels between two points of the coarse grid, and between two of its refined points.
_COARSE, _FINE = 16, 4
# Ground pixels of a cell of the coarse grid. Reads of fewer than one pixel in so many use that grid alone.
_CELL, _SPARSE = 16, 4
_STEPS = 4
# A ground pixel shows a sensor pixel whose centre is at most this many sensor pixels away.
_NEAR = 0.75
# Pixel sizes to choose from, in one decade.
_SIZES = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
# Maximum extent, m: one granule of three minutes has 1,400 km.
_MOST_M = 5_000_000
_MOST_PX = 100_000_000
# Tables of recently read windows, because all bands of a product share them.
_KEPT = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SwathGround:
    """A north-up grid around a swath."""

    transform: Affine
    crs: CRS
    shape: tuple[int, int]
    latitude: str
    """GDAL name of the latitude, degrees, for each sensor pixel."""
    longitude: str
    """The same for the longitude."""
    lines: NDArray[np.float32]
    """Sensor line, from 0, at the centre of each cell of the coarse grid; NaN where there is none."""
    columns: NDArray[np.float32]
    """Sensor column, from 0, likewise."""
    sensor_shape: tuple[int, int]
    """Lines and columns of the sensor."""
    kept: "OrderedDict[tuple[bytes, bytes], NDArray[np.int32]]" = field(default_factory=OrderedDict)
    """Tables of recently read windows."""
    lock: Lock = field(default_factory=Lock)
    """Held while `kept` is used."""

    def sensor_pixels(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return sensor column and line, from 1, shape (2, rows, columns), for ground rows × columns; 0 for none."""
        key = rows.tobytes(), cols.tobytes()
        with self.lock:
            if key in self.kept:
                return self.kept[key]
        line, column = _interpolated(self.lines, rows, cols), _interpolated(self.columns, rows, cols)
        sparse = max(_spacing(rows), _spacing(cols)) >= _SPARSE
        found = self._rounded(line, column) if sparse else self._exact(rows, cols, line, column)
        with self.lock:
            self.kept[key] = found
            if len(self.kept) > _KEPT:
                self.kept.popitem(last=False)
        return found

    def _rounded(self, line: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.int32]:
        lines, columns = self.sensor_shape
        edge = -0.5
        seen = (line > edge) & (line < lines + edge) & (column > edge) & (column < columns + edge)
        pair = np.stack([column, line])
        return np.where(seen, np.rint(np.where(seen, pair, 0)) + 1, 0).astype(np.int32)

    def _exact(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], line: NDArray[np.float64], column: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Find the nearest sensor pixel, starting from estimates."""
        table = np.zeros((2, len(rows), len(cols)), np.int32)
        known = np.isfinite(line) & np.isfinite(column)
        if not known.any():
            return table
        top, left, x, y = self._places(line[known], column[known])
        east = np.broadcast_to(self.transform.c + self.transform.a * (cols + 0.5), line.shape)[known]
        north = np.broadcast_to((self.transform.f + self.transform.e * (rows + 0.5))[:, None], line.shape)[known]
        at = np.clip(np.rint(line[known]) - top, 0, x.shape[0] - 1).astype(np.int64)
        off = np.clip(np.rint(column[known]) - left, 0, x.shape[1] - 1).astype(np.int64)
        steps = _gradients(x, y)
        best, far = (at.copy(), off.copy()), np.full(at.shape, np.inf)
        for _ in range(_STEPS):
            down_px, right_px = _moves(steps, at, off, east - x[at, off], north - y[at, off])
            distance = np.maximum(np.abs(down_px), np.abs(right_px))
            nearer = distance < far
            best = np.where(nearer, at, best[0]), np.where(nearer, off, best[1])
            far = np.where(nearer, distance, far)
            move = np.isfinite(down_px) & np.isfinite(right_px)
            at = np.clip(at + np.where(move, np.rint(down_px), 0), 0, x.shape[0] - 1).astype(np.int64)
            off = np.clip(off + np.where(move, np.rint(right_px), 0), 0, x.shape[1] - 1).astype(np.int64)
        seen = far <= _NEAR
        table[0][known] = np.where(seen, best[1] + left + 1, 0)
        table[1][known] = np.where(seen, best[0] + top + 1, 0)
        return table

    def _places(
        self, line: NDArray[np.float64], column: NDArray[np.float64]
    ) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64]]:
        """Return first line and column of the sensor window around estimates, and x and y of its pixels."""
        lines, columns = self.sensor_shape
        top, left = (max(0, int(one.min()) - _CELL) for one in (line, column))
        bottom, right = min(lines, int(line.max()) + _CELL + 1), min(columns, int(column.max()) + _CELL + 1)
        window = Window(left, top, max(2, right - left), max(2, bottom - top))
        lat, lon = (_degrees(name, window=window) for name in (self.latitude, self.longitude))
        x, y = _to_metres(self.crs).transform(lon, lat)
        wrong = ~(np.isfinite(x) & np.isfinite(y))
        return top, left, np.where(wrong, np.nan, x), np.where(wrong, np.nan, y)


def geolocated(dataset: DatasetReader) -> DatasetReader:
    """Return a Sentinel-3 image as it lies on the ground, which takes over closing it; others unchanged.

    Raises:
        SceneError: Its geolocation cannot be used.
    """
    place = str(dataset.name)
    if dataset.driver != "netCDF" or not dataset.count or not dataset.transform.is_identity or dataset.gcps[0]:
        return dataset
    container, named = _container(place)
    if not any(parent.suffix.upper() == ".SEN3" for parent in PurePath(container).parents):
        return dataset
    files = _geolocation(container, named)
    shape = dataset.height, dataset.width
    try:
        ground = _ground(files, shape, _changed(files))
    except RasterioError as error:
        file = PurePath(_container(files[0])[0]).name
        raise SceneError(f"{container}: its geolocation {file} cannot be read; download the product again") from error
    dataset.close()
    with rasterio.Env(**_FROM_ABOVE):
        picture = DatasetReader(place, driver=["netCDF"])
    nodata = picture.nodata if picture.nodata is not None else 0.0
    return cast("DatasetReader", SensorView(picture, ground, nodata))


def _container(place: str) -> tuple[str, str]:
    """Return the file of a NetCDF variable and the name of the variable, or of the file."""
    found = re.fullmatch(r'netcdf:"?(.+\.nc)"?:(.+)', place, re.IGNORECASE)
    return (found[1], found[2].strip('"')) if found else (place, PurePath(place).stem)


def _geolocation(container: str, named: str) -> tuple[str, str, str]:
    """Return the GDAL names of latitude and longitude, and of the latitude that the CRS follows."""
    folder = container.rpartition("/")[0]
    grid = _GRID.search(named) or _GRID.search(PurePath(container).stem)
    if grid is None:
        file, names = f"{folder}/geo_coordinates.nc", ("latitude", "longitude")
    else:
        file, names = f"{folder}/geodetic_{grid[1]}.nc", (f"latitude_{grid[1]}", f"longitude_{grid[1]}")
    return f"netcdf:{file}:{names[0]}", f"netcdf:{file}:{names[1]}", folder


@lru_cache(maxsize=8)
def _ground(files: tuple[str, str, str], shape: tuple[int, int], _changed_ns: int) -> SwathGround:
    latitude, longitude, product = files
    at = [_every(size) for size in shape]
    try:
        lat, lon = (_degrees(name, at=at) for name in (latitude, longitude))
    except IndexError as error:
        text = f"{product}: its geolocation does not fit its images; download the product again"
        raise SceneError(text) from error
    seen = np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90) & (np.abs(lon) <= 180)  # noqa: PLR2004
    if seen.sum() < 4:  # noqa: PLR2004  (the corners of something)
        raise SceneError(f"{product}: its geolocation is empty; download the product again")
    crs = metric_crs(*_middle(lat[seen], lon[seen]))
    x, y = _to_metres(crs).transform(np.where(seen, lon, np.inf), np.where(seen, lat, np.inf))
    x, y = (np.where(np.isfinite(one), one, np.nan) for one in (x, y))
    side = _pixel_m(x, y, at)
    if not side > 0:
        raise SceneError(f"{product}: its geolocation has no area; download the product again")
    west, east = np.floor(np.nanmin(x) / side) - 1, np.ceil(np.nanmax(x) / side) + 1
    south, north = np.floor(np.nanmin(y) / side) - 1, np.ceil(np.nanmax(y) / side) + 1
    width, height = int(east - west), int(north - south)
    if max(width, height) * side > _MOST_M or width * height > _MOST_PX:
        raise SceneError(f"{product}: extends over {max(width, height) * side / 1000:,.0f} km; pass granules of it")
    transform = Affine(side, 0, west * side, 0, -side, north * side)
    lines, columns = _coarse(x, y, at, transform, (height, width))
    return SwathGround(
        transform=transform,
        crs=crs,
        shape=(height, width),
        latitude=latitude,
        longitude=longitude,
        lines=lines,
        columns=columns,
        sensor_shape=shape,
    )


def _degrees(
    name: str, *, window: Window | None = None, at: Sequence[NDArray[np.int64]] | None = None
) -> NDArray[np.float64]:
    """Return latitudes or longitudes of a window, or at lines × columns; NaN where there are none.

    Raises:
        IndexError: There are other lines or columns.
    """
    with rasterio.Env(**_FROM_ABOVE), DatasetReader(name, driver=["netCDF"]) as opened:
        stored = opened.read(1, window=window)
        if at is not None:
            if stored.shape != tuple(int(one[-1]) + 1 for one in at):
                raise IndexError(f"{stored.shape} values")
            stored = stored[np.ix_(*at)]
        values = stored * opened.scales[0] + opened.offsets[0]
        return np.where(stored == opened.nodata, np.nan, values) if opened.nodata is not None else np.asarray(values)


def _changed(files: tuple[str, str, str]) -> int:
    """Return when a local geolocation file was changed, so that a new file is not taken for the old one."""
    path = Path(_container(files[0])[0])
    return path.stat().st_mtime_ns if path.is_file() else 0


def _every(size: int) -> NDArray[np.int64]:
    """Return every 16th index and the last one."""
    return np.unique(np.append(np.arange(0, size, _COARSE), size - 1))


def _middle(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean longitude and latitude of places, which may be on both sides of ±180°."""
    phi, theta = np.radians(lat), np.radians(lon)
    x, y, z = (np.cos(phi) * np.cos(theta)).mean(), (np.cos(phi) * np.sin(theta)).mean(), np.sin(phi).mean()
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _pixel_m(x: NDArray[np.float64], y: NDArray[np.float64], at: Sequence[NDArray[np.int64]]) -> float:
    """Return a round pixel size close to that of the sensor, m; 0 if it has no area."""
    along = np.hypot(np.diff(x, axis=0), np.diff(y, axis=0)) / np.diff(at[0])[:, None]
    across = np.hypot(np.diff(x, axis=1), np.diff(y, axis=1)) / np.diff(at[1])[None, :]
    side = float(np.sqrt(np.nanmedian(along) * np.nanmedian(across)))
    if not (np.isfinite(side) and side > 0):
        return 0.0
    decade = 10.0 ** np.floor(np.log10(side))
    return float(min(_SIZES, key=lambda one: abs(np.log(side / (one * decade)))) * decade)


def _coarse(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    at: Sequence[NDArray[np.int64]],
    transform: Affine,
    shape: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return sensor line and column at the centre of each cell of a coarse ground grid."""
    fine = [np.arange(0, one[-1] + 1, _FINE, dtype=np.float64) for one in at]
    x, y = (_refined(one, at, fine) for one in (x, y))
    line, column = np.meshgrid(*fine, indexing="ij")
    right, down = (x - transform.c) / transform.a / _CELL, (y - transform.f) / transform.e / _CELL
    seen = np.isfinite(right) & np.isfinite(down)
    rows, cols = (-(-size // _CELL) for size in shape)
    right, down, line, column = right[seen], down[seen], line[seen], column[seen]
    cell = np.clip(down, 0, rows - 1).astype(np.int64) * cols + np.clip(right, 0, cols - 1).astype(np.int64)

    def means(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.bincount(cell, values, rows * cols)
        count = np.bincount(cell, minlength=rows * cols)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(rows, cols)

    middle_down, middle_right = means(down) - np.arange(rows)[:, None] - 0.5, means(right) - np.arange(cols) - 0.5
    found = []
    for values in (means(line), means(column)):
        # From the mean place of its points to the centre of the cell.
        per_row, per_col = (_slope(values, axis) for axis in (0, 1))
        centred = values - per_row * middle_down - per_col * middle_right
        found.append(_spread(_spread(centred)).astype(np.float32))
    return found[0], found[1]


def _refined(
    values: NDArray[np.float64], at: Sequence[NDArray[np.int64]], fine: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Interpolate linearly between the points of a coarse sensor grid."""
    for axis in (0, 1):
        low = np.clip(np.searchsorted(at[axis], fine[axis], side="right") - 1, 0, len(at[axis]) - 2)
        share = (fine[axis] - at[axis][low]) / (at[axis][low + 1] - at[axis][low])
        share = share[:, None] if axis == 0 else share[None, :]
        first, second = values.take(low, axis), values.take(low + 1, axis)
        values = np.where(share == 0, first, first * (1 - share) + second * share)
    return values


def _slope(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the change from cell to cell, 0 where unknown."""
    if values.shape[axis] < 2:  # noqa: PLR2004  (two cells)
        return np.zeros_like(values)
    return np.nan_to_num(np.gradient(values, axis=axis))


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Extrapolate by one cell into cells without a value, so that the edge can be interpolated."""
    padded = np.pad(values, 2, constant_values=np.nan)
    rows, cols = values.shape
    guesses = []
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        near = padded[2 + down : 2 + down + rows, 2 + right : 2 + right + cols]
        next_one = padded[2 + 2 * down : 2 + 2 * down + rows, 2 + 2 * right : 2 + 2 * right + cols]
        guesses.append(np.where(np.isfinite(next_one), 2 * near - next_one, near))
    stacked = np.stack(guesses)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(np.isfinite(values) | ~known.any(axis=0), values, total)


def _interpolated(grid: NDArray[np.float32], rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return values of the coarse grid at the centres of ground pixels, shape (rows, columns)."""
    down, right = (rows + 0.5) / _CELL - 0.5, (cols + 0.5) / _CELL - 0.5
    top, left = (
        np.clip(np.floor(one).astype(np.int64), 0, max(0, size - 2))
        for one, size in zip((down, right), grid.shape, strict=True)
    )
    v, u = (down - top)[:, None], (right - left)[None, :]
    below, beside = np.minimum(top + 1, grid.shape[0] - 1), np.minimum(left + 1, grid.shape[1] - 1)
    corners = [grid[np.ix_(r, c)].astype(np.float64) for r in (top, below) for c in (left, beside)]
    shares = [(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u]
    found: NDArray[np.float64] = sum(share * corner for share, corner in zip(shares, corners, strict=True))
    nearest = grid[np.ix_(np.minimum(rows // _CELL, grid.shape[0] - 1), np.minimum(cols // _CELL, grid.shape[1] - 1))]
    return np.where(np.isfinite(found), found, nearest)


def _spacing(at: NDArray[np.int64]) -> float:
    return float(np.diff(at).max()) if len(at) > 1 else 1.0


def _gradients(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the change of x and y per line and per column."""
    return tuple(np.gradient(values, axis=axis) for values in (x, y) for axis in (0, 1))


def _moves(
    steps: Sequence[NDArray[np.float64]],
    at: NDArray[np.int64],
    off: NDArray[np.int64],
    east: NDArray[np.float64],
    north: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many lines and columns away a place lies, given its distance east and north."""
    x_down, x_right, y_down, y_right = (one[at, off] for one in steps)
    size = x_down * y_right - x_right * y_down
    with np.errstate(divide="ignore", invalid="ignore"):
        return (east * y_right - north * x_right) / size, (north * x_down - east * y_down) / size


@lru_cache(maxsize=16)
def _to_metres_of(text: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", text, always_xy=True)


def _to_metres(crs: CRS) -> Transformer:
    return _to_metres_of(crs.to_string())
