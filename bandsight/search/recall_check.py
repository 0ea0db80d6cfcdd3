"""Measures recall in production: repeats a fraction of searches exactly, in the background, and compares."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bandsight.errors import BandsightError
from bandsight.vectors.scores import Ranked

# Maximum number of hits compared per search, and number of comparisons averaged.
_MOST_HITS, _LAST = 100, 1000
# Tolerance for scores of the same row summed in another order.
_EQUAL = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRecall:
    """Recall measured by the comparisons."""

    queries: int
    """Number of searches compared since the start."""
    recall: float | None
    """Mean recall of the last searches compared, 0..1; None before the first."""
    lowest: float | None
    """Lowest recall among them."""


class RecallCheck:
    """Repeats every n-th search exactly, one at a time; thread-safe."""

    def __init__(self, every: int, keep: Callable[[MeasuredRecall], None] | None = None) -> None:
        """Initialize.

        Args:
            every: Compare every n-th search; 0 for none.
            keep: Called with the measured recall after each comparison.
        """
        self._every, self._keep = every, keep
        self._searches, self._queries = 0, 0
        self._shares: deque[float] = deque(maxlen=_LAST)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, found: Ranked, repeat: Callable[[int], Ranked]) -> None:
        """Report a search; if it is its turn, its hits are compared with those of an exact search.

        Args:
            found: Its hits, best first.
            repeat: Returns the given number of best hits exactly, from the same state of the archive.
        """
        with self._lock:
            self._searches += 1
            busy = self._thread is not None and self._thread.is_alive()
            if not self._every or self._searches % self._every or busy or not len(found[0]):
                return
            self._thread = threading.Thread(
                target=self._compare, args=(found, repeat), name="bandsight-recall", daemon=True
            )
            self._thread.start()

    def wait(self) -> None:
        """Wait for a running comparison."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    @property
    def measured(self) -> MeasuredRecall:
        """Recall measured so far."""
        with self._lock:
            shares = list(self._shares)
            return MeasuredRecall(
                queries=self._queries,
                recall=round(float(np.mean(shares)), 4) if shares else None,
                lowest=round(min(shares), 4) if shares else None,
            )

    def _compare(self, found: Ranked, repeat: Callable[[int], Ranked]) -> None:
        scores = found[1][:_MOST_HITS]
        try:
            true = repeat(len(scores))[1]
        except BandsightError:
            # The state is gone: a tile of the search was removed.
            return
        # Compare scores, because tiles with equal scores are interchangeable.
        share = float(np.count_nonzero(scores >= true[-1] - _EQUAL)) / len(true)
        with self._lock:
            self._queries += 1
            self._shares.append(min(1.0, share))
        if self._keep is not None:
            self._keep(self.measured)
