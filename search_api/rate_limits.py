"""Limits per client: units of work per minute, requests per day, wrong keys per minute.

The numbers are in `Counters`, so that the limits hold for all workers of a server together.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from search_api.caller import Caller
from search_api.counters import Counters, Table

_MINUTE_S, _DAY_S = 60.0, 86_400.0
_MAX_WRONG_KEYS = 10
# A client with a recently valid key is not blocked by others' wrong keys from its address.
_KNOWN_S = 3600.0
# How often a worker records that a key is in use.
_REMEMBER_S = 60.0
_MAX_CLIENTS = 10_000
_ADDRESSES, _KEYS, _QUOTA, _WRONG, _KNOWN = range(5)


class RateLimit:
    """Token buckets: each client may spend a minute's units at once, and tokens refill steadily."""

    def __init__(self, table: Table, clock: Callable[[], float] = time.monotonic) -> None:
        self._table, self._clock = table, clock

    def spend(self, client: str, units: int, per_minute: int) -> int:
        """Take units from a client's bucket. Returns 0, or the seconds until it has enough.

        Args:
            client: Id of the client.
            units: Cost of the request.
            per_minute: Limit of the client.
        """
        now, cost = self._clock(), min(units, per_minute)

        def take(bucket: tuple[float, float] | None) -> tuple[float, float, int]:
            left, since = bucket or (float(per_minute), now)
            left = min(float(per_minute), left + max(0.0, now - since) * per_minute / _MINUTE_S)
            if left >= cost:
                return left - cost, now, 0
            return left, now, max(1, math.ceil((cost - left) * _MINUTE_S / per_minute))

        return self._table.change(client, take)


class Quota:
    """Counts the requests of each key in a day, UTC."""

    def __init__(self, table: Table, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = table, clock

    def spend(self, key: str, per_day: int) -> int:
        """Count a request. Returns 0, or the seconds until the next day if the quota is used up."""
        now = self._clock()
        day = float(now // _DAY_S)

        def count(counted: tuple[float, float] | None) -> tuple[float, float, int]:
            used = counted[0] if counted is not None and counted[1] == day else 0.0
            if used >= per_day:
                return used, day, max(1, math.ceil((day + 1) * _DAY_S - now))
            return used + 1, day, 0

        return self._table.change(key, count)


class WrongKeyLimit:
    """Counts wrong keys per address and minute; after ten, the address has to wait for the next minute.

    While an address waits, valid keys are rejected like wrong ones, so that guessing reveals nothing. Keys used
    successfully from there within the last hour still work.
    """

    def __init__(self, wrong: Table, known: Table, clock: Callable[[], float] = time.monotonic) -> None:
        self._wrong, self._known, self._clock = wrong, known, clock
        self._recorded: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Return the seconds until an address may try again; 0 for now."""
        count, since = self._wrong.get(address) or (0.0, 0.0)
        left = since + _MINUTE_S - self._clock()
        return max(1, math.ceil(left)) if count >= _MAX_WRONG_KEYS and left > 0 else 0

    def count(self, address: str) -> None:
        """Record a wrong key."""
        now = self._clock()

        def one_more(counted: tuple[float, float] | None) -> tuple[float, float, None]:
            if counted is None or now - counted[1] >= _MINUTE_S:
                return 1.0, now, None
            return counted[0] + 1, counted[1], None

        self._wrong.change(address, one_more)

    def remember(self, address: str, key_id: str) -> None:
        """Record that a key was valid at an address."""
        name, now = f"{address} {key_id}", self._clock()
        if now - self._recorded.get(name, -math.inf) < _REMEMBER_S:
            return
        self._known.change(name, lambda _: (now, now, None))
        self._recorded[name] = now
        self._recorded.move_to_end(name)
        if len(self._recorded) > _MAX_CLIENTS:
            self._recorded.popitem(last=False)

    def knows(self, address: str, key_id: str) -> bool:
        """Return whether a key was valid at an address within the last hour."""
        found = self._known.get(f"{address} {key_id}")
        return found is not None and self._clock() - found[0] < _KNOWN_S

    def clear(self) -> None:
        """Forget all wrong keys."""
        self._wrong.clear()


class Limits:
    """Usage and limits of all clients of a server."""

    def __init__(self, per_minute: int, counters: Counters | None = None, *, keys_of: str = "") -> None:
        """Initialize.

        Args:
            per_minute: Units of work per minute and address; 0 for no limit.
            counters: Memory for the numbers; None for memory of this process.
            keys_of: Archive of the keys, because keys of two archives may have the same name.
        """
        self.per_minute, self._keys_of, counters = per_minute, keys_of, counters or Counters()
        self._addresses, self._keys = RateLimit(Table(counters, _ADDRESSES)), RateLimit(Table(counters, _KEYS))
        self._quota = Quota(Table(counters, _QUOTA))
        self.wrong_keys = WrongKeyLimit(Table(counters, _WRONG), Table(counters, _KNOWN))

    def wait_s(self, caller: Caller, cost: int) -> tuple[int, str]:
        """Count a request. Returns the seconds until it is allowed (0 for now), and the limit that applies.

        Args:
            caller: The client.
            cost: Units of work.
        """
        if not cost:
            return 0, ""
        rate, own, quota = self.per_minute, caller.rate_per_minute, caller.quota_per_day
        if rate and (wait := self._addresses.spend(caller.address, cost, rate)):
            return wait, f"this server allows {rate:,} units of work per minute and address"
        key = f"{self._keys_of} {caller.key}"
        if caller.key and own and (wait := self._keys.spend(key, cost, own)):
            return wait, f"the key {caller.key} allows {own:,} units of work per minute"
        if caller.key and quota and (wait := self._quota.spend(key, quota)):
            return wait, f"the key {caller.key} allows {quota:,} requests per day"
        return 0, ""
