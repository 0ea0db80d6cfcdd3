"""Measures how far an index must look to reach the target recall, for image and text queries, filtered or not."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.ivf import IvfIndex, SearchParams
from bandsight.vectors.local.ivf_build import Rows, len_of
from bandsight.vectors.local.recall_probes import Probe, Sample, draw, true_neighbours

TARGET = 0.99
# Widths are chosen with this to spare: other queries and other filters than the measured ones differ by about as much.
_MARGIN = 0.004
KS = (10, 100)
# Shares of the rows that filters let pass; those that leave fewer rows than `FEW` are scanned exactly.
SHARES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
FEW = 10_000
# Candidates rescored on raw vectors.
_FETCH = (
    *(15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 400, 480, 640, 800, 1000),
    *(1200, 1400, 1600, 2000, 2400, 2800, 3200, 4000, 4800, 6400),
)
# Rescoring a candidate costs about as much as comparing so many codes: it is read and multiplied in half precision.
_RESCORE_AS_CODES = 100
# A row that the filter stops costs so much of one whose code is compared.
_SKIPPED = 0.5
# The first look goes so far, as a share of the lists; where that does not do, it goes four times as far.
_FIRST_LOOK, _FURTHER = 1 / 8, 4
# How much a list's spread counts beside its centre's score.
_SLOPES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
# Steps between the numbers of lists tried.
_STEP = 1.15
_TIMED = 15

Ask = Callable[[IvfIndex, int, NDArray[np.bool_] | None, SearchParams | None, NDArray[np.float32]], object]
"""Answers a query for k hits among allowed ids, by an index at a width or (None) by exact scan."""


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Where true neighbours stand among the candidates of one wide search."""

    lists: NDArray[np.int64]
    """The widths tried, ascending."""
    places: NDArray[np.float64]
    """Place of each true neighbour among the candidates at each width; inf where it is none, (lists, queries, k)."""
    truth: NDArray[np.int64]
    """The true neighbours, padded with -1, shape (queries, k)."""

    def recall(self, at: int, k: int, fetch: int) -> float:
        """Return the share of the first k true neighbours that rescoring so many candidates finds."""
        there = self.truth[:, :k] >= 0
        found = (there & (self.places[at][:, :k] < fetch)).sum(axis=1)
        expected = there.sum(axis=1)
        return float(np.where(expected > 0, found / np.maximum(expected, 1), 1.0).mean())


def measured(
    index: IvfIndex, parts: Sequence[Rows], texts: NDArray[np.float32] | None, seconds: float, ask: Ask
) -> IvfIndex:
    """Return an index with the widths that reach the target, and with recall and times measured there.

    Args:
        index: It holds all rows.
        parts: The archive's rows.
        texts: Vectors of sentences, which lie off the images' distribution, shape (n, dim).
        seconds: What building it took, for the figures.
        ask: Answers a query, to be timed.
    """
    began = time.monotonic()
    shares = [share for share in SHARES if share == 1 or share * len_of(parts) >= FEW]
    sample = draw(parts, texts, shares, index.first_id, index.span)
    truths = true_neighbours(parts, sample, max(KS))
    list_of = index.list_of()
    index = _steepest(index, sample, truths[0], list_of)
    widths: list[SearchParams] = []
    recall: list[dict[str, Any]] = []
    for share, allowed, truth in zip(sample.shares, sample.allowed, truths, strict=True):
        found = _narrowest(index, sample, allowed, truth, list_of, share)
        row: dict[str, Any] = {"share": share}
        for k, (width, reached_recall, reached) in zip(KS, found, strict=True):
            timed = replace(width, query_ms=_time(partial(ask, index, width.k, allowed, width), sample))
            row |= {f"nprobe_at_{k}": timed.nprobe, f"rescored_at_{k}": timed.fetch, f"ms_at_{k}": timed.query_ms}
            row |= reached_recall
            if reached:
                widths.append(timed)
        recall.append(row)
    scan_us = _scan_us(index, sample, ask)
    figures: dict[str, Any] = {
        "index": index.figures["index"],
        "rows": len_of(parts),
        "build_s": round(seconds, 1),
        "measure_s": round(time.monotonic() - began, 1),
        "target_recall": TARGET,
        "scan_us_a_row": scan_us,
        "slope": index.slope,
        **{name: value for name, value in recall[0].items() if name != "share"},
        "filtered": recall[1:],
    }
    ordered = tuple(sorted(widths, key=lambda width: (width.share, width.k)))
    return replace(index, widths=ordered, figures=figures, scan_us=scan_us)


def _steepest(index: IvfIndex, sample: Sample, truth: NDArray[np.int64], list_of: NDArray[np.int32]) -> IvfIndex:
    """Return the index with the slope at which lists are best visited in order: the fewest rows for the target.

    The worst kind of query counts, as it does for the widths.
    """
    sizes = np.bincount(list_of[list_of >= 0], minlength=index.lists)
    best: tuple[float, IvfIndex] | None = None
    for slope in _SLOPES:
        tried = replace(index, slope=slope)
        order = tried.nearest_lists(sample.queries, index.lists)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(index.lists)[None], 1)
        before = np.cumsum(sizes[order], axis=1)
        rows = 0.0
        for probe in sample.probes:
            for k in KS:
                near = truth[probe.rows][:, :k]
                places = np.maximum(near - index.first_id, 0)
                ranks = np.where(near >= 0, np.take_along_axis(rank[probe.rows], list_of[places], 1), 0)
                needed = int(np.quantile(ranks, TARGET))
                rows = max(rows, float(before[probe.rows][:, needed].mean()))
        if best is None or rows < best[0]:
            best = rows, tried
    assert best is not None
    return best[1]


