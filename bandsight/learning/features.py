"""The space in which classifiers are trained: the archive's own mean and spread taken out of its vectors."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Share of the greatest variance that is added to each, so that directions of noise are not blown up. Measured in
# bench/labels.py.
_SHRINKAGE = 0.1
_SMALL = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSpace:
    """A linear map of vectors: centred, and scaled by the spread of the archive in each direction.

    Vectors of one archive lie close together: a few directions, such as the season or the sensor, vary far more than
    those that tell a class. Few labels suffice where all directions vary about equally.
    """

    mean: Floats
    """Mean of the archive's vectors, shape (dim,)."""
    forward: Floats
    """Symmetric matrix from centred vectors to features, shape (dim, dim)."""
    backward: Floats
    """Its inverse."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Self:
        """Return the space of an archive.

        Args:
            vectors: Vectors of tiles drawn from it at random, shape (n, dim), at least one.
        """
        rows = vectors.astype(np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        variance, directions = np.linalg.eigh(centred.T @ centred / len(rows))
        variance = np.maximum(variance, 0) + _SHRINKAGE * variance.max() + _SMALL
        # Features of the archive have a mean square length of 1, so that one penalty suits any model.
        size = np.sqrt(np.maximum((centred @ directions) ** 2 / variance, 0).sum(axis=1).mean()) or 1.0
        scale = 1 / (np.sqrt(variance) * max(size, _SMALL))
        return cls(mean=mean, forward=(directions * scale) @ directions.T, backward=(directions / scale) @ directions.T)

    def features(self, vectors: NDArray[np.float32]) -> Floats:
        """Return the features of vectors, both of shape (n, dim)."""
        return np.asarray((vectors.astype(np.float64) - self.mean) @ self.forward, np.float64)

    def direction(self, vectors: NDArray[np.float32]) -> Floats:
        """Return the weights whose score orders features as the cosine with a vector orders vectors; both (…, dim)."""
        return np.asarray(vectors.astype(np.float64) @ self.backward, np.float64)

    def on_vectors(self, weights: Floats, bias: float) -> tuple[Floats, float]:
        """Return weights and bias for raw vectors that score as these do for features."""
        raw = self.forward @ weights
        return raw, float(bias - raw @ self.mean)
