"""Answers a search by exact scan or by index, whichever was measured to be quicker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.half_rows import HalfRows
from bandsight.vectors.ivf import IvfIndex, Width
from bandsight.vectors.scan import SLACK, scan, slack
from bandsight.vectors.scan import Part as ScanPart
from bandsight.vectors.scores import Ranked, best, raw_scores
from bandsight.vectors.segments import OpenSegment
from bandsight.vectors.state import Masks, State, located

# So many rows for each hit wanted, and this part of the candidates, tell how good a hit must be.
_HEAD = 8
# By so many standard deviations a code's score may fall shorter than is usual among the first.
_DEVIATIONS = 4

_Place = tuple[NDArray[np.intp], OpenSegment, NDArray[np.int64]]
"""Which of some tiles are in a segment, its file, and their rows there."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A `Choice`: the rows of one state that count."""

    state: State
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


def plan(index: IvfIndex, survivors: int, total: int, k: int) -> Width | None:
    """Return how far the index should look, None where an exact scan of the survivors is as quick, or alone right.

    Both were timed when the index was measured.
    """
    width = index.width(survivors / total, k)
    if width is None or survivors * index.scan_us <= 1000 * width.query_ms:
        return None
    return width


def answer(state: State, masks: Masks, width: Width | None, queries: NDArray[np.float32], k: int) -> list[Ranked]:
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


def scan_parts(state: State, masks: Masks) -> list[ScanPart]:
    """Return the segments that have rows that count."""
    return [
        ScanPart(shown.part.file, mask, count)
        for shown, mask, count in zip(state.shown, masks.masks, masks.counts, strict=True)
        if count
    ]


def _rows_of(state: State, ids: NDArray[np.int64]) -> tuple[NDArray[np.float16], list[_Place]]:
    """Return the raw vectors of tiles, not compared with their checks, and where they were."""
    places = list(located(state, ids))
    values = np.empty((len(ids), places[0][1].rows.shape[1]), np.float16)
    for chosen, file, rows in places:
        values[chosen] = file.take(rows)
    return values, places


def _rescored(
    state: State, ids: NDArray[np.int64], likely: NDArray[np.float32], query: NDArray[np.float32], k: int
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
    values, places = _rows_of(state, ids[:head])
    scores = values.astype(np.float32) @ query
    short = scores - likely[:head]
    # At a million, 330 to 800 of 1,400 candidates are read, with 0.998 to 1.000 of their true neighbours.
    shortfall = float(max(short.max(), short.mean() + _DEVIATIONS * short.std()))
    floor = np.partition(scores, head - k)[head - k] - shortfall - slack(query)
    promising = max(head, int(np.searchsorted(-likely, -floor, "right")))
    ids = ids[:promising]
    if promising > head:
        values, places = _rows_of(state, ids)
    fetch = min(k + SLACK, len(ids))
    found, at = HalfRows(values).best(query[None], fetch)
    near = at[0][found[0] >= found[0][k - 1] - slack(query)]
    if len(near) == fetch:
        near = np.arange(len(ids))
    answered = np.zeros(len(ids), bool)
    answered[near] = True
    for chosen, file, rows in places:
        own = answered[chosen]
        if own.any():
            file.need_sound(rows[own], values[chosen[own]])
    return best(ids[near], raw_scores(values[near], query), k)
