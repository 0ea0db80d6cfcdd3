"""The tile grid: scenes of the same area share the same windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

# Tolerance in pixels for grid origins, because scenes contain rounded coordinates.
_GRID_TOLERANCE_PX = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class TileWindow:
    """A window in native pixels. It may extend beyond the raster."""

    col_off: int
    """First column; may be negative."""
    row_off: int
    """First row; may be negative."""
    width: int
    """Width: tile size times scale."""
    height: int
    """Height: tile size times scale."""
    cell: str
    """Id of the grid cell, the same for every scene on this grid. Starts with `scene/` if the scene has its own grid,
    and ends in + or - if the window was moved to the edge of the scene."""
    scale: int
    """Native pixels per tile pixel, along each side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid(Sequence[TileWindow]):
    """The windows of a raster, row by row. They are created on access, because there may be millions."""

    rows: tuple[tuple[str, int], ...]
    """Cell index and first pixel of each row."""
    cols: tuple[tuple[str, int], ...]
    """Cell index and first pixel of each column."""
    side: int
    """Width and height of a window, native pixels."""
    scale: int
    """Native pixels per tile pixel, along each side."""
    prefix: str
    """Prefix of the cell ids."""

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    @overload
    def __getitem__(self, number: int) -> TileWindow: ...

    @overload
    def __getitem__(self, number: slice) -> list[TileWindow]: ...

    def __getitem__(self, number: int | slice) -> TileWindow | list[TileWindow]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        (y, row), (x, col) = (self.rows[number % len(self) // len(self.cols)], self.cols[number % len(self.cols)])
        return TileWindow(
            col_off=col,
            row_off=row,
            width=self.side,
            height=self.side,
            cell=f"{self.prefix}/{x}_{y}",
            scale=self.scale,
        )


def tile_windows(
    *,
    transform: Sequence[float],
    crs: str,
    width: int,
    height: int,
    tile_px: int,
    scale: int = 1,
    overlap: float = 0.0,
    min_overlap: float = 0.5,
) -> TileGrid:
    """Return the windows that cover a raster, row by row.

    For rasters with north up and square pixels whose corner is a whole number of pixels from the origin of the CRS,
    windows start at multiples of the step in the CRS; for others, at the corner of the raster. The step is the tile
    size minus the overlap. A window that would share less than `min_overlap` of its area with the raster moves inwards
    until that side lies inside, so that all pixels are covered. A raster smaller than a window gets one window, centred
    on it.

    Args:
        transform: Affine (a, b, c, d, e, f) of the raster.
        crs: Coordinate reference system of the raster.
        width: Columns of the raster.
        height: Rows of the raster.
        tile_px: Width and height of a tile, pixels.
        scale: Native pixels per tile pixel, along each side.
        overlap: Fraction of the tile size that neighbours share, at least 0 and less than 1.
        min_overlap: Minimum fraction of a window's area inside the raster, if the raster is large enough.

    Raises:
        ValueError: A size is not positive, or `overlap` is out of range.
    """
    if width < 1 or height < 1 or tile_px < 1 or scale < 1:
        raise ValueError(f"raster {width} x {height}, tile {tile_px}, scale {scale}: need positive sizes")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap}: need at least 0 and less than 1")
    side = tile_px * scale
    step = max(1, round(tile_px * (1 - overlap))) * scale
    a, b, c, d, e, f = transform
    on_shared_grid = b == d == 0 and a > 0 and e < 0 and abs(a + e) < 1e-9 * a
    if on_shared_grid:
        # Pixels from the origin of the CRS to the corner of the raster; rows count downwards.
        col0, row0 = c / a, f / e
        on_shared_grid = abs(col0 - round(col0)) < _GRID_TOLERANCE_PX and abs(row0 - round(row0)) < _GRID_TOLERANCE_PX
    col_shift, row_shift = (round(c / a), round(f / e)) if on_shared_grid else (0, 0)
    size = f"{tile_px}x{scale}" if step == side else f"{tile_px}x{scale}by{step // scale}"
    prefix = f"{crs}/{a:.10g}/{size}" if on_shared_grid else f"scene/{size}"
    return TileGrid(
        rows=tuple(_offsets(height, side, step, row_shift, min_overlap)),
        cols=tuple(_offsets(width, side, step, col_shift, min_overlap)),
        side=side,
        scale=scale,
        prefix=prefix,
    )


def _offsets(length: int, side: int, step: int, shift: int, min_overlap: float) -> list[tuple[str, int]]:
    """Return the (cell index, offset) of windows along one side of a raster."""
    if length <= side:
        # One window, named after the cell that contains the middle of the raster.
        return [(f"{(shift + length // 2) // step}", -((side - length) // 2))]
    # At a corner, the fractions along the two sides multiply.
    min_inside = math.sqrt(min_overlap) * side
    first, last = (shift - side) // step + 1, (shift + length - 1) // step
    offsets = [(index, index * step - shift) for index in range(first, last + 1)]
    inside = [(index, offset) for index, offset in offsets if min(offset + side, length) - max(offset, 0) >= min_inside]
    out = [(str(index), offset) for index, offset in inside]
    # Windows mostly outside the raster move inwards, unless a neighbour already covers the edge.
    if not inside or inside[0][1] > 0:
        out.insert(0, (f"{inside[0][0] - 1 if inside else first}+", 0))
    if not inside or inside[-1][1] + side < length:
        out.append((f"{inside[-1][0] + 1 if inside else last}-", length - side))
    return out
