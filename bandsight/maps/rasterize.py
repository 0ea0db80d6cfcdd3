"""Rasterizes boxes in degrees or Web Mercator; the largest value wins in overlaps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox

Crs = Literal["EPSG:4326", "EPSG:3857"]
TILE_PX = 256
MAX_ZOOM = 24
MAX_SIDE = 4096
_SIDE = 1024
# Half the side of the Web Mercator square (EPSG:3857), m, and its maximum latitude.
_HALF_M = math.pi * 6_378_137.0
MAX_MERCATOR_LAT = 85.051128779806592
_TURN = 360.0
# Pixels painted at a time, about 50 bytes each. Limits memory, and lets other threads run in between.
_PIXELS = 1 << 20
# Rectangles with more pixels are painted one by one.
_LARGE = 1 << 12


@dataclass(frozen=True, kw_only=True)
class TileBoxes:
    """The boxes of tiles, as columns."""

    at: NDArray[np.intp]
    """Index of the tile that each box belongs to, shape (boxes,)."""
    west: NDArray[np.float64]
    """Longitude, degrees; east, south and north likewise."""
    south: NDArray[np.float64]
    east: NDArray[np.float64]
    north: NDArray[np.float64]

    @classmethod
    def of(cls, boxes: NDArray[np.float64]) -> "TileBoxes":
        """Return the boxes of tiles from an array of shape (n, 2, 4), without NaN boxes."""
        there = np.isfinite(boxes[:, :, 0])
        tile, part = np.nonzero(there)
        west, south, east, north = np.ascontiguousarray(boxes[tile, part].T)
        return cls(at=tile, west=west, south=south, east=east, north=north)

    def areas(self) -> NDArray[np.float64]:
        """Return the area of each box in an arbitrary unit, shape (boxes,)."""
        south, north = np.radians(self.south), np.radians(self.north)
        return np.asarray((self.east - self.west) * (np.sin(north) - np.sin(south)), np.float64)

    @cached_property
    def box(self) -> LonLatBox | None:
        """The narrowest box around all boxes, or None if there are none. A vectorised `bandsight.geo.box.around`."""
        if not len(self.at):
            return None
        order = np.argsort(self.west)
        starts, reached = self.west[order], np.maximum.accumulate(self.east[order])
        west, east = float(starts[0]), float(reached[-1])
        gaps = starts[1:] - reached[:-1]
        widest = int(np.argmax(gaps)) if len(gaps) else 0
        if len(gaps) and gaps[widest] > _TURN - (east - west):
            west, east = float(starts[widest + 1]), float(reached[widest])
        return LonLatBox(west=west, south=float(self.south.min()), east=east, north=float(self.north.max()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A georeferenced pixel grid."""

    crs: Crs
    """CRS of the grid."""
    bounds: tuple[float, float, float, float]
    """West, south, east, north in units of the CRS; east may exceed 180°."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    @classmethod
    def of_tile(cls, z: int, x: int, y: int) -> "Canvas":
        """Return the canvas of a map tile (XYZ, Web Mercator)."""
        side = 2 * _HALF_M / 2**z
        west, north = x * side - _HALF_M, _HALF_M - y * side
        return cls(crs="EPSG:3857", bounds=(west, north - side, west + side, north), width=TILE_PX, height=TILE_PX)

    @classmethod
    def of_box(cls, box: LonLatBox, crs: Crs, width: int | None = None, height: int | None = None) -> "Canvas":
        """Return the canvas of a box, which may cross ±180°. A missing width or height keeps pixels square.

        Raises:
            QueryError: The box has no extent, or is outside Web Mercator.
        """
        found = f"bbox: found {box.west:g},{box.south:g},{box.east:g},{box.north:g}"
        east = box.east + (_TURN if box.east < box.west else 0.0)
        west, south, north = box.west, box.south, box.north
        if crs == "EPSG:3857":
            west, east = (lon / 180 * _HALF_M for lon in (west, east))
            south, north = _mercator(np.array([south, north])).tolist()
        if west >= east or south >= north:
            ends = ", within the 85.05° limit of Web Mercator" if crs == "EPSG:3857" else ""
            raise QueryError(f"{found}; need a box with an extent{ends}")
        ratio = (east - west) / (north - south)
        if width is None and height is None:
            width, height = (_SIDE, None) if ratio >= 1 else (None, _SIDE)
        wide = width or round((height or _SIDE) * ratio)
        high = height or round((width or _SIDE) / ratio)
        bounds = (west, south, east, north)
        return cls(crs=crs, bounds=bounds, width=min(max(wide, 1), MAX_SIDE), height=min(max(high, 1), MAX_SIDE))

    def paint(self, boxes: TileBoxes, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the largest value at each pixel, float32 (height, width), NaN where there is none.

        Boxes are rounded to pixel edges and cover at least one pixel, so that neighbours neither overlap nor leave
        gaps.

        Args:
            boxes: The boxes of the tiles.
            values: The value of each tile, shape (tiles,).
        """
        out = np.full(self.width * self.height, -np.inf, np.float32)
        west, south, east, north = self.bounds
        step_x, step_y = (east - west) / self.width, (north - south) / self.height
        for turn in (0.0, _TURN):
            near = self._near(boxes, turn)
            if not len(near):
                continue
            left, right = (self._x(lons[near] + turn) for lons in (boxes.west, boxes.east))
            low, high = (self._y(lats[near]) for lats in (boxes.south, boxes.north))
            cols = _span((left - west) / step_x, (right - west) / step_x, self.width)
            rows = _span((north - high) / step_y, (north - low) / step_y, self.height)
            _fill(out, self.width, cols, rows, values[boxes.at[near]])
        grid = out.reshape(self.height, self.width)
        for strip in strips(grid.shape):
            grid[strip][np.isneginf(grid[strip])] = np.nan
        return grid

    def _near(self, boxes: TileBoxes, turn: float) -> NDArray[np.intp]:
        """Return which boxes, shifted by `turn` degrees, intersect the canvas."""
        west, south, east, north = self.bounds
        if self.crs == "EPSG:3857":
            west, east = (x / _HALF_M * 180 for x in (west, east))
            south, north = (math.degrees(math.atan(math.sinh(y / _HALF_M * math.pi))) for y in (south, north))
        across = (boxes.west + turn < east) & (boxes.east + turn > west)
        return np.flatnonzero(across & (boxes.south < north) & (boxes.north > south))

    def _x(self, lons: NDArray[np.float64]) -> NDArray[np.float64]:
        return lons if self.crs == "EPSG:4326" else lons / 180 * _HALF_M

    def _y(self, lats: NDArray[np.float64]) -> NDArray[np.float64]:
        return lats if self.crs == "EPSG:4326" else _mercator(lats)


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of an image in strips of limited size."""
    height, width = shape
    step = max(1, _PIXELS // max(1, width))
    for top in range(0, height, step):
        yield slice(top, top + step)


def _mercator(lats: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.radians(np.clip(lats, -MAX_MERCATOR_LAT, MAX_MERCATOR_LAT))
    metres: NDArray[np.float64] = np.arcsinh(np.tan(bounded)) / math.pi * _HALF_M
    return metres


def _span(start: NDArray[np.float64], end: NDArray[np.float64], most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first pixel and length of each span, clipped to the canvas."""
    first = np.rint(start)
    last = np.maximum(np.rint(end), first + 1)
    first, last = np.clip(first, 0, most), np.clip(last, 0, most)
    return first.astype(np.intp), (last - first).astype(np.intp)


def _fill(
    out: NDArray[np.float32],
    width: int,
    cols: tuple[NDArray[np.intp], NDArray[np.intp]],
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    values: NDArray[np.float32],
) -> None:
    """Set pixels to the maximum of their values and the rectangles that cover them."""
    (left, wide), (top, high) = cols, rows
    size = wide * high
    grid = out.reshape(-1, width)
    for one in np.flatnonzero(size > _LARGE).tolist():
        part = grid[top[one] : top[one] + high[one], left[one] : left[one] + wide[one]]
        np.maximum(part, values[one], out=part)
    small = np.flatnonzero((size > 0) & (size <= _LARGE))
    ends = np.cumsum(size[small])
    done = 0
    while len(small):
        own = small[: max(1, int(np.searchsorted(ends, done + _PIXELS, "right")))]
        count = size[own]
        rect = np.repeat(own, count)
        within = np.arange(len(rect)) - np.repeat(np.cumsum(count) - count, count)
        row, col = np.divmod(within, wide[rect])
        np.maximum.at(out, (top[rect] + row) * width + left[rect] + col, values[rect])
        small, ends, done = small[len(own) :], ends[len(own) :], int(ends[len(own) - 1])
