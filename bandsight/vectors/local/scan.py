"""The exact scan: FAISS proposes, in float32, every row that may be among the best; raw scores decide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.segments import OpenSegment
from bandsight.vectors.scores import Ranked, best, raw_scores

# Rows converted to float32 at a time, for many queries at once: 16 Ki × 1152 × 4 bytes = 75 MB at most.
_CHUNK = 1 << 14
# From so many queries on, converting rows once for a matrix product costs less than reading them once for each query.
_MANY = 24
# Float32 sums of a few thousand terms of unit vectors are off by at most about this.
_EPSILON = 1e-5
# Rows fetched beyond k, so that a handful of near ties needs no second look.
SLACK = 16
# Scores kept at a time, queries × k.
_SCORES = 1 << 24


@dataclass(frozen=True, slots=True)
class MaskedSegment:
    """The rows of one segment that a scan looks at."""

    file: OpenSegment
    mask: NDArray[np.bool_]
    """Which rows count, shape (n,)."""
    count: int
    """How many do, at least 1."""


def scan(parts: Sequence[MaskedSegment], queries: NDArray[np.float32], k: int) -> list[Ranked]:
    """Return the k best rows of each query; k is at most the number of rows that count."""
    block = max(1, _SCORES // k)
    return [
        ranked
        for start in range(0, len(queries), block)
        for ranked in _scan_block(parts, queries[start : start + block], k)
    ]


def slack(query: NDArray[np.float32]) -> float:
    """Return by how much float32 scores of two rows may be off."""
    return _EPSILON * max(1.0, float(np.linalg.norm(query)))


def _scan_block(parts: Sequence[MaskedSegment], queries: NDArray[np.float32], k: int) -> list[Ranked]:
    proposed = [_propose(part, queries, min(k + SLACK, part.count)) for part in parts]
    answers = []
    for number, query in enumerate(queries):
        scores = np.concatenate([found[number] for found, _ in proposed])
        floor = np.partition(scores, len(scores) - k)[len(scores) - k] - slack(query)
        ids, exact = [], []
        for part, (found, at) in zip(parts, proposed, strict=True):
            chosen = at[number][found[number] >= floor]
            if len(chosen) == at.shape[1] < part.count:
                chosen = _all_above(part, query, floor, len(chosen))
            if len(chosen):
                ids.append(np.asarray(part.file.ids[chosen]))
                exact.append(raw_scores(part.file.sound(chosen), query))
        answers.append(best(np.concatenate(ids), np.concatenate(exact), k))
    return answers


def _propose(
    part: MaskedSegment, queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return float32 scores and places of the rows that are likely best, both of shape (queries, k), best first."""
    if len(queries) < _MANY:
        return part.file.half.best(queries, k, None if part.count == len(part.mask) else part.mask)
    rows = np.flatnonzero(part.mask)
    scores = np.full((len(queries), 0), 0, np.float32)
    at = np.full((len(queries), 0), 0, np.int64)
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        values = part.file.rows[chosen].astype(np.float32)
        found, places = faiss.knn(queries, values, min(k, len(chosen)), metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([scores, found], axis=1)
        at = np.concatenate([at, chosen[places]], axis=1)
        if scores.shape[1] > k:
            top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            scores, at = np.take_along_axis(scores, top, 1), np.take_along_axis(at, top, 1)
    return scores, at


def chunks(part: MaskedSegment) -> Iterator[NDArray[np.float32]]:
    """Yield the rows that count, in their order, some thousand at a time, as float32."""
    rows = np.flatnonzero(part.mask)
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        together = chosen[-1] - chosen[0] + 1 == len(chosen)
        yield part.file.rows[slice(chosen[0], chosen[-1] + 1) if together else chosen].astype(np.float32)


def _all_above(part: MaskedSegment, query: NDArray[np.float32], floor: float, least: int) -> NDArray[np.int64]:
    """Return the places of all rows that reach a score, of which there are so many that some were cut off."""
    while True:
        least = min(2 * least, part.count)
        found, at = part.file.half.best(query[None], least, None if part.count == len(part.mask) else part.mask)
        above: NDArray[np.int64] = at[0][found[0] >= floor]
        if len(above) < least or least == part.count:
            return above
