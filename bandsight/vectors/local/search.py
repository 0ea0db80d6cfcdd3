"""Answers a search by exact scan or by index, whichever was measured to be quicker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.fp16_scan import Fp16Rows
from bandsight.vectors.local.ivf import IvfIndex, SearchParams
from bandsight.vectors.local.scan import MaskedSegment, scan, slack
from bandsight.vectors.local.snapshot import Masks, StoreState, located
from bandsight.vectors.scores import Ranked, best, raw_scores

# So many rows for each hit, and this share of the candidates, show how good a hit must be.
_HEAD = 8
# By so many standard deviations a code's score may fall shorter than is usual among the first.
_DEVIATIONS = 4


@dataclass(frozen=True, slots=True)
class Chosen:
    """A `Choice`: the rows of one state that count."""

    state: StoreState
    masks: Masks

    @property
    def count(self) -> int:
        """How many rows count."""
        return self.masks.survivors

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Search by index where that pays, else by exact scan; see `VectorStore`."""
        state, masks = self.state, self.masks
        queries = np.ascontiguousarray(queries, np.float32)
        k = min(k, masks.survivors)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        if state.device and (answers := state.device.scan(masks.masks, masks.survivors, queries, k)):
            return answers
        width = None if exact or state.index is None else plan(state.index, masks.survivors, masks.total, k)
        return answer(state, masks, width, queries, k)


def plan(index: IvfIndex, survivors: int, total: int, k: int) -> SearchParams | None:
    """Return how far the index should look, None where an exact scan of the survivors is as quick, or alone right.

    Both were timed when the index was measured.
    """
    width = index.width(survivors / total, k)
    if width is None or survivors * index.scan_us <= 1000 * width.query_ms:
        return None
    return width


def answer(
    state: StoreState, masks: Masks, width: SearchParams | None, queries: NDArray[np.float32], k: int
) -> list[Ranked]:
    """Answer by index, or (width None) by exact scan; k is at most the number of survivors."""
    if state.index is None or width is None:
        return scan(scan_parts(state, masks), queries, k)
    old, fresh = masks.split([one.part for one in state.shown], state.index.first_id, state.index.up_to)
    if not old.survivors:
        return scan(scan_parts(state, fresh), queries, k)
    late = scan(scan_parts(state, fresh), queries, min(k, fresh.survivors)) if fresh.survivors else None
    # Always: an index may hold as many tiles as there are, and yet others, when a commit has come between.
    allowed = np.zeros(state.index.span, bool)
    for one, mask in zip(state.shown, old.masks, strict=True):
        one.part.file.mark(mask, allowed, state.index.first_id)
    found, likely = state.index.candidates(queries, width, allowed)
    answers: list[Ranked] = []
    for row, query in enumerate(queries):
        there = found[row] >= 0
        candidates = found[row][there]
        if len(candidates) < min(k, old.survivors):
            # The index could not fill the answer: the contract is min(k, matching), so scan.
            answers += scan(scan_parts(state, masks), query[None], k)
            continue
        ranked = _rescored(state, candidates, likely[row][there], query, min(k, len(candidates)))
        if late is not None:
            ids, scores = late[row]
            ranked = best(np.concatenate([ranked[0], ids]), np.concatenate([ranked[1], scores]), k)
        answers.append(ranked)
    return answers


def scan_parts(state: StoreState, masks: Masks) -> list[MaskedSegment]:
    """Return the segments that have rows that count."""
    return [
        MaskedSegment(shown.part.file, mask, count)
        for shown, mask, count in zip(state.shown, masks.masks, masks.counts, strict=True)
        if count
    ]


def _rows_of(state: StoreState, ids: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return the raw vectors of tiles, not compared with their checks, shape (n, dim)."""
    parts = [(chosen, file.take(rows)) for chosen, file, rows in located(state, ids)]
    values = np.empty((len(ids), parts[0][1].shape[1]), np.float16)
    for chosen, taken in parts:
        values[chosen] = taken
    return values


def _scores_of(values: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each row in float32; by FAISS, since NumPy takes long to convert half precision."""
    found, at = Fp16Rows(values).best(query[None], len(values))
    scores = np.empty(len(values), np.float32)
    scores[at[0]] = found[0]
    return scores


def _rescored(
    state: StoreState, ids: NDArray[np.int64], likely: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> Ranked:
    """Return the k best of some tiles by their raw vectors; those that are answered fit their checks.

    The first ones tell how good the k-th is at least, and by how much codes' scores fall short; only what may be better
    by as much is read too. As in a scan, float32 proposes what may be among the best, and raw scores decide.

    Args:
        state: Where the vectors are.
        ids: The tiles, the likely best first.
        likely: Their codes' scores, descending.
        query: The query.
        k: At most the number of tiles.
    """
    head = min(len(ids), max(_HEAD * k, len(ids) // _HEAD))
    values = _rows_of(state, ids[:head])
    scores = _scores_of(values, query)
    short = scores - likely[:head]
    # At a million, 330 to 800 of 1,400 candidates are read, with 0.998 to 1.000 of their true neighbours.
    shortfall = float(max(short.max(), short.mean() + _DEVIATIONS * short.std()))
    promising = int(np.searchsorted(-likely, slack(query) + shortfall - _kth(scores, k), "right"))
    if promising > head:
        more = _rows_of(state, ids[head:promising])
        values = np.concatenate([values, more])
        scores = np.concatenate([scores, _scores_of(more, query)])
    near = np.flatnonzero(scores >= _kth(scores, k) - slack(query))
    for chosen, file, rows in located(state, ids[near]):
        file.need_sound(rows, values[near[chosen]])
    return best(ids[near], raw_scores(values[near], query), k)


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """Return the k-th highest score."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])
