"""Scores: the dot product of a raw row and a query, computed in float64 and rounded to float32.

In float64, the order of the terms does not affect the rounded result, so a tile has the same score however it is found.
"""

import numpy as np
from numpy.typing import NDArray

Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Ids and scores of one query's hits, best first, ties by id; both of shape (hits,)."""

# Rows converted to float64 at a time.
_ROWS = 1 << 14
# Maximum error of a float32 sum of a few thousand terms of unit vectors.
_EPSILON = 1e-5
SLACK = 16
"""Rows to fetch beyond k, so that a few near ties need no second search."""


def raw_scores(rows: NDArray[np.float16] | NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each row, shape (n,)."""
    wide = query.astype(np.float64)
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS):
        out[start : start + _ROWS] = rows[start : start + _ROWS].astype(np.float64) @ wide
    return out


def best(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranked:
    """Return the k best, ties by id."""
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def slack(query: NDArray[np.float32]) -> float:
    """Return the maximum error of the difference of two scores computed in float32."""
    return _EPSILON * max(1.0, float(np.linalg.norm(query)))
