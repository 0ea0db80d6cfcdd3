"""The recall that users get: one search in so many is repeated exactly, in the background, and compared."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bandsight.errors import BandsightError
from bandsight.vectors.scores import Ranked

# Hits of a search that are compared, and the last comparisons that the mean is of.
_MOST_HITS, _LAST = 100, 1000
# Scores of the same row, summed in another order, differ by less.
_EQUAL = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRecall:
    """What the comparisons found."""

    queries: int
    """Searches compared since the start."""
    recall: float | None
    """Mean share of the true hits that were found, of the last searches compared; None before the first."""
    lowest: float | None
    """The least of them."""


class RecallCheck:
    """Repeats one search in so many; safe to share between threads. At most one repetition is under way."""

    def __init__(self, every: int, keep: Callable[[MeasuredRecall], None] | None = None) -> None:
        """Prepare.

        Args:
            every: Compare one search in so many; none when 0.
            keep: Told of what has been found so far, after each comparison.
        """
        self._every, self._keep = every, keep
        self._searches, self._queries = 0, 0
        self._shares: deque[float] = deque(maxlen=_LAST)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, found: Ranked, repeat: Callable[[int], Ranked]) -> None:
        """Tell of a search; its hits are compared with those of an exact repetition when it is its turn.

        Args:
            found: Its hits, best first.
            repeat: Returns the so many best exactly, of the same state of the archive.
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
        """Wait for a comparison under way."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    @property
    def measured(self) -> MeasuredRecall:
        """What has been found so far."""
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
            # The state is gone: a tile of the search has been removed since.
            return
        # By score: of several equal tiles, any is as good as the others.
        share = float(np.count_nonzero(scores >= true[-1] - _EQUAL)) / len(true)
        with self._lock:
            self._queries += 1
            self._shares.append(min(1.0, share))
        if self._keep is not None:
            self._keep(self.measured)
