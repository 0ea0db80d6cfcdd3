"""Zone maps: what a run of 64 tiles has in common, so that filters look at single tiles only where runs are mixed.

Tiles of a scene stand one after the other, and those of one place mostly do. A box at a million tiles then reads
sixteen thousand runs, and the rows of some dozen of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN = 64
"""Tiles of a run."""


@dataclass(frozen=True, slots=True)
class Zones:
    """Bounds of the bounds of each run's tiles; NaN where a tile's are not known."""

    least: NDArray[np.float32]
    """Least west, south, east and north, shape (4, runs)."""
    greatest: NDArray[np.float32]
    """Greatest west, south, east and north, shape (4, runs)."""

    @classmethod
    def of(cls, bounds: NDArray[np.float32]) -> "Zones":
        """Return the zones of tiles' bounds, shape (4, n)."""
        starts = np.arange(0, bounds.shape[1], RUN)
        return cls(np.minimum.reduceat(bounds, starts, axis=1), np.maximum.reduceat(bounds, starts, axis=1))


def common(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the value that all tiles of a run have, -1 where they differ, shape (runs,).

    Args:
        values: At least 0, shape (n,).
    """
    starts = np.arange(0, len(values), RUN)
    if not len(values):
        return np.empty(0, np.int32)
    least = np.minimum.reduceat(values, starts)
    return np.where(least == np.maximum.reduceat(values, starts), least, -1).astype(np.int32)


def rows_of(runs: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return the rows of some runs, ascending, of so many rows in all."""
    rows = (runs[:, None] * RUN + np.arange(RUN)).ravel()
    return rows[rows < count]


def spread(runs: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return for each of so many rows what was decided for its run."""
    return np.repeat(runs, RUN)[:count]
