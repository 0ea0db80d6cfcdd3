"""How a scene is cut: its tiles, made when they are asked for, and which of them are read together."""

from collections.abc import Iterator
from dataclasses import dataclass

from bandsight.geo.grid import TileGrid, TileWindow
from indexer.scene import RasterScene

# Read together: pixels × bands, a few MB; rows of tiles; blocks from top to bottom. Where tiles do not fall on blocks,
# one row of blocks more is decoded for each of so many.
_VALUES_PER_READ, _ROWS_PER_READ, _BLOCKS_PER_READ = 2 << 20, 16, 4


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

    @property
    def numbers(self) -> list[int]:
        """Numbers of its tiles, row by row."""
        return [start + step for start in self.first for step in range(self.across)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a scene is cut: tiles, made when they are asked for, and what is read together."""

    grids: tuple[TileGrid, ...]
    """One for each scale."""
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of tiles that are read together, of each grid."""

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
        """Yield all reads, lane by lane."""
        number = lane = before = 0
        for grid, (down, across) in zip(self.grids, self.shapes, strict=True):
            rows, cols = len(grid.rows), len(grid.cols)
            for top in range(0, rows, down):
                for left in range(0, cols, across):
                    first = tuple(before + row * cols + left for row in range(top, min(top + down, rows)))
                    yield Read(number=number, lane=lane, first=first, across=min(across, cols - left))
                    number += 1
                lane += 1
            before += len(grid)

    @property
    def read_count(self) -> int:
        """How many reads there are."""
        return sum(
            -(-len(grid.rows) // down) * -(-len(grid.cols) // across)
            for grid, (down, across) in zip(self.grids, self.shapes, strict=True)
        )


def read_shape(grid: TileGrid, scene: RasterScene, tile_px: int) -> tuple[int, int]:
    """Return how many rows and columns of tiles are read together.

    What is read together shares blocks, which are then decoded once; and so it should be about as large as some blocks.
    """
    most = max(1, _VALUES_PER_READ // (len(scene.bands) * tile_px**2))
    block_rows, block_cols = scene.block
    cols = len(grid.cols)
    if 2 * block_cols >= scene.width:
        # Strips: whole rows, as far as they go.
        across = min(cols, most)
        return max(1, min(_ROWS_PER_READ, most // across)), across
    down = max(
        1, min(_ROWS_PER_READ, -(-_BLOCKS_PER_READ * block_rows // (tile_px * grid.scale)), len(grid.rows), most)
    )
    return down, max(1, min(cols, most // down))
