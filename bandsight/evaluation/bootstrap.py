"""Confidence intervals by the bootstrap: how far a figure depends on which images were in the data set."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

_RESAMPLES = 1000
_LEVEL = 95.0
# Of a chunk of resamples × items, so that large sets stay within some 100 MB.
_CELLS = 25_000_000


class Bootstrap:
    """Resamples of n images, drawn with replacement; the same in every run.

    What a figure is asked of stays the same, e.g. the gallery of a retrieval; only the images that are counted vary.
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        """Draw the resamples.

        Args:
            n: How many images there are.
            seed: Of the random numbers.
        """
        rng = np.random.default_rng(seed)
        self.counts: NDArray[np.float32] = rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES).astype(np.float32)
        """How often each resample holds each image, shape (resamples, n)."""

    def mean(self, values: Any, sizes: Any = None) -> NDArray[np.float64]:
        """Return the mean of each resample, shape (resamples,).

        Args:
            values: Of the images, shape (n,): each one's value, or its sum where it has several.
            sizes: How many values each image has, shape (n,); one when None.
        """
        sums = self.counts @ np.asarray(values, np.float64)
        weights = self.counts @ (np.ones(self.counts.shape[1]) if sizes is None else np.asarray(sizes, np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums / weights, np.float64)

    def precision_at(self, scores: NDArray[np.float32], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
        """Return the share of relevant images among the k best of each resample, shape (resamples,).

        Args:
            scores: Of the images, shape (n,).
            relevant: Same shape.
            k: How many count, at least 1.
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

    Resamples that have no value, e.g. because they lack the class, are left out; None where all do.
    """
    known = figures[np.isfinite(figures)]
    if not len(known):
        return None
    low, high = np.percentile(known, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return (round(float(low), places), round(float(high), places))
