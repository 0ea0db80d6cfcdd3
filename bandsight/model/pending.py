"""Embeddings that a model may still be computing."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class PendingEmbeddings(Protocol):
    """Embeddings that a device computes in the background, similar to a `concurrent.futures.Future`."""

    def done(self) -> bool:
        """Return whether `result` returns immediately."""

    def result(self) -> NDArray[np.float32]:
        """Wait for the vectors and return them, shape (n, dim), row i for tile i."""

    def cells(self) -> NDArray[np.float32] | None:
        """Wait for the vectors of cells and return them, shape (n, cells, cells, dim); None where none were asked."""

    def seconds(self) -> float:
        """Wait for the vectors and return the compute time of the device."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Embeddings that are already computed."""

    vectors: NDArray[np.float32]
    """Shape (n, dim)."""
    took_s: float = 0.0
    """Compute time, seconds."""
    parts: NDArray[np.float32] | None = None
    """Of the cells, shape (n, cells, cells, dim); None where none were asked."""

    def done(self) -> bool:
        """Return True."""
        return True

    def result(self) -> NDArray[np.float32]:
        """Return the vectors."""
        return self.vectors

    def cells(self) -> NDArray[np.float32] | None:
        """Return the vectors of the cells."""
        return self.parts

    def seconds(self) -> float:
        """Return the compute time."""
        return self.took_s
