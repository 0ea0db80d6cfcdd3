"""Decides, query by query, which lists of an index may still hold a hit, from what the lists visited so far held.

The scores of a list's rows are taken to follow a Laplace distribution: around its centre's score, as wide as its rows
are spread, times a scale. That scale depends on the query: an image's neighbours lie together in a few lists, a
sentence's or a random direction's lie in the tails of many. It is fitted on the lists visited: they must hold as many
good rows as were found there. With it, the share of the true neighbours that lie in the lists left out is nearly the
same function of the expected number for every kind of query (docs/decisions/0014-when-a-search-stops.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Scales that a fit can yield, and its steps: to 1%. Queries of every kind were fitted between 0.6 and 3.7.
_LEAST, _MOST, _STEPS = 0.4, 8.0, 9
# Without a fit: the spreads as they were measured.
UNFITTED = 1.0
# A list of equal rows has no spread; a few units in the last place of float32 keep the arithmetic finite.
_NARROWEST = 1e-6
# Lists are visited first by centre and so many spreads.
_FIRST_SPREADS = 2.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the lists of an index may hold for one query."""

    rows: NDArray[np.float32]
    """How many rows of each list count, about, shape (lists,)."""
    centres: NDArray[np.float32]
    """Score of each list's centre, shape (lists,)."""
    spreads: NDArray[np.float32]
    """Standard deviation of the scores within each list, before scaling, shape (lists,)."""

    @classmethod
    def of(cls, rows: NDArray[np.float32], centres: NDArray[np.float32], spreads: NDArray[np.float32]) -> "Outlook":
        """Return an outlook whose spreads are not zero."""
        return cls(rows, centres, np.maximum(spreads, _NARROWEST))

    def first_lists(self, lists: int, rows: int) -> NDArray[np.int64]:
        """Return at least so many lists, more until so many rows count, the likeliest first."""
        order = np.argsort(-(self.centres + _FIRST_SPREADS * self.spreads))
        enough = int(np.searchsorted(np.cumsum(self.rows[order]), rows)) + 1
        return order[: max(lists, enough)]

    def scale(self, visited: NDArray[np.bool_], floor: float, count: int) -> float:
        """Return the scale at which visited lists are expected to hold as many rows above a score as they do.

        Where they hold far fewer than at any scale, as where their centres score nearly as high, they tell nothing of
        the tails of others.

        Args:
            visited: Which lists those are, shape (lists,).
            floor: The score.
            count: How many rows above it were found.
        """
        rows = self.rows[visited]
        above = (floor - self.centres[visited]) / self.spreads[visited]
        if float(rows @ upper_tail(above / np.float32(_LEAST))) > count:
            return UNFITTED
        low, high = np.log(_LEAST), np.log(_MOST)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if float(rows @ upper_tail(above / np.float32(np.exp(middle)))) > count:
                high = middle
            else:
                low = middle
        return float(np.exp(high))

    def missing(self, unvisited: NDArray[np.int64], floor: float, scale: float) -> NDArray[np.float32]:
        """Return how many rows above a score each of some lists is expected to hold."""
        above = (floor - self.centres[unvisited]) / (self.spreads[unvisited] * np.float32(scale))
        return self.rows[unvisited] * upper_tail(above)

    def next_lists(self, visited: NDArray[np.bool_], floor: float, scale: float, accepted: float) -> NDArray[np.int64]:
        """Return the lists to visit so that those left out are expected to hold no more than accepted.

        Args:
            visited: Which lists have been visited, shape (lists,).
            floor: The score that a row must exceed to be a hit.
            scale: As fitted.
            accepted: The expected number of hits that may stay unseen.
        """
        unvisited = np.flatnonzero(~visited)
        missing = self.missing(unvisited, floor, scale)
        if float(missing.sum()) <= accepted:
            return unvisited[:0]
        order = np.argsort(-missing)
        left = np.cumsum(missing[order][::-1])[::-1]
        return unvisited[order[: int(np.count_nonzero(left > accepted))]]


def upper_tail(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of a Laplace distribution of variance 1 above each of some values.

    Its tail falls more slowly than that of a normal distribution. With a normal one, kinds of queries needed tolerances
    that differed up to 45 times; with this one, 2 to 4 times.
    """
    beyond = np.float32(0.5) * np.exp(-np.minimum(np.abs(values), np.float32(60)) * np.float32(2**0.5))
    return np.where(values >= 0, beyond, 1 - beyond).astype(np.float32)
