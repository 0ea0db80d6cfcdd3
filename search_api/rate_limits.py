"""Limits per client: units of work per minute, requests per day, wrong keys per minute."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

_MINUTE_S, _DAY_S = 60.0, 86_400.0
_MAX_CLIENTS = 10_000
_MAX_WRONG_KEYS = 10
# A client with a recently valid key is not blocked by others' wrong keys from its address.
_KNOWN_S = 3600.0


class RateLimit:
    """Token buckets: each client may spend a minute's units at once, and tokens refill steadily."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, client: str, units: int, per_minute: int) -> int:
        """Take units from a client's bucket. Returns 0, or the seconds until it has enough.

        Args:
            client: Id of the client.
            units: Cost of the request.
            per_minute: Limit of the client.
        """
        now = self._clock()
        left, since = self._buckets.get(client, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / _MINUTE_S)
        units = min(units, per_minute)
        enough = left >= units
        self._buckets[client] = (left - units if enough else left), now
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if enough else max(1, math.ceil((units - left) * _MINUTE_S / per_minute))


class Quota:
    """Counts the requests of each key in a day, UTC."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._day = clock, 0
        self._used: dict[str, int] = {}

    def spend(self, key: str, per_day: int) -> int:
        """Count a request. Returns 0, or the seconds until the next day if the quota is used up."""
        now = self._clock()
        day = int(now // _DAY_S)
        if day != self._day:
            self._day, self._used = day, {}
        used = self._used.get(key, 0)
        if used >= per_day:
            return max(1, math.ceil((day + 1) * _DAY_S - now))
        self._used[key] = used + 1
        return 0


class WrongKeyLimit:
    """Counts wrong keys per address in the last minute; after ten, the address has to wait.

    While an address waits, valid keys are rejected like wrong ones, so that guessing reveals nothing. Keys used
    successfully from there within the last hour still work.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Return the seconds until an address may try again; 0 for now."""
        times = self._wrong.get(address)
        if times is None:
            return 0
        since = self._clock() - _MINUTE_S
        while times and times[0] <= since:
            times.popleft()
        return math.ceil(times[0] - since) if len(times) >= _MAX_WRONG_KEYS else 0

    def count(self, address: str) -> None:
        """Record a wrong key."""
        self._wrong.setdefault(address, deque(maxlen=_MAX_WRONG_KEYS)).append(self._clock())
        self._wrong.move_to_end(address)
        if len(self._wrong) > _MAX_CLIENTS:
            self._wrong.popitem(last=False)

    def remember(self, address: str, key_id: str) -> None:
        """Record that a key was valid at an address."""
        self._known[address, key_id] = self._clock()
        self._known.move_to_end((address, key_id))
        if len(self._known) > _MAX_CLIENTS:
            self._known.popitem(last=False)

    def knows(self, address: str, key_id: str) -> bool:
        """Return whether a key was valid at an address within the last hour."""
        return self._clock() - self._known.get((address, key_id), -math.inf) < _KNOWN_S
