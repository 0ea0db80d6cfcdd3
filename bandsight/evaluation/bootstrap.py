"""Bootstrap confidence intervals over the images of a data set."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

_RESAMPLES = 1000
_LEVEL = 95.0
# Chunk size, resamples × items, to limit memory to about 100 MB.
_CELLS = 25_000_000


class Bootstrap:
    """Resamples of n images, drawn with replacement; deterministic.

    Only the evaluated images are resampled; the rest, e.g. the gallery of a retrieval, stays the same.
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        """Draw the resamples.

        Args:
            n: Number of images.
            seed: Seed of the random number generator.
        """
        rng = np.random.default_rng(seed)
        self.counts: NDArray[np.float32] = rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES).astype(np.float32)
        """How often each resample holds each image, shape (resamples, n)."""

    def mean(self, values: Any, sizes: Any = None) -> NDArray[np.float64]:
        """Return the mean of each resample, shape (resamples,).

        Args:
            values: Value of each image, or sum of its values if it has several, shape (n,).
            sizes: Number of values of each image, shape (n,); None means one each.
        """
        sums = self.counts @ np.asarray(values, np.float64)
        weights = self.counts @ (np.ones(self.counts.shape[1]) if sizes is None else np.asarray(sizes, np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums / weights, np.float64)

    def precision_at(self, scores: NDArray[np.float32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
        """Return precision at k for each resample, shape (resamples,).

        Args:
            scores: Score of each image, shape (n,).
            relevant: Whether each image is relevant, shape (n,).
            k: Number of top images, at least 1.
        """
        order = np.argsort(-scores, kind="stable")
        out = np.empty(len(self.counts), np.float64)
        step = max(1, _CELLS // max(1, len(order)))
        for start in range(0, len(self.counts), step):
            counts = self.counts[start : start + step, order]
            taken = np.minimum(np.cumsum(counts, axis=1), k)
            taken[:, 1:] -= taken[:, :-1].copy()
            out[start : start + step] = taken @ relevant[order] / k
        return out


def interval(figures: NDArray[np.float64], places: int = 2) -> Interval | None:
    """Return the 95% interval of a figure from its values in the resamples.

    Ignores resamples without a value, e.g. because they lack the class; returns None if none has one.
    """
    known = figures[np.isfinite(figures)]
    if not len(known):
        return None
    low, high = np.percentile(known, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return (round(float(low), places), round(float(high), places))
