"""Builds the search index on an archive's own vectors and measures how far it must look for the recall asked."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.ivf import IvfIndex, Width

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
# Fewer rows than this are scanned exactly in a few milliseconds.
WORTH_IT = 100_000
TARGET = 0.99
# Bytes a vector in memory that an index may take by itself; 8-bit codes where they fit, else one bit a number.
BUDGET_BYTES = 200
_ID_BYTES = 8
_TRAIN_PER_LIST, _ROUNDS = 50, 10
_QUERIES = 200
_KS = (10, 100)
# Shares of the rows that filters let pass; narrower ones are scanned exactly (see `FaissStore`).
_SHARES = (0.1, 0.3, 1.0)
_RESCORE = (2, 4, 8, 16, 32)
# A filter lets neighbours pass together, as scenes and regions do.
_RUN = 256
_CHUNK = 1 << 15
# Rows compared with all queries at a time: 8 Ki × 700 queries × 16 bytes = 90 MB.
_COMPARED = 1 << 13

Rows = tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.bool_]]
"""Ids and vectors of a segment, and which of them live."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """Queries of one kind, and their true neighbours at each share."""

    kind: str
    queries: NDArray[np.float32]
    own: NDArray[np.int64]
    """Id of each query's own row, which is held out; -1 where it has none."""
    truth: list[NDArray[np.int64]]
    """Ids of the nearest rows, best first, for each share."""


def build(parts: Sequence[Rows], dim: int, texts: NDArray[np.float32] | None, budget_bytes: int) -> IvfIndex | None:
    """Train, fill and measure an index; None when an exact scan is quick enough.

    Args:
        parts: The archive's rows.
        dim: Length of a vector.
        texts: Vectors of sentences, which lie off the images' distribution, shape (n, dim).
        budget_bytes: Memory for each vector.
    """
    total = sum(int(alive.sum()) for _, _, alive in parts)
    if total < WORTH_IT:
        return None
    began = time.monotonic()
    lists = max(1, int(4 * np.sqrt(total)))
    spec = f"IVF{lists},SQ8" if dim + _ID_BYTES <= budget_bytes else f"RR{dim},IVF{lists},RaBitQ"
    index = _faiss.index_factory(dim, spec, _faiss.METRIC_INNER_PRODUCT)
    inner = _faiss.extract_index_ivf(index)
    inner.cp.niter, inner.cp.min_points_per_centroid = _ROUNDS, 1
    index.train(_sample(parts, min(1.0, _TRAIN_PER_LIST * lists / total)))
    built = fill(IvfIndex(index, 0, (), {"index": spec}), parts)
    return measured(built, parts, texts, time.monotonic() - began)


def fill(index: IvfIndex, parts: Sequence[Rows]) -> IvfIndex:
    """Add the rows that an index does not hold yet; a trained index takes them as they come."""
    for ids, rows, alive in parts:
        fresh = np.flatnonzero(alive & (ids > index.up_to))
        for start in range(0, len(fresh), _CHUNK):
            chosen = fresh[start : start + _CHUNK]
            index.faiss_index.add_with_ids(rows[chosen].astype(np.float32), ids[chosen])
    return replace(index, up_to=int(parts[-1][0][-1]))


def measured(index: IvfIndex, parts: Sequence[Rows], texts: NDArray[np.float32] | None, seconds: float) -> IvfIndex:
    """Return an index with the widths that reach the target, and with the recall measured there."""
    rng = np.random.default_rng(0)
    all_ids = np.concatenate([ids[alive] for ids, _, alive in parts])
    allowed = [_some_ids(all_ids, share, rng) for share in _SHARES]
    probes = _probes(parts, texts, allowed, rng)
    widths, recall = [], []
    for at, share in enumerate(_SHARES):
        width, found = _narrowest(index, probes, allowed[at], at)
        recall.append({"share": share, "nprobe": width.nprobe, "rescore": width.rescore, **found})
        if min(found.values()) >= TARGET:
            widths.append(replace(width, share=share))
    figures = {
        "index": index.figures["index"],
        "rows": len(all_ids),
        "build_s": round(seconds, 1),
        "target_recall": TARGET,
        **{name: value for name, value in recall[-1].items() if name != "share"},
        "filtered": recall[:-1],
    }
    return replace(index, widths=tuple(widths), figures=figures)


