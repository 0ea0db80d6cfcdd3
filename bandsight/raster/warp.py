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
# Points along each side of a box when it is projected, because its edges become curved.
_DENSE = 33
# Accuracy of footprints in the catalog, as a fraction of the scene's size.
_EDGE = 0.002
# Oversampling factor, so that the warp can average.
_OVERSAMPLING = 1.5
# Margins: pixels for interpolation, and a fraction of the size for edges that curve between two points.
_MARGIN, _BEND = 2, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGrid:
    """A target grid aligned with meridians and parallels: Web Mercator, or degrees."""

    crs: CRS
    """Coordinate reference system of the grid."""
    transform: Affine
    """Affine from pixels to the CRS."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    box: LonLatBox
    """Bounding box; never crosses ±180°."""

    def grown(self, margin: int) -> "TargetGrid":
        """Return the grid with a margin in pixels on each side, less near the edges of the map."""
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
        """Return which pixels are in a box, shape (height, width)."""
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
    """Read bands on a grid, with masks of valid pixels, both of shape (bands, rows, columns).

    Uses the scene's grid as determined at indexing; its files may have no CRS, or only control points.

    Args:
        raster: The scene.
        positions: Positions of the bands in the scene.
        boxes: Boxes of the scene's footprint.
        target: The grid.
        max_decoded: Maximum number of stored pixels to decode per band.

    Raises:
        SceneError: A file is missing or cannot be read.
        QueryError: Too many pixels would have to be decoded.
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
            # Projections return results far outside their area of use, so limit the result to the scene's box.
            fresh = np.isnan(out) & target.inside(shared)
            out[fresh] = part[fresh]
    return out, np.isfinite(out)


def _warped(values: NDArray[np.float32], placed: Affine, crs: CRS, target: TargetGrid) -> NDArray[np.float32]:
    made = np.full((len(values), target.height, target.width), np.nan, np.float32)
    if not np.isfinite(values).any():
        return made
    options: dict[str, Any] = {"src_nodata": np.nan, "dst_nodata": np.nan, "resampling": Resampling.bilinear}
    # Bands may have different valid pixels.
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
    """Return the pixels of a scene that a box covers, and the shift of its CRS to match the box, degrees."""
    lon, lat = (
        side.ravel()
        for side in np.meshgrid(np.linspace(box.west, box.east, _DENSE), np.linspace(box.south, box.north, _DENSE))
    )
    to_pixels = ~Affine(*raster.transform)
    if crs.is_geographic:
        # A scene near ±180° may be stored at 181°, at -181°, or in 0..360°.
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
    """Return the rows and columns for reading an extent, about as fine as the target grid."""
    left, top, right, bottom = extent
    lon, lat = (
        [shared.west, shared.east, shared.west, shared.east],
        [shared.south, shared.south, shared.north, shared.north],
    )
    x, y = transform(LON_LAT, target.crs, lon, lat)
    cols, rows = ~target.transform @ (np.asarray(x), np.asarray(y))
    # Use the longer side, because a rotated or polar scene may be turned.
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
