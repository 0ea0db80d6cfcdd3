"""Tile plans: the tiles of a scene, created lazily, and how they are grouped into reads."""

from collections.abc import Iterator
from dataclasses import dataclass

from bandsight.geo.grid import TileGrid, TileWindow
from indexer.scene import RasterScene

# Maximum size of a read: pixels × bands (a few MB), and rows of tiles.
_VALUES_PER_READ, _ROWS_PER_READ = 2 << 20, 16
# Rows of blocks per lane, and decoded size of two columns of them, bytes. If tiles are not aligned with blocks, each
# lane decodes one more row of blocks.
_BLOCKS_PER_LANE, _BYTES_PER_LANE = 8, 96 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Tiles that are read together."""

    number: int
    """Number of the read in its scene."""
    lane: int
    """Lane of the read. Reads in the same lane share blocks; different lanes hardly do."""
    first: tuple[int, ...]
    """Number, within the scene, of the first tile in each row."""
    across: int
    """Tiles per row."""
    lane_px: int
    """Raster rows covered by the lane, whose blocks are reused by its next reads."""

    @property
    def numbers(self) -> list[int]:
        """Numbers of the tiles, row by row."""
        return [start + step for start in self.first for step in range(self.across)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadShape:
    """Shape of the reads of a grid."""

    lane_rows: int
    """Rows of tiles per lane."""
    down: int
    """Rows of tiles per read, at most `lane_rows`."""
    across: int
    """Tiles per row of a read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlan:
    """The tiles of a scene, created lazily, and their reads."""

    grids: tuple[TileGrid, ...]
    """One grid per scale."""
    shapes: tuple[ReadShape, ...]
    """Read shape of each grid."""

    def __len__(self) -> int:
        return sum(len(grid) for grid in self.grids)

    def window(self, number: int) -> TileWindow:
        """Return the window of a tile by its number."""
        for grid in self.grids:
            if number < len(grid):
                return grid[number]
            number -= len(grid)
        raise IndexError(number)

    def reads(self) -> Iterator[Read]:
        """Yield all reads, lane by lane and from left to right, so that consecutive reads share blocks."""
        number = lane = before = 0
        for grid, shape in zip(self.grids, self.shapes, strict=True):
            rows, cols = len(grid.rows), len(grid.cols)
            for start in range(0, rows, shape.lane_rows):
                end = min(start + shape.lane_rows, rows)
                lane_px = grid.rows[end - 1][1] + grid.side - grid.rows[start][1]
                for left in range(0, cols, shape.across):
                    across = min(shape.across, cols - left)
                    for top in range(start, end, shape.down):
                        first = tuple(before + row * cols + left for row in range(top, min(top + shape.down, end)))
                        yield Read(number=number, lane=lane, first=first, across=across, lane_px=lane_px)
                        number += 1
                lane += 1
            before += len(grid)

    @property
    def read_count(self) -> int:
        """Number of reads."""
        return sum(
            _parts(len(grid.cols), shape.across)
            * sum(
                _parts(min(shape.lane_rows, len(grid.rows) - start), shape.down)
                for start in range(0, len(grid.rows), shape.lane_rows)
            )
            for grid, shape in zip(self.grids, self.shapes, strict=True)
        )


def shape_of(grid: TileGrid, scene: RasterScene, tile_px: int) -> ReadShape:
    """Return how many rows and columns of tiles to read together, and per lane.

    Tiles read together share decoded blocks, so a read should span a few blocks.
    """
    most = max(1, _VALUES_PER_READ // (len(scene.raster.bands) * tile_px**2))
    block_rows, block_cols = scene.block
    rows, cols = len(grid.rows), len(grid.cols)
    if 2 * block_cols >= scene.raster.width:
        # For strips, read whole rows if possible.
        across = min(cols, most)
        down = max(1, min(_ROWS_PER_READ, most // across))
        return ReadShape(lane_rows=down, down=down, across=across)
    two_columns = 2 * len(scene.raster.bands) * scene.number_bytes * block_rows * block_cols
    blocks = max(1, min(_BLOCKS_PER_LANE, _BYTES_PER_LANE // two_columns - 1))
    # An even number of lanes, for two readers.
    lanes = 2 * _parts(_parts(scene.raster.height, blocks * block_rows), 2)
    lane_rows = _parts(rows, lanes)
    down = _parts(lane_rows, _parts(lane_rows, min(_ROWS_PER_READ, most)))
    return ReadShape(lane_rows=lane_rows, down=down, across=max(1, min(cols, most // down)))


def _parts(whole: int, part: int) -> int:
    """Return the number of parts, rounded up."""
    return -(-whole // part)
