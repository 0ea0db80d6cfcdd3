"""Reads a scene onto another grid: the part of it that lies in a box of the map."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject, transform

from bandsight.catalog.records import Scene
from bandsight.errors import SceneError
from bandsight.geo.box import LonLatBox
from bandsight.imagery.pixels import MAX_DECODED, Extent, read_extent
from bandsight.raster.bands import BandRef

LON_LAT = CRS.from_epsg(4326)
# Points along each side of a box when it is carried to another CRS; edges are curved there.
_DENSE = 33
# A footprint in the catalog follows the scene's edge up to this share of its size.
_EDGE = 0.002
# Read so much finer than shown, so that the warp has something to average.
_OVERSAMPLING = 1.5
# Around what is needed: pixels for interpolation, and a share for edges that bend between two points.
_MARGIN, _BEND = 2, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGrid:
    """A grid that scenes are shown on, along meridians and parallels: Web Mercator, or degrees."""

    crs: CRS
    """Its reference system."""
    transform: Affine
    """From its pixels to its CRS."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    box: LonLatBox
    """Around it; never across ±180°."""

    def inside(self, box: LonLatBox) -> NDArray[np.bool_]:
        """Return which pixels lie in a box, (height, width)."""
        x = self.transform.c + self.transform.a * (np.arange(self.width) + 0.5)
        y = self.transform.f + self.transform.e * (np.arange(self.height) + 0.5)
        lon = np.asarray(transform(self.crs, LON_LAT, x, np.full(self.width, y[0]))[0])
        lat = np.asarray(transform(self.crs, LON_LAT, np.full(self.height, x[0]), y)[1])
        cols, rows = (lon >= box.west) & (lon <= box.east), (lat >= box.south) & (lat <= box.north)
        return np.asarray(rows[:, None] & cols[None, :])


def read_ground(
    scene: Scene, bands: tuple[BandRef, ...], ground: TargetGrid, *, most: int = MAX_DECODED
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return bands on a grid, and where they have data, both (bands, rows, columns).

    The catalog says where the scene lies, not its files: those may have no CRS, or only control points.

    Raises:
        SceneError: A file is gone, or cannot be read.
        QueryError: Too much would have to be decoded.
    """
    out = np.full((len(bands), ground.height, ground.width), np.nan, np.float32)
    crs = CRS.from_string(scene.crs)
    for box in scene.boxes:
        shared = _shared(_grown(box), ground.box)
        if shared is None:
            continue
        found = _extent(scene, crs, shared)
        if found is None:
            continue
        extent, shift = found
        size = _size(extent, shared, ground)
        values, valid = read_extent(scene, bands, extent, size, most=most)
        left, top, right, bottom = extent
        step = Affine.translation(left, top) @ Affine.scale((right - left) / size[1], (bottom - top) / size[0])
        placed = Affine.translation(shift, 0) @ Affine(*scene.transform) @ step
        numbers = np.where(valid, np.stack([np.asarray(data, np.float32) for data in values]), np.nan)
        part = _warped(numbers.astype(np.float32, copy=False), placed, crs, ground)
        # Projections answer far from where they are meant for, too: only the scene's own box is taken.
        fresh = np.isnan(out) & ground.inside(shared)
        out[fresh] = part[fresh]
    return out, np.isfinite(out)


def _warped(values: NDArray[np.float32], placed: Affine, crs: CRS, ground: TargetGrid) -> NDArray[np.float32]:
    made = np.full((len(values), ground.height, ground.width), np.nan, np.float32)
    if not np.isfinite(values).any():
        return made
    options: dict[str, Any] = {"src_nodata": np.nan, "dst_nodata": np.nan, "resampling": Resampling.bilinear}
    # A band may lack data where another has some.
    options["UNIFIED_SRC_NODATA"] = "NO"
    try:
        reproject(
            values,
            made,
            src_transform=placed,
            src_crs=crs,
            dst_transform=ground.transform,
            dst_crs=ground.crs,
            **options,
        )
    except RasterioError as error:
        raise SceneError(f"{crs}: cannot be carried to {ground.crs} ({error})") from error
    return made


def _extent(scene: Scene, crs: CRS, box: LonLatBox) -> tuple[Extent, float] | None:
    """Return which pixels of a scene a box covers, and how far its CRS must be shifted to lie there, degrees."""
    lon, lat = (
        side.ravel()
        for side in np.meshgrid(np.linspace(box.west, box.east, _DENSE), np.linspace(box.south, box.north, _DENSE))
    )
    to_pixels = ~Affine(*scene.transform)
    if crs.is_geographic:
        # A scene beside ±180° may well be stored at 181°, or at -181°, or from 0 to 360°.
        x, y = lon, lat
        middle = (Affine(*scene.transform) @ (scene.width / 2, scene.height / 2))[0]
        shift = 360.0 * round((float(lon.mean()) - middle) / 360)
        x = x - shift
    else:
        shift = 0.0
        x, y = (np.asarray(side) for side in transform(LON_LAT, crs, lon, lat))
        fine = np.isfinite(x) & np.isfinite(y)
        x, y = x[fine], y[fine]
    if not len(x):
        return None
    cols, rows = to_pixels @ (x, y)
    left, right = _bounds(cols, scene.width)
    top, bottom = _bounds(rows, scene.height)
    return None if left >= right or top >= bottom else ((left, top, right, bottom), shift)


def _bounds(values: NDArray[np.float64], size: int) -> tuple[int, int]:
    more = _MARGIN + _BEND * float(np.ptp(values))
    return max(0, math.floor(values.min() - more)), min(size, math.ceil(values.max() + more))


def _size(extent: Extent, shared: LonLatBox, ground: TargetGrid) -> tuple[int, int]:
    """Return the rows and columns at which an extent is read: about as fine as it is shown."""
    left, top, right, bottom = extent
    lon, lat = (
        [shared.west, shared.east, shared.west, shared.east],
        [shared.south, shared.south, shared.north, shared.north],
    )
    x, y = transform(LON_LAT, ground.crs, lon, lat)
    cols, rows = ~ground.transform @ (np.asarray(x), np.asarray(y))
    # The longer side counts: a rotated or polar scene may lie across.
    shown = max(float(np.ptp(cols)), float(np.ptp(rows)), 1.0) * _OVERSAMPLING
    finer = max(1.0, max(right - left, bottom - top) / (shown + 2 * _MARGIN))
    return max(1, math.ceil((bottom - top) / finer)), max(1, math.ceil((right - left) / finer))


def _grown(box: LonLatBox) -> LonLatBox:
    more = _EDGE * max(box.east - box.west, box.north - box.south)
    return LonLatBox(
        west=max(-180.0, box.west - more),
        south=max(-90.0, box.south - more),
        east=min(180.0, box.east + more),
        north=min(90.0, box.north + more),
    )


def _shared(one: LonLatBox, other: LonLatBox) -> LonLatBox | None:
    west, east = max(one.west, other.west), min(one.east, other.east)
    south, north = max(one.south, other.south), min(one.north, other.north)
    return None if west >= east or south >= north else LonLatBox(west=west, south=south, east=east, north=north)
