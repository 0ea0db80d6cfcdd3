"""Builds the search index from an archive's vectors, and adds later ones.

Vectors are projected onto the principal directions of the archive (the eigenvectors of the second moments, which
preserve dot products best), rotated randomly so that all directions have equal variance, and encoded with 4 bits per
number relative to the centre of their list, the encoding that FAISS compares fastest by far.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.progress import report
from bandsight.vectors.local.apart import Apart, far_rows
from bandsight.vectors.local.gpu_faiss import clustering_on_gpu
from bandsight.vectors.local.ivf import IvfIndex

# Its type hints lack the constructors that the Python wrapper adds.
_faiss: Any = faiss
# Fewer rows than this are scanned exactly in a few milliseconds.
WORTH_IT = 100_000
# Memory budget per vector for codes, ids and attributes, bytes.
BUDGET_BYTES = 200
# Memory per vector without codes, bytes: ids (8), padding of lists to multiples of 32 rows (9), centres (5), columns
# used by filters (21), scenes of rows (5), and memory of a search (16 at a million rows: masks, candidates, code).
_NOT_CODES = 64
_LEAST_DIMS = 8
# Number of lists, as a multiple of the square root of the number of rows.
_LISTS = 4
_TRAIN_PER_LIST, _ROUNDS = 40, 6
# Training rows per each of the 16 levels of a number, and iterations, for training codes.
_TRAIN_PER_LEVEL, _CODE_ROUNDS = 128, 8
# One in this many rows is excluded from training.
_HELD_OUT = 32
_CHUNK = 1 << 14

Rows = tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.bool_]]
"""Ids and vectors of a segment, and whether each row's scene exists."""


def build(parts: Sequence[Rows], dim: int, budget_bytes: int) -> IvfIndex:
    """Train and fill an index.

    Args:
        parts: The archive's rows.
        dim: Length of a vector.
        budget_bytes: Memory per vector.
    """
    total = len_of(parts)
    lists = max(1, int(_LISTS * np.sqrt(total)))
    dims = max(min(dim, _LEAST_DIMS), min(dim, 2 * (budget_bytes - _NOT_CODES)))
    sample = _sample(parts, min(1.0, _TRAIN_PER_LIST * lists / total))
    projection = _projection(sample, dims)
    spec = f"IVF{lists},PQ{dims}x4fs"
    # L2 for training and assignment, so that centres are means; searches score centres by dot product (`IvfIndex`).
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
    """Add missing rows to an index, without training it again."""
    before = index.up_to
    total, done = len_of(parts), 0
    for ids, values in chunks(parts, after=before):
        index.faiss_index.add_with_ids(values, ids - index.first_id)
        done += len(ids)
        report(done / total)
    # Created again, because its statistics of the lists are outdated.
    filled = replace(index, up_to=max(before, int(parts[-1][0][-1])))
    return replace(filled, apart=_kept_apart(filled, parts, before))


def _kept_apart(index: IvfIndex, parts: Sequence[Rows], before: int) -> Apart:
    """Return the outliers with new ones added: from rows after an id, or from all rows if none were checked before."""
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
    """Return the number of rows whose scene exists."""
    return sum(int(np.count_nonzero(alive)) for _, _, alive in parts)


def chunks(parts: Sequence[Rows], *, after: int = -1) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield ids and float32 vectors of the rows whose scene exists, in chunks; each is valid until the next one."""
    buffer = np.empty((_CHUNK, parts[0][1].shape[1]), np.float32)
    for ids, rows, alive in parts:
        chosen = np.flatnonzero(alive & (ids > after))
        for start in range(0, len(chosen), _CHUNK):
            own = chosen[start : start + _CHUNK]
            values = buffer[: len(own)]
            # Reuse the buffer, which is twice as fast as a new array for each chunk.
            np.copyto(values, rows[own[0] : own[-1] + 1] if own[-1] - own[0] + 1 == len(own) else rows[own])
            yield ids[own], values


def _projection(sample: NDArray[np.float32], dims: int) -> NDArray[np.float32]:
    """Return the projection onto the directions of largest second moment, rotated randomly, shape (dims, dim)."""
    moments = sample.T @ sample
    _, vectors = np.linalg.eigh(moments.astype(np.float64))
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dims, dims)))
    return np.ascontiguousarray(turn @ vectors[:, ::-1].T[:dims], np.float32)


def _spread(short: NDArray[np.float32], quantizer: Any, lists: int) -> NDArray[np.float32]:
    """Return the root mean square distance of each list's rows from its centre along one direction, shape (lists,).

    The mean over all lists counts as one more row of each, so that the spread of a list with one row is not 0.
    """
    distances, nearest = quantizer.search(short, 1)
    squares = np.bincount(nearest[:, 0], distances[:, 0], lists) + distances.mean()
    counts = np.bincount(nearest[:, 0], minlength=lists) + 1
    return np.asarray(np.sqrt(squares / counts / short.shape[1]), np.float32)


def held_out(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which tiles are excluded from training, so that recall can be measured with them, shape (n,).

    Rows used in training are closer to the centres than new images are.
    """
    # Multiplication by the golden ratio spreads neighbouring ids.
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
