"""Lays out vectors in two dimensions: a sample by UMAP, all others next to their nearest neighbours in the sample."""

import warnings

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import needs_extra

Floats = NDArray[np.float32]

NEAREST = 5
"""Number of neighbours in the sample that determine the position of a vector."""
# Neighbours in UMAP's graph, and epochs of its optimisation: its defaults for this size.
_NEIGHBOURS, _EPOCHS = 15, 200
# Fewer vectors have no meaningful neighbourhoods; their two principal components are used instead.
_LEAST = 3 * _NEIGHBOURS
# Rows compared with the sample at a time: 1024 × 10,000 × 4 bytes = 40 MB.
_BLOCK = 1024
_SMALL = 1e-6


def lay_out(vectors: Floats, seed: int = 0) -> Floats:
    """Return a position for each vector, near those of similar vectors, in the square from -1 to 1.

    The same vectors and seed give the same positions.

    Args:
        vectors: Unit vectors, shape (n, dim).
        seed: Seed of the random number generator.

    Returns:
        Positions, shape (n, 2).

    Raises:
        BandsightError: umap-learn is not installed.
    """
    if len(vectors) < _LEAST:
        return _scaled(_principal(vectors))
    with needs_extra("atlas", "laying out the atlas"), warnings.catch_warnings():
        # UMAP warns about two deliberate choices: one thread because of the seed, and no index for later transforms.
        warnings.simplefilter("ignore")
        from umap import UMAP

        found, cosines = nearest(vectors, vectors, _NEIGHBOURS)
        graph = (found.astype(np.int32), np.maximum(1 - cosines, 0))
        reducer = UMAP(
            n_neighbors=_NEIGHBOURS,
            metric="cosine",
            precomputed_knn=graph,
            n_epochs=_EPOCHS,
            init=_scaled(_principal(vectors)) * 10,
            random_state=seed,
            n_jobs=1,
        )
        made = reducer.fit_transform(vectors)
    return _scaled(np.asarray(made, np.float32))


def nearest(rows: Floats, sample: Floats, count: int = NEAREST) -> tuple[NDArray[np.int64], Floats]:
    """Return the nearest vectors of a sample for each row, by exact comparison.

    Args:
        rows: Unit vectors, shape (n, dim).
        sample: Unit vectors, shape (m, dim).
        count: Number of neighbours; fewer if the sample is smaller.

    Returns:
        Their indices in the sample and their cosines, both of shape (n, min(count, m)), nearest first.
    """
    count = min(count, len(sample))
    found, cosines = np.empty((len(rows), count), np.int64), np.empty((len(rows), count), np.float32)
    for start in range(0, len(rows), _BLOCK):
        values = rows[start : start + _BLOCK] @ sample.T
        best = np.argpartition(-values, count - 1, axis=1)[:, :count]
        own = np.take_along_axis(values, best, 1)
        order = np.argsort(-own, axis=1, kind="stable")
        found[start : start + _BLOCK] = np.take_along_axis(best, order, 1)
        cosines[start : start + _BLOCK] = np.take_along_axis(own, order, 1)
    return found, cosines


def place(found: NDArray[np.int64], cosines: Floats, points: Floats) -> Floats:
    """Return the positions of vectors: the mean of their neighbours in the sample, weighted by similarity.

    Args:
        found: Nearest neighbours in the sample, shape (n, k), nearest first.
        cosines: Cosines with these, shape (n, k).
        points: Positions of the sample, shape (m, 2).

    Returns:
        Positions, shape (n, 2).
    """
    distance = np.maximum(1 - cosines, 0)
    beyond = distance - distance[:, :1]
    # As in UMAP's graph, the nearest one has full weight, and weights decrease with the additional distance.
    weight = np.exp(-beyond / np.maximum(beyond.mean(axis=1, keepdims=True), _SMALL))
    # Vectors of the sample keep their positions.
    weight[distance[:, 0] < _SMALL, 1:] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray((points[found] * weight[:, :, None]).sum(axis=1), np.float32)


def _principal(vectors: Floats) -> Floats:
    """Return the first two principal components, shape (n, 2); zeros if there are fewer."""
    centred = vectors - vectors.mean(axis=0)
    # The signs of singular vectors are arbitrary, so make the largest weight of each positive.
    _, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    made = np.zeros((len(vectors), 2), np.float32)
    made[:, : axes.shape[1]] = centred @ axes.astype(np.float32)
    return made


def _scaled(points: Floats) -> Floats:
    """Centre points and scale them to the square from -1 to 1, with the same scale on both axes."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - (low + high) / 2) / max(float((high - low).max()) / 2, _SMALL), np.float32)