def _narrowest(
    index: IvfIndex,
    sample: Sample,
    allowed: NDArray[np.bool_] | None,
    truth: NDArray[np.int64],
    list_of: NDArray[np.int32],
    share: float,
) -> list[tuple[SearchParams, dict[str, float], bool]]:
    """Return, for each k, the cheapest width that reaches the target (the widest if none does) and its recall."""
    lists = index.lists
    look = min(lists, max(8, int(lists * _FIRST_LOOK / share)))
    while True:
        ranks = _ranks(index, sample, allowed, truth, list_of, share, look)
        best = [_cheapest(ranks, sample.probes, k, share, len(list_of) / lists) for k in KS]
        if look == lists or all(reached for _, _, reached in best):
            return best
        look = min(lists, look * _FURTHER)


def _ranks(
    index: IvfIndex,
    sample: Sample,
    allowed: NDArray[np.bool_] | None,
    truth: NDArray[np.int64],
    list_of: NDArray[np.int32],
    share: float,
    look: int,
) -> _Ranks:
    """Look once, as far as `look` lists, and tell from each candidate's list what every narrower look would find.

    A narrower look sees the candidates of its lists in the same order. A neighbour beyond the last candidate of the
    wide look counts as missed, so recall is never said to be higher than it is.
    """
    widest = SearchParams(share=share, k=max(KS), nprobe=look, fetch=_FETCH[-1] + 1)
    found, _ = index.candidates(sample.queries, widest, allowed)
    nearest = index.nearest_lists(sample.queries, look)
    steps = np.unique(np.minimum(look, np.ceil(_STEP ** np.arange(np.ceil(np.log(look) / np.log(_STEP)) + 1))))
    tried = steps.astype(np.int64)
    places = np.full((len(tried), *truth.shape), np.inf)
    rank_of = np.full(index.lists, look, np.int64)
    for row, candidates in enumerate(found):
        ids = candidates[(candidates >= 0) & (candidates != sample.own[row])]
        if not len(ids):
            continue
        rank_of[nearest[row]] = np.arange(look)
        visited = rank_of[list_of[ids - index.first_id]]
        rank_of[nearest[row]] = look
        order = np.argsort(ids)
        at = np.minimum(np.searchsorted(ids, truth[row], sorter=order), len(ids) - 1)
        at = order[at]
        hit = ids[at] == truth[row]
        # Sorted by list and place, what comes before a candidate at a width is counted in one pass.
        before = np.cumsum(visited[None, :] < tried[:, None], axis=1) - 1
        there = hit[None, :] & (visited[at][None, :] < tried[:, None])
        places[:, row] = np.where(there, before[:, at], np.inf)
    return _Ranks(tried, places, truth)


def _cheapest(
    ranks: _Ranks, probes: Sequence[Probe], k: int, share: float, rows_a_list: float
) -> tuple[SearchParams, dict[str, float], bool]:
    best: tuple[float, SearchParams, dict[str, float]] | None = None
    recalls: dict[str, float] = {}
    for at, lists in enumerate(ranks.lists.tolist()):
        for fetch in _FETCH:
            if fetch < k:
                continue
            cost = lists * rows_a_list * (_SKIPPED + (1 - _SKIPPED) * share) + fetch * _RESCORE_AS_CODES
            width = SearchParams(share=share, k=k, nprobe=lists, fetch=fetch)
            recalls = {
                f"recall_at_{k}_{probe.kind}": round(
                    _Ranks(ranks.lists, ranks.places[:, probe.rows], ranks.truth[probe.rows]).recall(at, k, fetch), 4
                )
                for probe in probes
            }
            if min(recalls.values()) >= TARGET + _MARGIN and (best is None or cost < best[0]):
                best = cost, width, recalls
    if best is None:
        return width, recalls, False
    return best[1], best[2], True


def _time(ask: Callable[[NDArray[np.float32]], object], sample: Sample) -> float:
    """Return the median processor time of a query, in ms; queries of each kind take turns.

    Processor time, because other programs must not decide which way is the quicker one.
    """
    chosen = sample.queries[np.linspace(0, len(sample.queries) - 1, _TIMED).astype(int)]
    ask(chosen[:1])
    taken = []
    for query in chosen:
        began = time.process_time()
        ask(query[None])
        taken.append(time.process_time() - began)
    return round(1000 * float(np.median(taken)), 3)


def _scan_us(index: IvfIndex, sample: Sample, ask: Ask) -> float:
    """Return what a row costs an exact scan under the narrowest filter measured, in µs."""
    ms = _time(partial(ask, index, KS[0], sample.allowed[-1], None), sample)
    return round(1000 * ms / sample.counts[-1], 4)
