"""Admission control: slots per kind of work, a shared memory budget, and fair shares for clients."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from search_api.policies import Work

# Clients idle for longer do not count for fair shares.
_ACTIVE_S = 5.0
# Maximum number of clients that reduce each other's shares.
_MOST_SHARES = 64
# Maximum number of clients to remember.
_MAX_CLIENTS = 10_000


class OverloadedError(Exception):
    """A request is rejected because too many are waiting."""

    def __init__(self, message: str, *, retry_after_s: int, by_client: bool) -> None:
        """Initialize with the content of the response.

        Args:
            message: Message for the client.
            retry_after_s: Delay before a retry, seconds.
            by_client: Whether the client's own requests are the cause (429) rather than others' (503).
        """
        super().__init__(message)
        self.retry_after_s, self.by_client = retry_after_s, by_client


@dataclass(slots=True, eq=False)
class Ticket:
    """A running or waiting request."""

    work: Work
    client: str
    slot: bool = False
    """Whether it holds a slot."""
    memory: bool = False
    """Whether its memory is reserved."""
    turn: "asyncio.Future[None] | None" = None


@dataclass(slots=True)
class _Queue:
    work: Work
    running: int = 0
    by_client: dict[str, int] = field(default_factory=dict)
    waiting: OrderedDict[str, deque[Ticket]] = field(default_factory=OrderedDict)
    count: int = 0


class Admission:
    """Admits requests; all methods run on the event loop.

    A client may use all free slots while it is alone. Once others are active, each gets its share, and the client that
    has waited longest since its last turn is next. A request's memory is reserved before it starts, at the maximum for
    its kind of work.
    """

    def __init__(
        self,
        works: Iterable[Work],
        *,
        memory_bytes: int,
        max_waiting: int,
        max_waiting_per_client: int,
        max_wait_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty queue for each kind of work.

        Args:
            works: The kinds of work.
            memory_bytes: Memory budget of all running requests.
            max_waiting: Maximum number of waiting requests per kind of work.
            max_waiting_per_client: The same per client.
            max_wait_s: Maximum waiting time.
            clock: Returns the time, s.
        """
        self._queues = {work.name: _Queue(work) for work in works}
        self.memory_bytes, self.memory_used = memory_bytes, 0
        self._max_waiting, self._max_per_client, self._max_wait_s = max_waiting, max_waiting_per_client, max_wait_s
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    def waiting(self) -> dict[str, int]:
        """Return the number of waiting requests for each kind of work."""
        return {name: queue.count for name, queue in self._queues.items()}

    def running(self) -> dict[str, int]:
        """Return the number of running requests for each kind of work."""
        return {name: queue.running for name, queue in self._queues.items()}

    def enter_now(self, work: Work, client: str) -> Ticket | None:
        """Acquire a slot and memory if possible without waiting, or return None."""
        queue = self._queues[work.name]
        self._note(client)
        if queue.waiting.get(client) or not self._may_run(queue, client):
            return None
        ticket = Ticket(work, client)
        self._start(queue, ticket)
        return ticket

    async def enter(self, work: Work, client: str) -> Ticket:
        """Wait for a slot and memory; `leave` releases them.

        Raises:
            OverloadedError: Too many requests are waiting, or this one timed out.
        """
        at_once = self.enter_now(work, client)
        if at_once is not None:
            return at_once
        queue, ticket = self._queues[work.name], Ticket(work, client)
        self._check_room(queue, client)
        ticket.turn = asyncio.get_running_loop().create_future()
        queue.waiting.setdefault(client, deque()).append(ticket)
        queue.count += 1
        # Other clients may have become idle, which frees a slot.
        self._dispatch(queue)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await ticket.turn
        except BaseException as error:
            self._give_up(queue, ticket)
            if not isinstance(error, TimeoutError):
                raise
            raise OverloadedError(
                f"{work.name}: no free slot within {self._max_wait_s:g} s; the server is busy, try again later",
                retry_after_s=max(1, round(self._max_wait_s)),
                by_client=False,
            ) from None
        return ticket

    def end_work(self, ticket: Ticket) -> None:
        """Release the slot, because the response only has to be sent."""
        if not ticket.slot:
            return
        ticket.slot = False
        queue = self._queues[ticket.work.name]
        queue.running -= 1
        left = queue.by_client[ticket.client] - 1
        if left:
            queue.by_client[ticket.client] = left
        else:
            del queue.by_client[ticket.client]
        self._dispatch(queue)

    def leave(self, ticket: Ticket) -> None:
        """Release slot and memory."""
        if ticket.memory:
            ticket.memory = False
            self.memory_used -= ticket.work.memory_bytes
        self.end_work(ticket)
        for queue in self._queues.values():
            if queue.count:
                self._dispatch(queue)

    def _note(self, client: str) -> None:
        self._seen[client] = self._clock()
        self._seen.move_to_end(client)
        if len(self._seen) > _MAX_CLIENTS:
            self._seen.popitem(last=False)

    def _active(self) -> int:
        """Return the number of recently active clients."""
        since, count = self._clock() - _ACTIVE_S, 0
        for when in reversed(self._seen.values()):
            if when < since or count >= _MOST_SHARES:
                break
            count += 1
        return max(1, count)

    def _may_run(self, queue: _Queue, client: str) -> bool:
        work = queue.work
        if queue.running >= work.slots or self.memory_used + work.memory_bytes > self.memory_bytes:
            return False
        own = queue.by_client.get(client, 0)
        return own == 0 or own < max(1, work.slots // self._active())

    def _start(self, queue: _Queue, ticket: Ticket) -> None:
        queue.running += 1
        queue.by_client[ticket.client] = queue.by_client.get(ticket.client, 0) + 1
        self.memory_used += ticket.work.memory_bytes
        ticket.slot = ticket.memory = True

    def _check_room(self, queue: _Queue, client: str) -> None:
        own, name = len(queue.waiting.get(client, ())), queue.work.name
        if own >= self._max_per_client:
            raise OverloadedError(
                f"{name}: {own} of your requests are already waiting; wait for their responses before sending more",
                retry_after_s=2,
                by_client=True,
            )
        if queue.count >= self._max_waiting:
            raise OverloadedError(
                f"{name}: {queue.count} requests are already waiting; try again later",
                retry_after_s=max(1, round(self._max_wait_s)),
                by_client=False,
            )

    def _dispatch(self, queue: _Queue) -> None:
        """Start requests that may run, starting with the client whose last turn is longest ago."""
        started = True
        while started and queue.waiting:
            started = False
            for client in list(queue.waiting):
                if self._may_run(queue, client):
                    self._start_next(queue, client)
                    started = True

    def _start_next(self, queue: _Queue, client: str) -> None:
        tickets = queue.waiting[client]
        ticket = tickets.popleft()
        queue.count -= 1
        if tickets:
            queue.waiting.move_to_end(client)
        else:
            del queue.waiting[client]
        if ticket.turn is not None and not ticket.turn.done():
            self._start(queue, ticket)
            ticket.turn.set_result(None)

    def _give_up(self, queue: _Queue, ticket: Ticket) -> None:
        """Release the turn of an abandoned request."""
        if ticket.slot:
            self.leave(ticket)
            return
        tickets = queue.waiting.get(ticket.client)
        if tickets is None or ticket not in tickets:
            return
        tickets.remove(ticket)
        queue.count -= 1
        if not tickets:
            del queue.waiting[ticket.client]
