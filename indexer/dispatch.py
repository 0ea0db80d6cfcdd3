"""Which calls a distributed executor sends where: a queue for each lane, from which idle lanes steal."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from indexer.ray_worker import Call

# Sent together, tiles: large enough that sending costs nothing, small enough that little is done again after a crash.
_TILES_TOGETHER = 256
_CALLS_TOGETHER = 8
# A call that has ended so many workers is not tried again.
_ATTEMPTS = 3


@dataclass(slots=True, eq=False, kw_only=True)
class PendingCall:
    """A call that has no answer yet."""

    call: Call
    lane: int
    """Its queue."""
    tiles: int = 1
    """How much work it is."""
    future: "Future[Any]" = field(default_factory=Future)
    """What it will return."""
    attempts: int = 0
    """How often its worker was lost."""

    @property
    def exhausted(self) -> bool:
        """Whether it is not to be tried again."""
        return self.attempts >= _ATTEMPTS


class LaneQueues:
    """Calls that wait for a lane; not safe to share between threads.

    Reads of one lane share blocks of their scene, so they wait in its own queue. Other calls run anywhere.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes: list[deque[PendingCall]] = [deque() for _ in range(lanes)]
        self._anywhere: deque[PendingCall] = deque()

    def add(self, pending: PendingCall) -> None:
        """Let a call wait."""
        (self._lanes[pending.lane] if pending.call.embeds else self._anywhere).append(pending)

    def put_back(self, calls: Iterable[PendingCall]) -> None:
        """Let calls wait again, before all others."""
        for pending in reversed(list(calls)):
            (self._lanes[pending.lane] if pending.call.embeds else self._anywhere).appendleft(pending)

    def take_own(self, lane: int) -> list[PendingCall]:
        """Return the next calls for a lane that may run one after another, none where none wait."""
        if self._anywhere:
            share = -(-len(self._anywhere) // len(self._lanes))
            return _first(self._anywhere, min(share, _CALLS_TOGETHER))
        queue = self._lanes[lane]
        # Half of them: others can steal the rest.
        return _first(queue, -(-len(queue) // 2))

    def steal(self) -> list[PendingCall]:
        """Return calls for a lane that has none: the last ones of the longest queue, in order."""
        queue = max(self._lanes, key=len)
        taken: list[PendingCall] = []
        for _ in range(-(-len(queue) // 2)):
            if taken and (sum(one.tiles for one in taken) >= _TILES_TOGETHER or taken[0].attempts):
                break
            taken.insert(0, queue.pop())
        return taken

    def drain(self) -> list[PendingCall]:
        """Return all that wait, and forget them."""
        calls = [*self._anywhere, *(pending for queue in self._lanes for pending in queue)]
        self._anywhere.clear()
        for queue in self._lanes:
            queue.clear()
        return calls


def _first(queue: deque[PendingCall], most: int) -> list[PendingCall]:
    """Take calls from the front; one that a worker was lost with goes alone, for it may be the cause."""
    taken: list[PendingCall] = []
    while queue and len(taken) < most and sum(one.tiles for one in taken) < _TILES_TOGETHER:
        if taken and (taken[0].attempts or queue[0].attempts):
            break
        taken.append(queue.popleft())
    return taken
