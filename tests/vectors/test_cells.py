"""Cells as codes of four bits: their cosines are near those of the vectors."""

import numpy as np
import pytest

from bandsight.vectors.cells import CellCodes, record_bytes


def unit(*shape: int) -> np.ndarray:
    values = np.random.default_rng(5).normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("side", "dim"), [(2, 16), (4, 384), (3, 33)])
def test_cosines_are_near_those_of_the_vectors(side, dim):
    cells, directions = unit(5, side, side, dim), unit(3, dim)
    codes = CellCodes.encode(cells)
    assert codes.records.shape == (5, side * side, record_bytes(dim))
    assert codes.side == side
    assert codes.known.all()
    found = codes.cosines(directions)
    expected = np.einsum("qd,nkd->qnk", directions, cells.reshape(5, side * side, dim))
    assert found.shape == (3, 5, side * side)
    # The error of a number is uniform; in a sum over `dim` numbers it shrinks with the square root.
    assert np.abs(found - expected).max() < 0.6 / dim**0.5
    own = codes.cosines(cells.reshape(-1, dim))
    assert np.diagonal(own.reshape(5 * side * side, -1)).min() > 0.98


def test_a_cell_without_a_vector_is_known_as_such():
    cells = unit(2, 2, 2, 16)
    cells[1, 0, 1] = 0
    codes = CellCodes.encode(cells)
    assert codes.known.tolist() == [[True] * 4, [True, False, True, True]]
    assert codes.cosines(unit(1, 16))[0, 1, 1] == 0
    assert CellCodes.join([codes, codes.take(np.array([1]))]).known.sum() == 4 + 3 + 3
