"""Measures the search width that reaches the target recall with Milvus, for image and text queries, also filtered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.filters import Filter
from bandsight.vectors.local.ivf_build import Rows, len_of
from bandsight.vectors.local.recall_probes import Sample, draw, true_neighbours
from bandsight.vectors.local.recall_tuning import KS, TARGET
from bandsight.vectors.local.snapshot import StoreState
from bandsight.vectors.milvus.collection import Milvus
from bandsight.vectors.milvus.expressions import expression_of
from bandsight.vectors.milvus.facts import Facts, Width

# Other queries differ from the measured ones by about this much.
_MARGIN = 0.004
# Shares of the tiles that pass the filters; these select whole scenes, as real filters do.
SHARES = (1.0, 0.3, 0.1, 0.03)
# Maximum error of sums in float32.
_EQUAL = 1e-5
_EFS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def measured(
    milvus: Milvus, facts: Facts, state: StoreState, parts: Sequence[Rows], texts: NDArray[np.float32] | None
) -> Facts:
    """Return metadata with the widths that reach the target, and the recall measured with them."""
    filters = _filters(state)
    sample = _with_filters(draw(parts, texts, [1.0], facts.first_id, facts.up_to + 1 - facts.first_id), state, filters)
    truths = true_neighbours(parts, sample, max(KS))
    widths: list[Width] = []
    recall: list[dict[str, Any]] = []
    for (share, where), (_, scores) in zip(filters, truths, strict=True):
        row: dict[str, Any] = {"share": round(share, 4)}
        for k in KS:
            expression = expression_of(where, state.scenes)
            ef, reached, found = _narrowest(milvus, facts, sample, scores[:, k - 1], expression, k)
            row |= {f"ef_at_{k}": ef, **reached}
            if found:
                widths.append(Width(share=share, k=k, ef=ef))
        recall.append(row)
    figures: dict[str, Any] = {
        **facts.figures,
        "target_recall": TARGET,
        **{f"recall_at_{k}": min(value for name, value in recall[0].items() if f"recall_at_{k}_" in name) for k in KS},
        **{name: value for name, value in recall[0].items() if name != "share"},
        "filtered": recall[1:],
    }
    ordered = tuple(sorted(widths, key=lambda width: (width.share, width.k)))
    return replace(facts, widths=ordered, figures={**figures, "rows": len_of(parts)})


def _narrowest(
    milvus: Milvus,
    facts: Facts,
    sample: Sample,
    floors: NDArray[np.float32],
    expression: str,
    k: int,
) -> tuple[int, dict[str, float], bool]:
    """Return the smallest width that reaches the target, its recall for each kind of query, and whether it does.

    A hit counts if it scores as high as the last true neighbour (`floors`, minus infinity if fewer than k tiles pass),
    because any of several equal tiles is as good as the others.
    """
    recalls: dict[str, float] = {}
    ef = 0
    for ef in (one for one in _EFS if one > k):
        hits = milvus.search(facts.collection, sample.queries, k + 1, ef, expression)
        reached = np.array(
            [
                np.count_nonzero(scores[ids != own][:k] >= floor - _EQUAL) / k
                for (ids, scores), own, floor in zip(hits, sample.own, floors, strict=True)
            ]
        )
        # Without a floor, fewer than k tiles pass the filter.
        share = np.where(np.isfinite(floors), reached, 1.0)
        recalls = {f"recall_at_{k}_{one.kind}": round(float(share[one.rows].mean()), 4) for one in sample.probes}
        if min(recalls.values()) >= TARGET + _MARGIN:
            return ef, recalls, True
    return ef, recalls, False


def _filters(state: StoreState) -> list[tuple[float, Filter]]:
    """Return filters by random scenes, with the share of the tiles that passes each; all tiles first."""
    rng = np.random.default_rng(0)
    counts = np.zeros(len(state.scenes.ids), np.int64)
    for one in state.shown:
        counts += np.bincount(one.view.scene_at[one.view.alive], minlength=len(counts))
    total = int(counts.sum())
    made = [(1.0, Filter())]
    for share in SHARES[1:]:
        order = rng.permutation(len(counts))
        needed = int(np.searchsorted(np.cumsum(counts[order]), share * total)) + 1
        chosen = order[:needed]
        passing = float(counts[chosen].sum()) / total
        if passing < made[-1][0]:
            made.append((passing, Filter(scenes=tuple(int(one) for one in state.scenes.ids[chosen]))))
    return made


def _with_filters(sample: Sample, state: StoreState, filters: Sequence[tuple[float, Filter]]) -> Sample:
    span = max(int(one.part.columns.ids[-1]) for one in state.shown) + 1 - sample.first_id
    masks: list[NDArray[np.bool_]] = []
    for _, where in filters[1:]:
        mask = np.zeros(span, bool)
        for one in state.shown:
            inside = np.isin(one.part.columns.scene_ids, where.scenes) & one.view.alive
            mask[one.part.columns.ids[inside] - sample.first_id] = True
        masks.append(mask)
    counts = (sample.counts[0], *(int(np.count_nonzero(mask)) for mask in masks))
    shares = tuple(share for share, _ in filters)
    return replace(sample, shares=shares, allowed=(None, *masks), counts=counts)
