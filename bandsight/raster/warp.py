"""Reads a scene onto another grid, for example a tile of a web map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject, transform

from bandsight.errors import SceneError
from bandsight.geo.box import LonLatBox
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.scene_raster import Extent, SceneRaster
from bandsight.raster.windows import MAX_DECODED, read_bands

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

    def grown(self, margin: int) -> "TargetGrid":
        """Return it with so many more pixels on each side; near the edges of the map fewer than that have a place."""
        if margin == 0:
            return self
        placed = self.transform @ Affine.translation(-margin, -margin)
        width, height = self.width + 2 * margin, self.height + 2 * margin
        (west, east), (south, north) = (
            (max(low - margin * (high - low) / size, -most), min(high + margin * (high - low) / size, most))
            for low, high, size, most in (
                (self.box.west, self.box.east, self.width, 180.0),
                (self.box.south, self.box.north, self.height, 90.0),
            )
        )
        box = LonLatBox(west=west, south=south, east=east, north=north)
        return TargetGrid(crs=self.crs, transform=placed, width=width, height=height, box=box)

    def inside(self, box: LonLatBox) -> NDArray[np.bool_]:
        """Return which pixels are in a box, (height, width)."""
        x = self.transform.c + self.transform.a * (np.arange(self.width) + 0.5)
        y = self.transform.f + self.transform.e * (np.arange(self.height) + 0.5)
        lon = np.asarray(transform(self.crs, LON_LAT, x, np.full(self.width, y[0]))[0])
        lat = np.asarray(transform(self.crs, LON_LAT, np.full(self.height, x[0]), y)[1])
        cols, rows = (lon >= box.west) & (lon <= box.east), (lat >= box.south) & (lat <= box.north)
        return np.asarray(rows[:, None] & cols[None, :])


def read_warped(
    raster: SceneRaster,
    positions: Sequence[int],
    boxes: Sequence[LonLatBox],
    target: TargetGrid,
    *,
    max_decoded: int = MAX_DECODED,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return bands on a grid, and where they have data, both (bands, rows, columns).

    The scene's grid was decided at indexing: its files may have no CRS, or only control points.

    Args:
        raster: The scene.
        positions: Positions of the bands in the scene.
        boxes: Boxes of the scene's footprint.
        target: The grid.
        max_decoded: Most stored pixels of a band that are decoded.

    Raises:
        SceneError: A file is gone, or cannot be read.
        QueryError: Too much would have to be decoded.
    """
    out = np.full((len(positions), target.height, target.width), np.nan, np.float32)
    crs, grid = CRS.from_string(raster.crs), Affine(*raster.transform)
    with OpenFiles() as files:
        for box in boxes:
            shared = _shared(_grown(box), target.box)
            found = None if shared is None else _extent(raster, crs, shared)
            if shared is None or found is None:
                continue
            extent, shift = found
            size = _size(extent, shared, target)
            window = read_bands(raster, positions, extent, size, files=files, max_decoded=max_decoded)
            left, top, right, bottom = extent
            step = Affine.translation(left, top) @ Affine.scale((right - left) / size[1], (bottom - top) / size[0])
            placed = Affine.translation(shift, 0) @ grid @ step
            stack = np.stack([np.asarray(data, np.float32) for data in window.values])
            numbers = np.where(window.valid, stack, np.nan)
            part = _warped(numbers.astype(np.float32, copy=False), placed, crs, target)
            # Projections answer far from where they are meant for, too: only the scene's own box is taken.
            fresh = np.isnan(out) & target.inside(shared)
            out[fresh] = part[fresh]
    return out, np.isfinite(out)


def _warped(values: NDArray[np.float32], placed: Affine, crs: CRS, target: TargetGrid) -> NDArray[np.float32]:
    made = np.full((len(values), target.height, target.width), np.nan, np.float32)
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
            dst_transform=target.transform,
            dst_crs=target.crs,
            **options,
        )
    except RasterioError as error:
        raise SceneError(f"{crs}: cannot be transformed to {target.crs} ({error})") from error
    return made


def _extent(raster: SceneRaster, crs: CRS, box: LonLatBox) -> tuple[Extent, float] | None:
    """Return which pixels of a scene a box covers, and how far its CRS must be shifted to meet the box, degrees."""
    lon, lat = (
        side.ravel()
        for side in np.meshgrid(np.linspace(box.west, box.east, _DENSE), np.linspace(box.south, box.north, _DENSE))
    )
    to_pixels = ~Affine(*raster.transform)
    if crs.is_geographic:
        # A scene beside ±180° may well be stored at 181°, or at -181°, or from 0 to 360°.
        x, y = lon, lat
        middle = (Affine(*raster.transform) @ (raster.width / 2, raster.height / 2))[0]
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
    left, right = _bounds(cols, raster.width)
    top, bottom = _bounds(rows, raster.height)
    return None if left >= right or top >= bottom else ((left, top, right, bottom), shift)


def _bounds(values: NDArray[np.float64], size: int) -> tuple[int, int]:
    more = _MARGIN + _BEND * float(np.ptp(values))
    return max(0, math.floor(values.min() - more)), min(size, math.ceil(values.max() + more))


def _size(extent: Extent, shared: LonLatBox, target: TargetGrid) -> tuple[int, int]:
    """Return the rows and columns at which an extent is read: about as fine as it is shown."""
    left, top, right, bottom = extent
    lon, lat = (
        [shared.west, shared.east, shared.west, shared.east],
        [shared.south, shared.south, shared.north, shared.north],
    )
    x, y = transform(LON_LAT, target.crs, lon, lat)
    cols, rows = ~target.transform @ (np.asarray(x), np.asarray(y))
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
