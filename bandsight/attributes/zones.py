"""Zone maps: bounds of runs of 64 tiles, so that filters test single tiles only in mixed runs.

Tiles of a scene are consecutive, and so are most tiles of a place. A bounding box over a million tiles then reads
sixteen thousand runs, and single tiles in a few dozen of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN = 64
"""Number of tiles in a run."""
FINE = 8
"""Number of tiles in a part of a run; parts are tested in mixed runs."""


@dataclass(frozen=True, slots=True)
class Zones:
    """Range of the tile bounds in each run; NaN if any tile's bounds are unknown."""

    least: NDArray[np.float32]
    """Smallest west, south, east and north of the tiles, shape (4, runs)."""
    greatest: NDArray[np.float32]
    """Largest west, south, east and north of the tiles, shape (4, runs)."""

    @classmethod
    def of(cls, bounds: NDArray[np.float32], run: int = RUN) -> "Zones":
        """Return the zones of tiles' bounds, shape (4, n), for runs of `run` tiles."""
        starts = np.arange(0, bounds.shape[1], run)
        return cls(np.minimum.reduceat(bounds, starts, axis=1), np.maximum.reduceat(bounds, starts, axis=1))


def common(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the value shared by all tiles of each run, -1 if mixed, shape (runs,).

    Args:
        values: At least 0, shape (n,).
    """
    starts = np.arange(0, len(values), RUN)
    if not len(values):
        return np.empty(0, np.int32)
    least = np.minimum.reduceat(values, starts)
    return np.where(least == np.maximum.reduceat(values, starts), least, -1).astype(np.int32)


def rows_of(runs: NDArray[np.intp], count: int, run: int = RUN) -> NDArray[np.intp]:
    """Return the rows of some runs, ascending; there are `count` rows in total."""
    rows = (runs[:, None] * run + np.arange(run)).ravel()
    return rows[rows < count]


def spread(runs: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Expand one value per run to one per row, shape (count,)."""
    return np.repeat(runs, RUN)[:count]
