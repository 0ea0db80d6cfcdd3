"""Rows that an index scores by their raw vectors in every search, because codes tell too little of them.

Codes are made for rows as far from their list's centre as most are. Of the few that lie much further away, a code can
be wrong by more than hits differ, and these are what a query unlike all images finds.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.segments import Fp16Rows

# A row is kept apart from so many times the median distance on; of those, the farthest that fit into so many bytes for
# each row of the archive, and into what is scored in two or three milliseconds.
_FAR, _BYTES, _MOST = 1.5, 8, 20_000


@dataclass(frozen=True, slots=True)
class Apart:
    """The rows, and from which distance on others join them."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    rows: NDArray[np.float16]
    """Their vectors, shape (n, dim)."""
    floor: float | None
    """Distance from a list's centre; None where distances have not been looked at."""
    _half: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_half", Fp16Rows(self.rows) if len(self.rows) else None)

    @classmethod
    def empty(cls, dim: int) -> "Apart":
        """Return none, of vectors of a length."""
        return cls(np.empty(0, np.int64), np.empty((0, dim), np.float16), None)

    def best(
        self, query: NDArray[np.float32], k: int, allowed: NDArray[np.uint8], first_id: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and scores of the best rows that count, best first, k at most.

        Args:
            query: Shape (dim,).
            k: Most of them.
            allowed: One bit a tile, by id from `first_id` on.
            first_id: Of the index.
        """
        at = self.ids - first_id
        mask = (allowed[at >> 3] >> (at & 7).astype(np.uint8)) & 1 == 1
        count = int(np.count_nonzero(mask))
        if self._half is None or not count:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores, places = self._half.best(query[None], min(k, count), None if count == len(mask) else mask)
        return self.ids[places[0]], scores[0]

    def others(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of some tiles are not kept apart."""
        if not len(self.ids):
            return np.ones(len(ids), bool)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        other: NDArray[np.bool_] = self.ids[at] != ids
        return other


def far_rows(distances: NDArray[np.float32], known: Apart) -> tuple[NDArray[np.intp], float]:
    """Return which of some rows are to be kept apart beside those that are, and from which distance on.

    Args:
        distances: Of each row from its list's centre, shape (n,).
        known: Those kept apart already.
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
