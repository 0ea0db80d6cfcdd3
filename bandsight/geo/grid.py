"""The tile grid: windows that repeated scenes of one place share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

# Origins this close to a whole pixel count as on the grid: scenes carry rounded coordinates.
_ON_GRID = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class TileWindow:
    """A window in native pixels; it may stick out of the raster."""

    col_off: int
    """First column, may be negative."""
    row_off: int
    """First row, may be negative."""
    width: int
    """Columns: side of a tile times the scale."""
    height: int
    """Rows: side of a tile times the scale."""
    cell: str
    """Id of the cell: the same for every scene on this grid; begins with `scene/` where the grid is the
    scene's own. One that ends in + or - was moved to the scene's edge."""
    scale: int
    """Native pixels along one pixel of the tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid(Sequence[TileWindow]):
    """The windows of a raster, row by row; each is made when it is asked for, so that there may be millions."""

    rows: tuple[tuple[str, int], ...]
    """Index of the cell and first pixel of each row."""
    cols: tuple[tuple[str, int], ...]
    """Index of the cell and first pixel of each column."""
    side: int
    """Side of a window, native pixels."""
    scale: int
    """Native pixels along one pixel of the tile."""
    prefix: str
    """What the ids of its cells begin with."""

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

    Windows are anchored to multiples of their step times ground sample distance in the CRS when that is a
    whole number of pixels away (north up, square pixels), else to the raster's corner. The step is the tile size, less
    what neighbours overlap. Windows that could
    share less than `min_overlap` of their area with the raster move inwards until they lie inside it along
    that side, so that every pixel is covered. A raster smaller than a window gets one centred on it.

    Args:
        transform: Affine (a, b, c, d, e, f) of the raster.
        crs: Its coordinate reference system.
        width: Its columns.
        height: Its rows.
        tile_px: Side of a tile, pixels.
        scale: Native pixels along one pixel of the tile.
        overlap: Share of a tile's side that it has in common with its neighbour, from 0 to below 1.
        min_overlap: Least share of a window's area that lies in the raster, where the raster is large enough.
    """
    if width < 1 or height < 1 or tile_px < 1 or scale < 1:
        raise ValueError(f"raster {width} x {height}, tile {tile_px}, scale {scale}: need positive sizes")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap}: need at least 0 and less than 1")
    side = tile_px * scale
    step = max(1, round(tile_px * (1 - overlap))) * scale
    a, b, c, d, e, f = transform
    shared = b == d == 0 and a > 0 and e < 0 and abs(a + e) < 1e-9 * a
    if shared:
        # Pixels from the CRS's origin to the raster's corner; rows count downwards.
        col0, row0 = c / a, f / e
        shared = abs(col0 - round(col0)) < _ON_GRID and abs(row0 - round(row0)) < _ON_GRID
    col_shift, row_shift = (round(c / a), round(f / e)) if shared else (0, 0)
    size = f"{tile_px}x{scale}" if step == side else f"{tile_px}x{scale}by{step // scale}"
    prefix = f"{crs}/{a:.10g}/{size}" if shared else f"scene/{size}"
    return TileGrid(
        rows=tuple(_offsets(height, side, step, row_shift, min_overlap)),
        cols=tuple(_offsets(width, side, step, col_shift, min_overlap)),
        side=side,
        scale=scale,
        prefix=prefix,
    )


def _offsets(length: int, side: int, step: int, shift: int, min_overlap: float) -> list[tuple[str, int]]:
    """Return (cell index, offset) of windows along one side of a raster."""
    if length <= side:
        # One window, the cell that the middle lies in; as much of the raster as possible is in it.
        return [(f"{(shift + length // 2) // step}", -((side - length) // 2))]
    # At a corner the shares along both sides multiply.
    least = math.sqrt(min_overlap) * side
    first, last = (shift - side) // step + 1, (shift + length - 1) // step
    offsets = [(index, index * step - shift) for index in range(first, last + 1)]
    kept = [(index, offset) for index, offset in offsets if min(offset + side, length) - max(offset, 0) >= least]
    out = [(str(index), offset) for index, offset in kept]
    # Windows that would lie mostly outside move inwards, unless their neighbour covers the edge already.
    if not kept or kept[0][1] > 0:
        out.insert(0, (f"{kept[0][0] - 1 if kept else first}+", 0))
    if not kept or kept[-1][1] + side < length:
        out.append((f"{kept[-1][0] + 1 if kept else last}-", length - side))
    return out
