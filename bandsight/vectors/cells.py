"""Vectors of the cells of tiles, quantised to four bits per number.

A record holds one cell: a float16 scale that normalises the vector to length 1, then one byte for each two numbers, the
first in the lower four bits. A number is its code minus 8; codes range from 1 to 15. A record of zeros is a cell
without a vector.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCALE_BYTES = 2
_MIDDLE, _MOST = 8, 7
# Numbers are clipped at this many standard deviations.
_CLIPPED_AT = 2.8


def record_bytes(dim: int) -> int:
    """Return the size of a cell's record for vectors of length `dim`."""
    return _SCALE_BYTES + (dim + 1) // 2


@dataclass(frozen=True, slots=True)
class CellCodes:
    """The cells of some tiles."""

    records: NDArray[np.uint8]
    """Shape (n, side × side, bytes), row by row from the upper left cell."""

    def __len__(self) -> int:
        return len(self.records)

    @classmethod
    def encode(cls, vectors: NDArray[np.float32]) -> "CellCodes":
        """Quantise unit vectors, shape (n, side, side, dim)."""
        count, side, _, dim = vectors.shape
        flat = vectors.reshape(-1, dim)
        if dim % 2:
            flat = np.pad(flat, ((0, 0), (0, 1)))
        spread = np.maximum(flat.std(axis=1, keepdims=True), np.float32(1e-12))
        numbers = np.clip(np.rint(flat * (_MOST / (_CLIPPED_AT * spread))), -_MOST, _MOST).astype(np.int8)
        lengths = np.linalg.norm(numbers.astype(np.float32), axis=1)
        scales = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0).astype("<f2")
        codes = (numbers + _MIDDLE).astype(np.uint8)
        records = np.zeros((len(flat), record_bytes(dim)), np.uint8)
        records[:, :_SCALE_BYTES] = scales[:, None].view(np.uint8)
        records[:, _SCALE_BYTES:] = codes[:, ::2] | (codes[:, 1::2] << 4)
        records[scales == 0] = 0
        return cls(records.reshape(count, side * side, -1))

    @classmethod
    def join(cls, parts: "Sequence[CellCodes]") -> "CellCodes":
        """Concatenate cells; all parts have the same number of cells per tile."""
        return cls(np.concatenate([part.records for part in parts]))

    @property
    def side(self) -> int:
        """Number of cells along each side of a tile."""
        return math.isqrt(self.records.shape[1])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each cell has a vector, shape (n, side × side)."""
        return np.asarray(self.records[:, :, :_SCALE_BYTES].any(axis=2), bool)

    def take(self, rows: NDArray[np.intp]) -> "CellCodes":
        """Return the cells of the tiles in the given rows."""
        return CellCodes(np.ascontiguousarray(self.records[rows]))

    def cosines(self, directions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each unit vector (d, dim) with each cell, shape (d, n, side × side)."""
        flat = self.records.reshape(-1, self.records.shape[2])
        scales = np.ascontiguousarray(flat[:, :_SCALE_BYTES]).view("<f2")[:, 0].astype(np.float32)
        codes = flat[:, _SCALE_BYTES:]
        if directions.shape[1] % 2:
            directions = np.pad(directions, ((0, 0), (0, 1)))
        low = (codes & np.uint8(15)).astype(np.float32) @ directions[:, ::2].T
        high = (codes >> np.uint8(4)).astype(np.float32) @ directions[:, 1::2].T
        sums = (low + high - np.float32(_MIDDLE) * directions.sum(axis=1)) * scales[:, None]
        return np.ascontiguousarray(sums.T).reshape(len(directions), len(self.records), self.records.shape[1])
