"""Diversity of results by maximal marginal relevance (Carbonell and Goldstein 1998)."""

import numpy as np
from numpy.typing import NDArray


def mmr(vectors: NDArray[np.float32], scores: NDArray[np.float32], k: int, diversity: float) -> list[int]:
    """Return the positions of k candidates by maximal marginal relevance.

    A candidate's gain is (1 - diversity) × score - diversity × its highest cosine with those already selected.
    """
    left = list(range(len(scores)))
    nearest = np.zeros(len(scores), np.float32)
    taken: list[int] = []
    while left and len(taken) < k:
        gains = (1 - diversity) * scores[left] - diversity * nearest[left]
        best = left.pop(int(np.argmax(gains)))
        similarities = vectors @ vectors[best]
        nearest = similarities if not taken else np.maximum(nearest, similarities)
        taken.append(best)
    return taken
