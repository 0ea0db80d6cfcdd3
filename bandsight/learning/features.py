"""The feature space of classifiers: vectors whitened by the archive's mean and covariance."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Shrinkage: fraction of the largest variance added to all variances, to avoid amplifying noise. Tuned in
# bench/labels.py.
_SHRINKAGE = 0.1
_SMALL = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSpace:
    """A linear map of vectors: centred, and scaled by the archive's variance in each direction.

    Vectors of one archive are close together, and a few directions, such as season or sensor, vary far more than those
    that distinguish classes. With equal variance in all directions, fewer labels suffice.
    """

    mean: Floats
    """Mean of the archive's vectors, shape (dim,)."""
    forward: Floats
    """Symmetric matrix from centred vectors to features, shape (dim, dim)."""
    backward: Floats
    """Its inverse."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Self:
        """Estimate the feature space of an archive.

        Args:
            vectors: Vectors of randomly drawn tiles, shape (n, dim), at least one.
        """
        rows = vectors.astype(np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        variance, directions = np.linalg.eigh(centred.T @ centred / len(rows))
        variance = np.maximum(variance, 0) + _SHRINKAGE * variance.max() + _SMALL
        # Normalise features to a mean square length of 1, so that one penalty suits any model.
        size = np.sqrt(np.maximum((centred @ directions) ** 2 / variance, 0).sum(axis=1).mean()) or 1.0
        scale = 1 / (np.sqrt(variance) * max(size, _SMALL))
        return cls(mean=mean, forward=(directions * scale) @ directions.T, backward=(directions / scale) @ directions.T)

    def features(self, vectors: NDArray[np.float32]) -> Floats:
        """Return the features of vectors, both of shape (n, dim)."""
        return np.asarray((vectors.astype(np.float64) - self.mean) @ self.forward, np.float64)

    def direction(self, vectors: NDArray[np.float32]) -> Floats:
        """Return weights that rank features like the cosine with a vector ranks vectors; both of shape (…, dim)."""
        return np.asarray(vectors.astype(np.float64) @ self.backward, np.float64)

    def on_vectors(self, weights: Floats, bias: float) -> tuple[Floats, float]:
        """Convert weights and bias for features to equivalent ones for raw vectors."""
        raw = self.forward @ weights
        return raw, float(bias - raw @ self.mean)
