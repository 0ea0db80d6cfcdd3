"""How a scene is cut: its tiles, made when they are asked for, and which of them are read together."""

from collections.abc import Iterator
from dataclasses import dataclass

from bandsight.geo.grid import TileGrid, TileWindow
from indexer.scene import RasterScene

# Read together: pixels × bands, a few MB; rows of tiles.
_VALUES_PER_READ, _ROWS_PER_READ = 2 << 20, 16
# Rows of blocks in one lane, and bytes that two columns of them take when decoded. Where tiles do not
# fall on blocks, one row of blocks more is decoded for each lane.
_BLOCKS_PER_LANE, _BYTES_PER_LANE = 8, 96 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Tiles that are read together."""

    number: int
    """Its place among the reads of its scene."""
    lane: int
    """Reads of one lane share blocks with each other, with others nearly none."""
    first: tuple[int, ...]
    """Number of the first tile of each row among the tiles of its scene."""
    across: int
    """Tiles in each row."""
    lane_px: int
    """Rows of the raster that its lane covers, whose blocks are wanted again by the lane's next reads."""

    @property
    def numbers(self) -> list[int]:
        """Numbers of its tiles, row by row."""
        return [start + step for start in self.first for step in range(self.across)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadShape:
    """How many tiles go together, of one grid."""

    lane_rows: int
    """Rows of tiles in a lane."""
    down: int
    """Rows of tiles in a read, at most so many as in a lane."""
    across: int
    """Tiles in each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlan:
    """How a scene is cut: tiles, made when they are asked for, and what is read together."""

    grids: tuple[TileGrid, ...]
    """One for each scale."""
    shapes: tuple[ReadShape, ...]
    """What is read together, of each grid."""

    def __len__(self) -> int:
        return sum(len(grid) for grid in self.grids)

    def window(self, number: int) -> TileWindow:
        """Return a tile's window by its number in the scene."""
        for grid in self.grids:
            if number < len(grid):
                return grid[number]
            number -= len(grid)
        raise IndexError(number)

    def reads(self) -> Iterator[Read]:
        """Yield all reads, lane by lane, each from left to right: what comes next shares blocks with what was."""
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
        """How many reads there are."""
        return sum(
            _parts(len(grid.cols), shape.across)
            * sum(
                _parts(min(shape.lane_rows, len(grid.rows) - start), shape.down)
                for start in range(0, len(grid.rows), shape.lane_rows)
            )
            for grid, shape in zip(self.grids, self.shapes, strict=True)
        )


def shape_of(grid: TileGrid, scene: RasterScene, tile_px: int) -> ReadShape:
    """Return how many rows and columns of tiles are read together, and one after another by one reader.

    What is read together shares blocks, which are then decoded once; and so it should be about as large as some blocks.
    """
    most = max(1, _VALUES_PER_READ // (len(scene.raster.bands) * tile_px**2))
    block_rows, block_cols = scene.block
    rows, cols = len(grid.rows), len(grid.cols)
    if 2 * block_cols >= scene.raster.width:
        # Strips: whole rows, as far as they go.
        across = min(cols, most)
        down = max(1, min(_ROWS_PER_READ, most // across))
        return ReadShape(lane_rows=down, down=down, across=across)
    two_columns = 2 * len(scene.raster.bands) * scene.number_bytes * block_rows * block_cols
    blocks = max(1, min(_BLOCKS_PER_LANE, _BYTES_PER_LANE // two_columns - 1))
    # As many lanes as two readers share evenly.
    lanes = 2 * _parts(_parts(scene.raster.height, blocks * block_rows), 2)
    lane_rows = _parts(rows, lanes)
    down = _parts(lane_rows, _parts(lane_rows, min(_ROWS_PER_READ, most)))
    return ReadShape(lane_rows=lane_rows, down=down, across=max(1, min(cols, most // down)))


def _parts(whole: int, part: int) -> int:
    """Return how many parts of a size it takes."""
    return -(-whole // part)
