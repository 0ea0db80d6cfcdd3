"""Answers a search by exact scan or by index, whichever was measured to be quicker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.stages import stage
from bandsight.vectors.local.ivf import IvfIndex, SearchParams
from bandsight.vectors.local.ivf_search import Found, nearest_by_index
from bandsight.vectors.local.scan import MaskedSegment, scan
from bandsight.vectors.local.snapshot import Masks, StoreState
from bandsight.vectors.scores import Ranked, best

# To read a raw vector by itself takes about so long; so many are read in any case.
_READ_US, _READ_ANYWAY = 2.0, 2000


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
        with stage("search"):
            return self._search(queries, k, exact=exact)

    def _search(self, queries: NDArray[np.float32], k: int, *, exact: bool) -> list[Ranked]:
        state, masks = self.state, self.masks
        queries = np.ascontiguousarray(queries, np.float32)
        k = min(k, masks.survivors)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        if state.device and (answers := state.device.scan(masks.masks, masks.survivors, queries, k)):
            return answers
        width = None if exact or state.index is None else plan(state.index, masks.survivors, masks.total, k)
        return [one.ranked for one in answer(state, masks, width, queries, k)]


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
) -> list[Found]:
    """Answer by index, or (width None) by exact scan; k is at most the number of survivors."""
    if state.index is None or width is None:
        return _scanned(state, masks, queries, k)
    old, fresh = masks.split([one.part for one in state.shown], state.index.first_id, state.index.up_to)
    if not old.survivors:
        return _scanned(state, fresh, queries, k)
    late = scan(scan_parts(state, fresh), queries, min(k, fresh.survivors)) if fresh.survivors else None
    # Always: an index may hold as many tiles as there are, and yet others, when a commit has come between.
    allowed = np.zeros(state.index.span, bool)
    for one, mask in zip(state.shown, old.masks, strict=True):
        one.part.file.mark(mask, allowed, state.index.first_id)
    passing = state.index.passing(allowed)
    most = int(max(_READ_ANYWAY, masks.survivors * state.index.scan_us / _READ_US))
    answers: list[Found] = []
    for row, query in enumerate(queries):
        found = nearest_by_index(state, state.index, passing, width, query, min(k, old.survivors), most)
        if found is None or len(found.ranked[0]) < min(k, old.survivors):
            # A scan is quicker, or the index lacks some of them: the contract is min(k, matching).
            answers += _scanned(state, masks, query[None], k)
            continue
        if late is not None:
            (ids, scores), (late_ids, late_scores) = found.ranked, late[row]
            both = best(np.concatenate([ids, late_ids]), np.concatenate([scores, late_scores]), k)
            found = Found(both, found.lists)
        answers.append(found)
    return answers


def _scanned(state: StoreState, masks: Masks, queries: NDArray[np.float32], k: int) -> list[Found]:
    return [Found(ranked, 0) for ranked in scan(scan_parts(state, masks), queries, k)]


def scan_parts(state: StoreState, masks: Masks) -> list[MaskedSegment]:
    """Return the segments that have rows that count."""
    return [
        MaskedSegment(shown.part.file, mask, count)
        for shown, mask, count in zip(state.shown, masks.masks, masks.counts, strict=True)
        if count
    ]
