"""Searches the index for one query: visits lists until the others can hardly contain a better hit.

Codes propose, raw vectors decide. Each round visits some lists, reads the raw vectors of possible hits, and then
estimates how many rows of the unvisited lists exceed the k-th score found (`stopping`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.apart import Apart
from bandsight.vectors.local.ivf import IvfIndex, Passing, SearchParams
from bandsight.vectors.local.segments import Fp16Rows
from bandsight.vectors.local.snapshot import StoreState, located
from bandsight.vectors.local.stopping import UNFITTED, Outlook
from bandsight.vectors.scores import Ranked, best, raw_scores, slack
from bandsight.work import stage

# Number of rows read per hit, and minimum number, to find the minimum score of a hit.
_HEAD, _LEAST_HEAD = 8, 64
# Number of standard deviations by which a code's score may be lower than usual.
_DEVIATIONS = 4
# Relative error of a code with 16 levels (Max, "Quantizing for minimum distortion", 1960).
_CODE_ERROR = 0.107
# Rows proposed by codes per visit, for each hit and at minimum, and the factor by which they grow if all may be hits.
_FETCH, _LEAST_FETCH, _MORE = 16, 400, 8
# The first visit includes this share of the lists, a minimum number of lists, and a minimum number of rows per hit.
_FIRST_SHARE, _FIRST_LISTS, _FIRST_ROWS = 1 / 128, 8, 40
# Time to read a single raw vector, µs, and number of raw vectors that are always read.
_READ_US, _READ_ANYWAY = 2.0, 2000
# The index continues if the remaining work takes at most this share of a scan, because estimates have this error.
_WORTH_IT = 0.7
# Number of hits to fit the scale of an outlook to; ten would be too few.
_FITTED = 50


@dataclass(slots=True)
class _Seen:
    """Rows of the lists visited so far, the likely best first."""

    ids: NDArray[np.int64]
    likely: NDArray[np.float32]
    """Scores of the codes."""
    scores: NDArray[np.float32]
    """Scores of the raw vectors, -inf if not read yet."""
    apart_ids: NDArray[np.int64]
    """Outliers, which are not among the other rows."""
    apart_scores: NDArray[np.float32]
    """Scores of their raw vectors, best first."""

    def add(self, ids: NDArray[np.int64], likely: NDArray[np.float32], *, again: bool) -> None:
        """Add the rows found by a visit; `again` if some may have been found before."""
        if again:
            new = ~np.isin(ids, self.ids)
            ids, likely = ids[new], likely[new]
        both = np.concatenate([self.likely, likely])
        order = np.argsort(-both, kind="stable")
        self.ids = np.concatenate([self.ids, ids])[order]
        self.scores = np.concatenate([self.scores, np.full(len(ids), -np.inf, np.float32)])[order]
        self.likely = both[order]

    def read(
        self, state: StoreState, query: NDArray[np.float32], k: int, most: int, least_deviation: float
    ) -> float | None:
        """Read raw vectors that may be among the k best; return by how much a code may score below its raw vector.

        The first rows give a lower bound of the k-th score. The best of the rows that were read show how much the
        scores of codes fall short. Among the first rows, codes rather score too high, because they were chosen by code.

        Args:
            state: The segments with the vectors.
            query: Shape (dim,).
            k: At least 1.
            most: Maximum number of rows to read; None is returned if more are needed, because an exact scan is faster.
            least_deviation: Minimum standard deviation of the error of codes, in case hundreds of equal rows hide it.
        """
        promising = max(_HEAD * k, _LEAST_HEAD)
        while True:
            if min(promising, len(self.ids)) > most:
                return None
            self._read(state, query, np.arange(min(promising, len(self.ids))))
            known = np.flatnonzero(self.scores > -np.inf)
            top = known[np.argsort(-self.scores[known])[: max(2 * k, _LEAST_HEAD // 2)]]
            short = self.scores[top] - self.likely[top]
            deviation = max(short.std(), (self.scores[known] - self.likely[known]).std(), least_deviation)
            shortfall = float(max(short.max(), short.mean() + _DEVIATIONS * deviation)) + slack(query)
            more = int(np.searchsorted(-self.likely, shortfall - self.kth(k), "right"))
            if more <= promising:
                return shortfall
            promising = more

    def kth(self, k: int) -> float:
        """Return the k-th highest score read so far, or -inf if there are fewer."""
        scores = np.concatenate([self.scores, self.apart_scores])
        if len(scores) < k:
            return -np.inf
        return float(np.partition(scores, len(scores) - k)[len(scores) - k])

    def _read(self, state: StoreState, query: NDArray[np.float32], rows: NDArray[np.intp]) -> None:
        unread = rows[self.scores[rows] == -np.inf]
        if len(unread):
            with stage("rescore"):
                self.scores[unread] = _scores_of(_rows_of(state, self.ids[unread]), query)


@dataclass(frozen=True, slots=True)
class Found:
    """The hits of one query."""

    ranked: Ranked
    lists: int
    """Number of visited lists."""


def nearest_by_index(
    state: StoreState,
    index: IvfIndex,
    passing: Passing,
    params: SearchParams,
    query: NDArray[np.float32],
    k: int,
    scan_ms: float,
) -> Found | None:
    """Return the k nearest of the selected tiles; fewer only if the index has fewer.

    Args:
        state: The segments with the vectors.
        index: The index of these vectors.
        passing: The selected tiles.
        params: The search width.
        query: Shape (dim,).
        k: At least 1.
        scan_ms: Time of an exact scan, ms. None is returned if a scan is expected to be faster than continuing. This
            happens if scores differ less than codes can resolve, e.g. with a filter that excludes all near tiles.
    """
    most = int(max(_READ_ANYWAY, 1000 * scan_ms / _READ_US))
    short, outlook = index.outlook(query, passing)
    apart = index.apart or Apart.empty(len(query))
    some = max(_FETCH * k, _LEAST_FETCH)
    nothing = np.empty(0, np.float32)
    seen = _Seen(np.empty(0, np.int64), nothing, nothing, *apart.best(query, some, passing.bits, index.first_id))
    visited = np.zeros(index.lists, bool)
    lists = outlook.first_lists(max(_FIRST_LISTS, int(index.lists * _FIRST_SHARE)), _FIRST_ROWS * k)
    while len(lists):
        visited[lists] = True
        fetch, again = some, False
        while True:
            ids, likely = index.visit(short, lists, outlook, passing, fetch)
            others = apart.others(ids)
            seen.add(ids[others], likely[others], again=again)
            deviation = _CODE_ERROR * float(outlook.spreads[lists].mean())
            shortfall = seen.read(state, query, k, most, deviation) if len(seen.ids) else 0.0
            if shortfall is None:
                return None
            if len(ids) < fetch or likely[-1] <= seen.kth(k) - shortfall:
                break
            if fetch > most or _left_ms(index, outlook, visited, lists, seen, k, shortfall) > _WORTH_IT * scan_ms:
                return None
            fetch, again = fetch * _MORE, True
        floor = seen.kth(k)
        if floor == -np.inf:
            # The same number of lists again, in order.
            order = outlook.first_lists(index.lists, 0)
            lists = order[~visited[order]][: int(np.count_nonzero(visited))]
        else:
            lists = outlook.next_lists(visited, floor, _scale(outlook, visited, seen, k), params.tolerance * k)
        if _left_ms(index, outlook, visited, lists, seen, k, shortfall) > _WORTH_IT * scan_ms:
            return None
    return Found(_exact(state, seen, query, k), int(np.count_nonzero(visited)))


def _left_ms(
    index: IvfIndex,
    outlook: Outlook,
    visited: NDArray[np.bool_],
    lists: NDArray[np.int64],
    seen: _Seen,
    k: int,
    shortfall: float,
) -> float:
    """Estimate the time to visit some lists and to read possible hits there, ms."""
    floor = seen.kth(k)
    if not len(lists) or floor == -np.inf:
        return index.visit_ms(lists)
    reads = float(outlook.missing(lists, floor - shortfall, _scale(outlook, visited, seen, k)).sum())
    return index.visit_ms(lists) + max(0.0, reads - _READ_ANYWAY) * _READ_US / 1000


def _scale(outlook: Outlook, visited: NDArray[np.bool_], seen: _Seen, k: int) -> float:
    """Return the outlook's scale, fitted to the k best rows, or to more if k is small.

    Outliers are ignored, because they are found without visiting lists.
    """
    read = np.sort(seen.scores[seen.scores > -np.inf])[::-1]
    if not len(read):
        return UNFITTED
    fitted = min(len(read), max(k, min(_FITTED, len(read) // 2)))
    return outlook.scale(visited, float(read[fitted - 1]), fitted)


def _exact(state: StoreState, seen: _Seen, query: NDArray[np.float32], k: int) -> Ranked:
    """Return the k best by raw scores, after verifying their checks; float32 proposes, as in a scan."""
    k = min(k, len(seen.ids) + len(seen.apart_ids))
    if k == 0:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    floor = seen.kth(k) - slack(query)
    near = np.concatenate([seen.ids[seen.scores >= floor], seen.apart_ids[seen.apart_scores >= floor]])
    scores = np.empty(len(near), np.float32)
    for chosen, file, rows in located(state, near):
        scores[chosen] = raw_scores(file.sound(rows), query)
    return best(near, scores, k)


def _rows_of(state: StoreState, ids: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return the raw vectors of tiles without verifying their checks, shape (n, dim)."""
    parts = [(chosen, file.take(rows)) for chosen, file, rows in located(state, ids)]
    values = np.empty((len(ids), parts[0][1].shape[1]), np.float16)
    for chosen, taken in parts:
        values[chosen] = taken
    return values


def _scores_of(values: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each row in float32, computed by FAISS, because NumPy converts half precision slowly."""
    found, at = Fp16Rows(values).best(query[None], len(values))
    scores = np.empty(len(values), np.float32)
    scores[at[0]] = found[0]
    return scores
