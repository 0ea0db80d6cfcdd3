"""The exact scan: FAISS proposes, in float32, every row that may be among the best; raw scores decide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.scores import Ranked, best, raw_scores

# Rows converted to float32 at a time: 64 Ki × 1152 × 4 bytes = 300 MB at most.
_CHUNK = 1 << 16
# Float32 sums of a few thousand terms of unit vectors are off by at most about this.
_EPSILON = 1e-5
# Rows fetched beyond k, so that a handful of near ties needs no second look.
_SLACK = 16
# Scores kept at a time, queries × k.
_SCORES = 1 << 24


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one segment that a scan looks at; nothing is read before the scan."""

    ids: NDArray[np.int64]
    """Tile id of each row, shape (n,)."""
    mask: NDArray[np.bool_]
    """Which rows count, shape (n,)."""
    read: Callable[[NDArray[np.intp]], NDArray[np.float32]]
    """Gives some rows as float32."""
    raw: Callable[[NDArray[np.intp]], NDArray[np.float16]]
    """Gives some rows as they are stored, once they fit their checks."""

    def chunks(self) -> list[NDArray[np.intp]]:
        """Return the rows that count, in portions."""
        rows = np.flatnonzero(self.mask)
        return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]


def scan(parts: Sequence[Part], queries: NDArray[np.float32], k: int) -> list[Ranked]:
    """Return the k best rows of each query; k is at most the number of rows that count."""
    block = max(1, _SCORES // k)
    return [
        ranked
        for start in range(0, len(queries), block)
        for ranked in _scan_block(parts, queries[start : start + block], k)
    ]


def _scan_block(parts: Sequence[Part], queries: NDArray[np.float32], k: int) -> list[Ranked]:
    proposed = [(part, rows, *_propose(part.read(rows), queries, k)) for part in parts for rows in part.chunks()]
    answers = []
    for number, query in enumerate(queries):
        scores = np.concatenate([found[number] for _, _, _, found in proposed])
        slack = _EPSILON * max(1.0, float(np.linalg.norm(query)))
        floor = np.partition(scores, len(scores) - k)[len(scores) - k] - slack
        ids, exact = [], []
        for part, rows, at, found in proposed:
            chosen = rows[at[number][found[number] >= floor]]
            if at.shape[1] < len(rows) and found[number].min() >= floor:
                # So many near ties that some may have been cut off: look at all rows of the chunk.
                chosen = rows[part.read(rows) @ query >= floor]
            ids.append(part.ids[chosen])
            exact.append(raw_scores(part.raw(chosen), query))
        answers.append(best(np.concatenate(ids), np.concatenate(exact), k))
    return answers


def _propose(
    values: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return positions and float32 scores of the rows that are likely best, both of shape (queries, some)."""
    fetch = k + _SLACK
    if fetch * 4 >= len(values):
        # Nearly all are wanted: sorting them in FAISS would cost more than the scores.
        return np.broadcast_to(np.arange(len(values)), (len(queries), len(values))), queries @ values.T
    scores, at = faiss.knn(queries, values, fetch, metric=faiss.METRIC_INNER_PRODUCT)
    return at, scores
