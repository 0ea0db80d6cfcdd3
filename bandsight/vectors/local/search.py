"""Searches a snapshot, by exact scan or by index, whichever was measured to be faster.

In an exact scan, FAISS proposes, in float32, every row that may be among the best; raw scores decide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.matching import Mask
from bandsight.vectors.local.folder import LoadedSegment
from bandsight.vectors.local.ivf import IvfIndex, Passing, SearchParams
from bandsight.vectors.local.ivf_search import Found, nearest_by_index
from bandsight.vectors.local.segments import OpenSegment
from bandsight.vectors.local.snapshot import StoreState
from bandsight.vectors.scores import SLACK, Ranked, best, raw_scores, slack
from bandsight.work import stage

# Rows converted to float32 at a time, for many queries: 16 Ki × 1152 × 4 bytes = 75 MB at most.
_CHUNK = 1 << 14
# From this number of queries on, converting rows once for a matrix product is faster than reading them for each query.
_MANY = 24
# Maximum number of scores in memory, queries × k.
_SCORES = 1 << 24


@dataclass(frozen=True, slots=True)
class MaskedSegment:
    """The selected rows of one segment."""

    file: OpenSegment
    mask: NDArray[np.bool_]
    """The selected rows, shape (n,)."""
    count: int
    """Number of selected rows, at least 1."""


@dataclass(frozen=True, slots=True)
class Masks:
    """The selected rows of each segment."""

    masks: list[Mask]
    counts: list[int]
    """Number of selected rows of each segment."""

    @classmethod
    def of(cls, masks: list[Mask]) -> "Masks":
        """Create masks with their counts."""
        return cls(masks, [int(np.count_nonzero(mask)) for mask in masks])

    @property
    def survivors(self) -> int:
        """Number of selected rows."""
        return sum(self.counts)

    @property
    def total(self) -> int:
        """Number of rows."""
        return sum(len(mask) for mask in self.masks)

    def split(self, parts: Sequence[LoadedSegment], first_id: int, up_to: int) -> "tuple[Masks, Masks]":
        """Split into the rows from one tile id to another, and the others; masks without rows have length 0."""
        if not parts or (parts[0].file.first_id >= first_id and parts[-1].file.last_id <= up_to):
            return self, Masks([], [])
        inside, outside = Masks([], []), Masks([], [])
        for part, mask, count in zip(parts, self.masks, self.counts, strict=True):
            if first_id <= part.file.first_id and part.file.last_id <= up_to:
                inside.add(mask, count)
                outside.add(mask[:0], 0)
            elif part.file.last_id < first_id or part.file.first_id > up_to:
                inside.add(mask[:0], 0)
                outside.add(mask, count)
            else:
                within = mask & (part.columns.ids >= first_id) & (part.columns.ids <= up_to)
                some = int(np.count_nonzero(within))
                inside.add(within, some)
                outside.add(mask & ~within, count - some)
        return inside, outside

    def add(self, mask: Mask, count: int) -> None:
        """Append the rows of one more segment."""
        self.masks.append(mask)
        self.counts.append(count)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A `Choice`: the selected rows of one state."""

    state: StoreState
    masks: Masks

    @property
    def count(self) -> int:
        """Number of selected rows."""
        return self.masks.survivors

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Search by index if that is faster, otherwise by exact scan; see `VectorStore`."""
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
    """Return the search width of the index; None if an exact scan of the selected rows is as fast, or necessary.

    Both were timed when the index was measured.
    """
    width = index.width(survivors / total, k)
    if width is None or index.scan_ms(survivors, total) <= width.query_ms:
        return None
    return width


def answer(
    state: StoreState, masks: Masks, width: SearchParams | None, queries: NDArray[np.float32], k: int
) -> list[Found]:
    """Search by index, or by exact scan if the width is None; k is at most the number of selected rows."""
    if state.index is None or width is None:
        return _scanned(state, masks, queries, k)
    old, fresh = masks.split([one.part for one in state.shown], state.index.first_id, state.index.up_to)
    if not old.survivors:
        return _scanned(state, fresh, queries, k)
    late = scan(scan_parts(state, fresh), queries, min(k, fresh.survivors)) if fresh.survivors else None
    passing = _passing(state, state.index, old)
    scan_ms = state.index.scan_ms(masks.survivors, masks.total)
    answers: list[Found] = []
    for row, query in enumerate(queries):
        found = nearest_by_index(state, state.index, passing, width, query, min(k, old.survivors), scan_ms)
        if found is None or len(found.ranked[0]) < min(k, old.survivors):
            # A scan is faster, or the index lacks some of the rows; the contract is min(k, matching).
            answers += _scanned(state, masks, query[None], k)
            continue
        if late is not None:
            (ids, scores), (late_ids, late_scores) = found.ranked, late[row]
            both = best(np.concatenate([ids, late_ids]), np.concatenate([scores, late_scores]), k)
            found = Found(both, found.lists)
        answers.append(found)
    return answers


def _passing(state: StoreState, index: IvfIndex, masks: Masks) -> Passing:
    """Return which tiles count in an index; without a filter, that is the same for all searches of a state."""
    every = all(mask is one.view.alive or not len(mask) for one, mask in zip(state.shown, masks.masks, strict=True))
    if every and state.prepared:
        return state.prepared[0]
    # Also where all count: an index may hold as many tiles as there are, and yet others, when a commit has come
    # between.
    allowed = np.zeros(index.span, bool)
    for one, mask, count in zip(state.shown, masks.masks, masks.counts, strict=True):
        if count:
            one.part.file.mark(mask, allowed, index.first_id)
    passing = index.passing(allowed)
    if every:
        state.prepared[:] = [passing]
    return passing


def _scanned(state: StoreState, masks: Masks, queries: NDArray[np.float32], k: int) -> list[Found]:
    return [Found(ranked, 0) for ranked in scan(scan_parts(state, masks), queries, k)]


def scan_parts(state: StoreState, masks: Masks) -> list[MaskedSegment]:
    """Return the segments with selected rows."""
    return [
        MaskedSegment(shown.part.file, mask, count)
        for shown, mask, count in zip(state.shown, masks.masks, masks.counts, strict=True)
        if count
    ]


def scan(parts: Sequence[MaskedSegment], queries: NDArray[np.float32], k: int) -> list[Ranked]:
    """Return the k best rows for each query; k is at most the number of selected rows."""
    block = max(1, _SCORES // k)
    return [
        ranked
        for start in range(0, len(queries), block)
        for ranked in _scan_block(parts, queries[start : start + block], k)
    ]


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
    """Return float32 scores and positions of the likely best rows, both of shape (queries, k), best first."""
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
    """Yield the selected rows in order, as float32, some thousand at a time."""
    rows = np.flatnonzero(part.mask)
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        together = chosen[-1] - chosen[0] + 1 == len(chosen)
        yield part.file.rows[slice(chosen[0], chosen[-1] + 1) if together else chosen].astype(np.float32)


def _all_above(part: MaskedSegment, query: NDArray[np.float32], floor: float, least: int) -> NDArray[np.int64]:
    """Return the positions of all rows that reach a score, after some of them were cut off."""
    while True:
        least = min(2 * least, part.count)
        found, at = part.file.half.best(query[None], least, None if part.count == len(part.mask) else part.mask)
        above: NDArray[np.int64] = at[0][found[0] >= floor]
        if len(above) < least or least == part.count:
            return above
