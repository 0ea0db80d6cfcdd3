"""Builds the search index on an archive's own vectors, and adds to it what came later.

The vectors are projected on the directions in which the archive's own vectors extend (the eigenvectors of their second
moments, so that dot products keep what they can), turned at random so that every direction carries as much, and kept as
codes of 4 bits a number, relative to the centre of their list: what FAISS compares quickest by far.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.apart import Apart, far_rows
from bandsight.vectors.local.gpu_faiss import clustering_on_gpu
from bandsight.vectors.local.ivf import IvfIndex

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
# Fewer rows than this are scanned exactly in a few milliseconds.
WORTH_IT = 100_000
# Bytes a vector in memory that codes, ids and attributes may take together.
BUDGET_BYTES = 200
# What is not codes: ids (8), lists filled up to multiples of 32 rows (9), centres (5), the columns that filters read
# (21), which scene a row is of (5), and what answering takes (at a million 16: masks, candidates, code).
_NOT_CODES = 64
_LEAST_DIMS = 8
# Lists for the square root of the rows.
_LISTS = 4
_TRAIN_PER_LIST, _ROUNDS = 40, 6
# Rows for each of the 16 levels of a number, and rounds, that codes are trained with.
_TRAIN_PER_LEVEL, _CODE_ROUNDS = 128, 8
# One row in so many is kept out of training.
_HELD_OUT = 32
_CHUNK = 1 << 14

Rows = tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.bool_]]
"""Ids and vectors of a segment, and which of them live."""


def build(parts: Sequence[Rows], dim: int, budget_bytes: int) -> IvfIndex:
    """Train and fill an index.

    Args:
        parts: The archive's rows.
        dim: Length of a vector.
        budget_bytes: Memory for each vector.
    """
    total = len_of(parts)
    lists = max(1, int(_LISTS * np.sqrt(total)))
    dims = max(min(dim, _LEAST_DIMS), min(dim, 2 * (budget_bytes - _NOT_CODES)))
    sample = _sample(parts, min(1.0, _TRAIN_PER_LIST * lists / total))
    projection = _projection(sample, dims)
    spec = f"IVF{lists},PQ{dims}x4fs"
    # L2 to train and assign, so that centres are means; searches score them by the dot product (`IvfIndex`).
    quantizer = _faiss.IndexFlatL2(dims)
    ivf = _faiss.IndexIVFPQFastScan(quantizer, dims, lists, dims, 4, _faiss.METRIC_INNER_PRODUCT, 32)
    ivf.by_residual, ivf.own_fields = True, True
    quantizer.this.disown()
    ivf.cp.spherical, ivf.cp.niter, ivf.cp.min_points_per_centroid = False, _ROUNDS, 1
    ivf.pq.cp.min_points_per_centroid, ivf.pq.cp.max_points_per_centroid = 1, _TRAIN_PER_LEVEL
    ivf.pq.cp.niter = _CODE_ROUNDS
    short = np.ascontiguousarray(sample @ projection.T)
    del sample
    with clustering_on_gpu(ivf, dims):
        ivf.train(short)
    spread = _spread(short, ivf.quantizer, lists)
    linear = _faiss.LinearTransform(dim, dims, False)
    _faiss.copy_array_to_vector(projection.ravel(), linear.A)
    linear.is_trained = True
    index = _faiss.IndexPreTransform(linear, ivf)
    index.own_fields = True
    linear.this.disown()
    ivf.this.disown()
    kept = f"PCA{dims}," if dims < dim else ""
    first = int(parts[0][0][0])
    return fill(IvfIndex(index, first, first - 1, spread, (), {"index": kept + spec}), parts)


def fill(index: IvfIndex, parts: Sequence[Rows]) -> IvfIndex:
    """Add the rows that an index does not hold yet; a trained index takes them as they come."""
    before = index.up_to
    for ids, values in chunks(parts, after=before):
        index.faiss_index.add_with_ids(values, ids - index.first_id)
    # Made again: what it knows of its lists is from before.
    filled = replace(index, up_to=max(before, int(parts[-1][0][-1])))
    return replace(filled, apart=_kept_apart(filled, parts, before))


def _kept_apart(index: IvfIndex, parts: Sequence[Rows], before: int) -> Apart:
    """Return the rows kept apart and those that join them: of rows after an id, or of all where none was looked at."""
    known = index.apart or Apart.empty(parts[0][1].shape[1])
    lists = index.list_of()
    looked: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    for ids, values in chunks(parts, after=-1 if known.floor is None else before):
        held = lists[ids - index.first_id] >= 0
        looked.append((ids[held], index.distances(ids[held], values[held], lists)))
    if not looked:
        return known
    seen_ids, distances = (np.concatenate(part) for part in zip(*looked, strict=True))
    far, floor = far_rows(distances, known)
    chosen = seen_ids[far]
    rows = [rows[np.isin(ids, chosen)] for ids, rows, _ in parts]
    return Apart(np.concatenate([known.ids, chosen]), np.concatenate([known.rows, *rows]), floor)


def len_of(parts: Sequence[Rows]) -> int:
    """Return how many rows live."""
    return sum(int(np.count_nonzero(alive)) for _, _, alive in parts)


def chunks(parts: Sequence[Rows], *, after: int = -1) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield ids and float32 vectors of the rows that live, portion by portion; each is valid until the next."""
    buffer = np.empty((_CHUNK, parts[0][1].shape[1]), np.float32)
    for ids, rows, alive in parts:
        chosen = np.flatnonzero(alive & (ids > after))
        for start in range(0, len(chosen), _CHUNK):
            own = chosen[start : start + _CHUNK]
            values = buffer[: len(own)]
            # Into pages that are there already: twice as quick as a new array for each portion.
            np.copyto(values, rows[own[0] : own[-1] + 1] if own[-1] - own[0] + 1 == len(own) else rows[own])
            yield ids[own], values


def _projection(sample: NDArray[np.float32], dims: int) -> NDArray[np.float32]:
    """Return the map to the directions of largest second moment, turned at random, shape (dims, dim)."""
    moments = sample.T @ sample
    _, vectors = np.linalg.eigh(moments.astype(np.float64))
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dims, dims)))
    return np.ascontiguousarray(turn @ vectors[:, ::-1].T[:dims], np.float32)


def _spread(short: NDArray[np.float32], quantizer: Any, lists: int) -> NDArray[np.float32]:
    """Return how far the rows of each list lie from its centre along one direction, root mean square, shape (lists,).

    The mean of all lists counts as one more row of each, so that a list of one row is not taken for a point.
    """
    distances, nearest = quantizer.search(short, 1)
    squares = np.bincount(nearest[:, 0], distances[:, 0], lists) + distances.mean()
    counts = np.bincount(nearest[:, 0], minlength=lists) + 1
    return np.asarray(np.sqrt(squares / counts / short.shape[1]), np.float32)


def held_out(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which tiles are never trained with, so that recall can be measured with them, shape (n,).

    Rows that helped to place the centres lie closer to them than new images do.
    """
    # Multiplied by the golden ratio, neighbouring ids fall far apart.
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
    kept_out: NDArray[np.bool_] = mixed % np.uint64(_HELD_OUT) == 0
    return kept_out


def _sample(parts: Sequence[Rows], share: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            rows[np.flatnonzero(alive & ~held_out(ids) & (rng.random(len(rows)) < share))].astype(np.float32)
            for ids, rows, alive in parts
        ]
    )
