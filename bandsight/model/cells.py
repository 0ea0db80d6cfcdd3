"""Cells: N × N parts of a tile, each with its own unit vector."""

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError

MOST = 8
"""Most cells along a side of a tile."""


def check_cells(name: str, sides: tuple[int, int], cells: int) -> None:
    """Refuse more cells than a model tells apart.

    Args:
        name: The model's.
        sides: Rows and columns of its dense features.
        cells: Cells along a side of a tile.

    Raises:
        ModelError: There are more cells than features along a side.
    """
    if cells > min(sides):
        raise ModelError(
            f"model {name}: {cells} × {cells} cells of a tile; it tells {sides[0]} × {sides[1]} parts apart, so pass "
            f"at most --cells {min(sides)}"
        )


def averages(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return averages over a grid of cells, as PyTorch's adaptive average pooling: cells may share pixels.

    Args:
        values: Shape (..., height, width).
        rows: Of the grid.
        columns: Of the grid.
    """
    height, width = values.shape[-2:]
    pooled = pooling(height, _spread(height, rows)) @ values @ pooling(width, _spread(width, columns)).T
    return np.asarray(pooled, np.float32)


def pooled_cells(dense: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Return unit vectors (n, cells, cells, dim) from those of finer parts (n, h, w, dim): means over each cell."""
    if dense.shape[1:3] == (cells, cells):
        return dense
    pooled = averages(np.ascontiguousarray(dense.transpose(0, 3, 1, 2)), cells, cells).transpose(0, 2, 3, 1)
    return unit(np.ascontiguousarray(pooled))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors of length 1, as PyTorch's `normalize`: one of length 0 stays."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.float32(1e-12)), np.float32)


def pooling(pixels: int, cells: list[tuple[int, int]]) -> NDArray[np.float32]:
    """Return a matrix (cells, pixels) that averages along one side."""
    matrix = np.zeros((len(cells), pixels), np.float32)
    for row, (begin, end) in zip(matrix, cells, strict=True):
        row[begin:end] = 1 / (end - begin)
    return matrix


def _spread(pixels: int, cells: int) -> list[tuple[int, int]]:
    return [(cell * pixels // cells, -(-(cell + 1) * pixels // cells)) for cell in range(cells)]
