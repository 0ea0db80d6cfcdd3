"""Decides for each query which lists of an index may still contain a hit, based on the lists visited so far.

The scores of a list's rows are modelled by a Laplace distribution around the score of the list's centre. Its width is
the spread of the rows times a scale that depends on the query: the neighbours of an image are concentrated in a few
lists, those of a sentence or a random direction are in the tails of many. The scale is fitted so that the model expects
as many good rows in the visited lists as were found there. Then the share of true neighbours in unvisited lists is
nearly the same function of the expected number for every kind of query (docs/decisions/0014-when-a-search-stops.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Range of the fitted scale, and steps of the fit, for a precision of 1%. Fits of all kinds of queries gave 0.6 to 3.7.
_LEAST, _MOST, _STEPS = 0.4, 8.0, 9
# Scale without a fit: the measured spreads.
UNFITTED = 1.0
# Minimum spread, because a list of equal rows has none: a few units in the last place of float32.
_NARROWEST = 1e-6
# The first lists are chosen by the score of the centre plus this many spreads.
_FIRST_SPREADS = 2.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Model of the scores in the lists of an index for one query."""

    rows: NDArray[np.float32]
    """Approximate number of selected rows in each list, shape (lists,)."""
    centres: NDArray[np.float32]
    """Score of each list's centre, shape (lists,)."""
    spreads: NDArray[np.float32]
    """Standard deviation of the scores within each list, before scaling, shape (lists,)."""

    @classmethod
    def of(cls, rows: NDArray[np.float32], centres: NDArray[np.float32], spreads: NDArray[np.float32]) -> "Outlook":
        """Create an outlook with spreads above zero."""
        return cls(rows, centres, np.maximum(spreads, _NARROWEST))

    def first_lists(self, lists: int, rows: int) -> NDArray[np.int64]:
        """Return the likeliest lists: at least `least`, and more until they have enough selected rows."""
        order = np.argsort(-(self.centres + _FIRST_SPREADS * self.spreads))
        enough = int(np.searchsorted(np.cumsum(self.rows[order]), rows)) + 1
        return order[: max(lists, enough)]

    def scale(self, visited: NDArray[np.bool_], floor: float, count: int) -> float:
        """Return the scale at which the model expects as many rows above a score in the visited lists as were found.

        If there are far fewer than the model expects at any scale, e.g. if the centres score nearly as high, the
        visited lists provide no information about the tails of others.

        Args:
            visited: The visited lists, shape (lists,).
            floor: The score.
            count: Number of rows found above it.
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
        """Return the expected number of rows above a score in each list."""
        above = (floor - self.centres[unvisited]) / (self.spreads[unvisited] * np.float32(scale))
        return self.rows[unvisited] * upper_tail(above)

    def next_lists(self, visited: NDArray[np.bool_], floor: float, scale: float, accepted: float) -> NDArray[np.int64]:
        """Return the lists to visit so that the expected number of hits in the others is at most `accepted`.

        Args:
            visited: The lists visited so far, shape (lists,).
            floor: The score that a row must exceed to be a hit.
            scale: The fitted scale.
            accepted: The expected number of hits that may be missed.
        """
        unvisited = np.flatnonzero(~visited)
        missing = self.missing(unvisited, floor, scale)
        if float(missing.sum()) <= accepted:
            return unvisited[:0]
        order = np.argsort(-missing)
        left = np.cumsum(missing[order][::-1])[::-1]
        return unvisited[order[: int(np.count_nonzero(left > accepted))]]


def upper_tail(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of a Laplace distribution with variance 1 above each value.

    Its tail is heavier than that of a normal distribution. With a normal distribution, the tolerances needed for
    different kinds of queries differed by factors of up to 45; with this one, by 2 to 4.
    """
    beyond = np.float32(0.5) * np.exp(-np.minimum(np.abs(values), np.float32(60)) * np.float32(2**0.5))
    return np.where(values >= 0, beyond, 1 - beyond).astype(np.float32)
