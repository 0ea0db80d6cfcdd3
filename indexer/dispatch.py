"""Schedules the calls of a distributed executor: a queue for each lane, from which idle lanes steal."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from indexer.ray_worker import Call

# Maximum number of tiles sent together: enough to make the overhead negligible, but little to repeat after a crash.
_TILES_TOGETHER = 256
_CALLS_TOGETHER = 8
# A call that was lost with this many workers is not retried.
_ATTEMPTS = 3


@dataclass(slots=True, eq=False, kw_only=True)
class PendingCall:
    """A call without a result yet."""

    call: Call
    lane: int
    """Its queue."""
    tiles: int = 1
    """Amount of work, tiles."""
    future: "Future[Any]" = field(default_factory=Future)
    """Its future result."""
    attempts: int = 0
    """Number of times its worker was lost."""

    @property
    def exhausted(self) -> bool:
        """Whether it must not be retried."""
        return self.attempts >= _ATTEMPTS


class LaneQueues:
    """Calls waiting for a lane; not thread-safe.

    Reads of one lane share blocks of their scene, so each lane has its own queue. Other calls run anywhere.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes: list[deque[PendingCall]] = [deque() for _ in range(lanes)]
        self._anywhere: deque[PendingCall] = deque()

    def add(self, pending: PendingCall) -> None:
        """Add a call."""
        (self._lanes[pending.lane] if pending.call.embeds else self._anywhere).append(pending)

    def put_back(self, calls: Iterable[PendingCall]) -> None:
        """Add calls again, before all others."""
        for pending in reversed(list(calls)):
            (self._lanes[pending.lane] if pending.call.embeds else self._anywhere).appendleft(pending)

    def take_own(self, lane: int) -> list[PendingCall]:
        """Return the next calls for a lane, to run one after another; empty if none are waiting."""
        if self._anywhere:
            share = -(-len(self._anywhere) // len(self._lanes))
            return _first(self._anywhere, min(share, _CALLS_TOGETHER))
        queue = self._lanes[lane]
        # Half of them, so that others can steal the rest.
        return _first(queue, -(-len(queue) // 2))

    def steal(self) -> list[PendingCall]:
        """Return calls for an idle lane: the last ones of the longest queue, in order."""
        queue = max(self._lanes, key=len)
        taken: list[PendingCall] = []
        for _ in range(-(-len(queue) // 2)):
            if taken and (sum(one.tiles for one in taken) >= _TILES_TOGETHER or taken[0].attempts):
                break
            taken.insert(0, queue.pop())
        return taken

    def drain(self) -> list[PendingCall]:
        """Remove and return all waiting calls."""
        calls = [*self._anywhere, *(pending for queue in self._lanes for pending in queue)]
        self._anywhere.clear()
        for queue in self._lanes:
            queue.clear()
        return calls


def _first(queue: deque[PendingCall], most: int) -> list[PendingCall]:
    """Take calls from the front; a call that was lost with a worker is sent alone, because it may be the cause."""
    taken: list[PendingCall] = []
    while queue and len(taken) < most and sum(one.tiles for one in taken) < _TILES_TOGETHER:
        if taken and (taken[0].attempts or queue[0].attempts):
            break
        taken.append(queue.popleft())
    return taken
