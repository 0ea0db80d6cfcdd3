"""Measures the search widths that reach the target recall, for all kinds of queries, with and without filters."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.ivf import IvfIndex, SearchParams
from bandsight.vectors.local.ivf_build import Rows, len_of
from bandsight.vectors.local.ivf_search import Found
from bandsight.vectors.local.recall_probes import Probe, Sample, draw, true_neighbours

TARGET = 0.99
# Margin of the target, because the recall of other queries differs from the measured one by about this much.
_MARGIN = 0.005
KS = (10, 100)
# Shares of the rows that pass the filters; if fewer than `FEW` rows pass, they are scanned exactly.
SHARES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
FEW = 10_000
# The first tolerance, which is halved until the target is reached, and the last one.
_FIRST, _LAST = 0.1, 0.0001
# If recall stays the same while the tolerance shrinks by this factor, it does not depend on the tolerance.
_NO_GAIN = 4
# Number of queries of each kind for measuring filters.
_FILTERED = 25
_TIMED = 15
_NEVER_MS = 1e9
# Tolerance for scores of the same row summed in another order.
_EQUAL = 1e-5

Ask = Callable[[int, SearchParams | None, NDArray[np.float32]], Found]
"""Searches for k hits, by the index or, if the width is None, by exact scan."""
Prepare = Callable[[IvfIndex, NDArray[np.bool_] | None], Ask]
"""Returns a search among the allowed tiles by id, starting at `first_id`; None for all."""


def measured(
    index: IvfIndex, parts: Sequence[Rows], texts: NDArray[np.float32] | None, seconds: float, prepare: Prepare
) -> IvfIndex:
    """Return an index with the tolerances that reach the target, and the measured recall and times.

    Args:
        index: The index, with all rows.
        parts: The archive's rows.
        texts: Vectors of sentences, whose distribution differs from that of images, shape (n, dim).
        seconds: Time to build the index, for the figures.
        prepare: Creates the searches to measure.
    """
    began = time.monotonic()
    shares = [share for share in SHARES if share == 1 or share * len_of(parts) >= FEW]
    sample = draw(parts, texts, shares, index.first_id, index.span)
    truths = true_neighbours(parts, sample, max(KS))
    # First: a search stops where a scan is quicker.
    index = replace(
        index,
        scan_us=_scan_us(prepare(index, sample.allowed[-1]), sample, -1),
        scan_all_us=_scan_us(prepare(index, None), sample, 0),
        visit_us=_visit_us(index, sample),
    )
    widths: list[SearchParams] = []
    recall: list[dict[str, Any]] = []
    tolerance = dict.fromkeys(KS, _FIRST)
    for share, allowed, (_, truth) in zip(sample.shares, sample.allowed, truths, strict=True):
        ask = prepare(index, allowed)
        row: dict[str, Any] = {"share": share}
        for k in KS:
            width = SearchParams(share=share, k=k, tolerance=tolerance[k])
            width, figures, reached = _loosest(ask, sample, truth, width)
            tolerance[k] = width.tolerance
            timed = replace(width, query_ms=_time(partial(ask, k, width), sample))
            row |= {f"tolerance_at_{k}": timed.tolerance, f"ms_at_{k}": timed.query_ms, **figures}
            # Where no tolerance does, a scan is always the quicker way to the target.
            widths.append(timed if reached else replace(timed, query_ms=_NEVER_MS))
        recall.append(row)
    measurements: dict[str, Any] = {
        "index": index.figures["index"],
        "rows": len_of(parts),
        "build_s": round(seconds, 1),
        "measure_s": round(time.monotonic() - began, 1),
        "target_recall": TARGET,
        "scan_us_a_row": index.scan_us,
        "scan_all_us_a_row": index.scan_all_us,
        "visit_us_a_row": index.visit_us,
        **{name: value for name, value in recall[0].items() if name != "share"},
        # The worst kind.
        **{f"recall_at_{k}": min(value for name, value in recall[0].items() if f"recall_at_{k}_" in name) for k in KS},
        "filtered": recall[1:],
    }
    ordered = tuple(sorted(widths, key=lambda width: (width.share, width.k)))
    return replace(index, widths=ordered, figures=measurements)


def _loosest(
    ask: Ask, sample: Sample, truth: NDArray[np.float32], width: SearchParams
) -> tuple[SearchParams, dict[str, float], bool]:
    """Return the largest tolerance that reaches the target for each kind, and the recall.

    A kind that has reached it is not measured again, because smaller tolerances find no less. Nor is one that is above
    the target and finds no more with a quarter of the tolerance, because its missing hits are in visited lists.
    """
    k, figures = width.k, dict[str, float]()
    left: Sequence[Probe] = sample.probes
    since: dict[str, float] = {}
    needed = width.tolerance
    while True:
        for probe in left:
            own = (
                probe.rows
                if width.share == 1
                else slice(probe.rows.start, min(probe.rows.stop, probe.rows.start + _FILTERED))
            )
            found = [ask(k + 1, width, query) for query in sample.queries[own]]
            recall = _recall(found, truth[own, :k], sample.own[own])
            if recall > figures.get(f"recall_at_{k}_{probe.kind}", -1.0):
                since[probe.kind] = width.tolerance
            figures[f"recall_at_{k}_{probe.kind}"] = recall
            figures[f"lists_at_{k}_{probe.kind}"] = round(float(np.mean([one.lists for one in found])), 1)
        settled = [
            probe for probe in left if _settled(figures[f"recall_at_{k}_{probe.kind}"], since[probe.kind], width)
        ]
        needed = min([needed, *(since[probe.kind] for probe in settled)])
        left = [probe for probe in left if probe not in settled]
        if not left or width.tolerance <= _LAST:
            return width if left else replace(width, tolerance=needed), figures, not left
        width = replace(width, tolerance=width.tolerance / 2)


def _settled(recall: float, since: float, width: SearchParams) -> bool:
    """Return whether a smaller tolerance is unnecessary or useless, for a recall reached since a tolerance."""
    return recall >= TARGET + _MARGIN or (recall >= TARGET and width.tolerance <= since / _NO_GAIN)


def _recall(found: Sequence[Found], truth: NDArray[np.float32], own: NDArray[np.int64]) -> float:
    """Return the mean share of hits that score as high as the true neighbours, without the query's own row.

    By score, because any of several equal rows is as good as the others.
    """
    shares = []
    for one, true, me in zip(found, truth, own, strict=True):
        expected = true[np.isfinite(true)]
        if len(expected):
            ids, scores = one.ranked
            shares.append(np.count_nonzero(scores[ids != me][: len(expected)] >= expected[-1] - _EQUAL) / len(expected))
    return round(float(np.mean(shares)), 4) if shares else 1.0


def _time(ask: Callable[[NDArray[np.float32]], object], sample: Sample) -> float:
    """Return the median processor time of a query, in ms; queries of each kind take turns.

    Processor time, because other programs must not affect which way is faster.
    """
    chosen = sample.queries[np.linspace(0, len(sample.queries) - 1, _TIMED).astype(int)]
    ask(chosen[0])
    taken = []
    for query in chosen:
        began = time.process_time()
        ask(query)
        taken.append(time.process_time() - began)
    return round(1000 * float(np.median(taken)), 3)


def _scan_us(ask: Ask, sample: Sample, share: int) -> float:
    """Return the time of an exact scan per row, µs, with the filter at an index of the measured shares."""
    ms = _time(partial(ask, KS[0], None), sample)
    return round(1000 * ms / sample.counts[share], 4)


def _visit_us(index: IvfIndex, sample: Sample) -> float:
    """Return the time of a visit per row of a list, µs, measured by visiting all lists for a few hits."""
    passing = index.passing(np.ones(index.span, bool))
    every = np.arange(index.lists)

    def visit(query: NDArray[np.float32]) -> None:
        short, outlook = index.outlook(query, passing)
        index.visit(short, every, outlook, passing, KS[1])

    return round(1000 * _time(visit, sample) / max(index.rows, 1), 5)
