"""Vectors between the moment when a model is given a batch, and the moment when they are there."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class PendingEmbeddings(Protocol):
    """Vectors that a device is at work on; the caller goes on meanwhile."""

    def done(self) -> bool:
        """Say whether `result` returns at once."""

    def result(self) -> NDArray[np.float32]:
        """Wait for the vectors, shape (n, dim), row i for tile i."""

    def seconds(self) -> float:
        """Wait, and return how long the device was at work."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Vectors that are there already."""

    vectors: NDArray[np.float32]
    """Shape (n, dim)."""
    took_s: float = 0.0
    """How long they have taken, seconds."""

    def done(self) -> bool:
        """Say yes."""
        return True

    def result(self) -> NDArray[np.float32]:
        """Return them."""
        return self.vectors

    def seconds(self) -> float:
        """Return how long they have taken."""
        return self.took_s
