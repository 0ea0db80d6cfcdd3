"""Outliers: rows that every search of the index scores by their raw vectors, because their codes are too inaccurate.

Codes are trained for rows at typical distances from their list's centre. For the few rows much further away, the error
of a code can exceed the differences between hits, and queries unlike all images find exactly these rows.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.segments import Fp16Rows

# Rows beyond this multiple of the median distance are outliers; of these, the farthest that fit into this many bytes
# per row of the archive, and that can be scored in two or three milliseconds.
_FAR, _BYTES, _MOST = 1.5, 8, 20_000


@dataclass(frozen=True, slots=True)
class Apart:
    """The outliers, and the distance from which further rows are added."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    rows: NDArray[np.float16]
    """Their vectors, shape (n, dim)."""
    floor: float | None
    """Minimum distance from a list's centre; None if distances have not been measured."""
    _half: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_half", Fp16Rows(self.rows) if len(self.rows) else None)

    @classmethod
    def empty(cls, dim: int) -> "Apart":
        """Return an empty set for vectors of length `dim`."""
        return cls(np.empty(0, np.int64), np.empty((0, dim), np.float16), None)

    def best(
        self, query: NDArray[np.float32], k: int, allowed: NDArray[np.uint8], first_id: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and scores of the best allowed rows, best first, at most k.

        Args:
            query: Shape (dim,).
            k: Maximum number of rows.
            allowed: One bit per tile, by id, starting at `first_id`.
            first_id: First id of the index.
        """
        at = self.ids - first_id
        mask = (allowed[at >> 3] >> (at & 7).astype(np.uint8)) & 1 == 1
        count = int(np.count_nonzero(mask))
        if self._half is None or not count:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores, places = self._half.best(query[None], min(k, count), None if count == len(mask) else mask)
        return self.ids[places[0]], scores[0]

    def others(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which tiles are not outliers."""
        if not len(self.ids):
            return np.ones(len(ids), bool)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        other: NDArray[np.bool_] = self.ids[at] != ids
        return other


def far_rows(distances: NDArray[np.float32], known: Apart) -> tuple[NDArray[np.intp], float]:
    """Return which rows to add to the outliers, and the minimum distance.

    Args:
        distances: Distance of each row from its list's centre, shape (n,).
        known: The current outliers.
    """
    floor = known.floor
    if floor is None:
        share = min(1.0, _BYTES / known.rows.shape[1] / known.rows.itemsize)
        least = np.quantile(distances, 1 - share) if len(distances) else 0.0
        floor = float(max(least, _FAR * float(np.median(distances)) if len(distances) else 0.0))
    far = np.flatnonzero(distances > floor)
    room = max(0, _MOST - len(known.ids))
    if len(far) > room:
        far = np.sort(far[np.argsort(-distances[far])[:room]])
    return far, floor