def _narrowest(
    index: IvfIndex, probes: Sequence[_Probe], allowed: NDArray[np.int64], at: int
) -> tuple[Width, dict[str, float]]:
    """Return the narrowest width that reaches the target, the widest if none does, and its recall."""
    lists = _faiss.extract_index_ivf(index.faiss_index).nlist
    nprobe = 1
    while True:
        widest = Width(share=0.0, nprobe=nprobe, rescore=_RESCORE[-1])
        ranks = [
            _ranks(probe.truth[at], probe.own, index.candidates(probe.queries, max(_KS) + 1, allowed, widest))
            for probe in probes
        ]
        for rescore in _RESCORE:
            recall = {
                f"recall_at_{k}_{probe.kind}": round(_recall(probe.truth[at][:, :k], found[:, :k], rescore * k), 4)
                for probe, found in zip(probes, ranks, strict=True)
                for k in _KS
            }
            if min(recall.values()) >= TARGET:
                return replace(widest, rescore=rescore), recall
        if nprobe >= lists:
            return widest, recall
        nprobe = min(lists, nprobe * 2)


def _ranks(truth: NDArray[np.int64], own: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each true neighbour's place among the candidates, the held-out row not counted; inf where it has none."""
    ranks = np.full(truth.shape, np.inf)
    for row, ids in enumerate(found):
        others = ids[ids != own[row]]
        order = np.argsort(others)
        at = np.minimum(np.searchsorted(others[order], truth[row]), max(len(others) - 1, 0))
        hit = others[order][at] == truth[row] if len(others) else np.zeros(truth.shape[1], bool)
        ranks[row, hit] = order[at[hit]]
    return ranks


def _recall(truth: NDArray[np.int64], ranks: NDArray[np.float64], fetch: int) -> float:
    """Return the share of true neighbours among the first candidates: rescoring on raw vectors then finds them."""
    there = truth >= 0
    found = (there & (ranks < fetch)).sum(axis=1)
    wanted = there.sum(axis=1)
    return float(np.where(wanted > 0, found / np.maximum(wanted, 1), 1.0).mean())


def _probes(
    parts: Sequence[Rows],
    texts: NDArray[np.float32] | None,
    allowed: Sequence[NDArray[np.int64]],
    rng: np.random.Generator,
) -> list[_Probe]:
    """Return queries with their true neighbours; an image's own row is held out of them."""
    ids = np.concatenate([ids[alive] for ids, _, alive in parts])
    own = np.sort(rng.choice(ids, min(_QUERIES, len(ids)), replace=False))
    images = np.concatenate([rows[np.isin(ids, own)] for ids, rows, _ in parts]).astype(np.float32)
    kinds = [("image", images, own)]
    if texts is not None and len(texts):
        kinds.append(("text", np.asarray(texts, np.float32), np.full(len(texts), -1, np.int64)))
    queries = np.concatenate([vectors for _, vectors, _ in kinds])
    owners = np.concatenate([owner for _, _, owner in kinds])
    truth = _truth(parts, queries, owners, allowed)
    probes, start = [], 0
    for kind, vectors, owner in kinds:
        end = start + len(vectors)
        probes.append(_Probe(kind, vectors, owner, [rows[start:end] for rows in truth]))
        start = end
    return probes


def _truth(
    parts: Sequence[Rows],
    queries: NDArray[np.float32],
    owners: NDArray[np.int64],
    allowed: Sequence[NDArray[np.int64]],
) -> list[NDArray[np.int64]]:
    """Return the nearest ids of each query among each set of allowed ids, padded with -1; rows are read once."""
    k = max(_KS)
    best = [(np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1)) for _ in allowed]
    for ids, rows, alive in parts:
        living = np.flatnonzero(alive)
        for start in range(0, len(living), _COMPARED):
            chosen = living[start : start + _COMPARED]
            scores = queries @ rows[chosen].astype(np.float32).T
            scores[owners[:, None] == ids[chosen][None]] = -np.inf
            for number, among in enumerate(allowed):
                inside = np.flatnonzero(np.isin(ids[chosen], among, assume_unique=True))
                both = np.concatenate([best[number][0], scores[:, inside]], axis=1)
                named = np.concatenate(
                    [best[number][1], np.broadcast_to(ids[chosen[inside]], (len(queries), len(inside)))], axis=1
                )
                top = np.argpartition(-both, k - 1, axis=1)[:, :k]
                best[number] = np.take_along_axis(both, top, 1), np.take_along_axis(named, top, 1)
    order = [np.argsort(-scores, axis=1) for scores, _ in best]
    return [
        np.where(np.isfinite(np.take_along_axis(scores, by, 1)), np.take_along_axis(ids, by, 1), -1)
        for (scores, ids), by in zip(best, order, strict=True)
    ]


def _some_ids(ids: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return about a share of ids, in runs of neighbours."""
    if share >= 1:
        return ids
    runs = rng.random(-(-len(ids) // _RUN)) < share
    runs[rng.integers(len(runs))] = True
    return ids[np.repeat(runs, _RUN)[: len(ids)]]


def _sample(parts: Sequence[Rows], share: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rows[np.flatnonzero(alive & (rng.random(len(rows)) < share))].astype(np.float32) for _, rows, alive in parts]
    )
