"""Session cookies of browsers, which replace the key, and a limit on wrong keys."""

import hashlib
import hmac
import math
import secrets
import time
from collections import deque
from collections.abc import Callable

SESSION_DAYS = 30
"""Days until a browser has to sign in again."""
SESSION_S = SESSION_DAYS * 86_400
# Keys have at least 16 characters, so this limit is against noise rather than against guessing.
_MAX_WRONG_KEYS = 10
_WRONG_KEYS_WINDOW_S = 60.0
# Addresses whose wrong keys are remembered.
_MAX_ADDRESSES = 10_000


class Sessions:
    """Issues and checks session cookies. They are signed with the key, so a new key ends all sessions."""

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key.encode(), clock
        # Browsers share the cookies of a host between its ports, and two servers on one host may have different keys.
        self.cookie = f"bandsight-{self._sign('name')[:8]}"
        """Name of the cookie."""

    def is_key(self, found: bytes) -> bool:
        """Return whether a client's key is this server's, in constant time."""
        return secrets.compare_digest(found, self._key)

    def issue(self) -> str:
        """Return the value of a new cookie: when it expires, and a signature."""
        expires = str(math.ceil(self._clock()) + SESSION_S)
        return f"{expires}.{self._sign(expires)}"

    def is_session(self, cookie: str | None) -> bool:
        """Return whether a cookie is from this server and has not expired."""
        expires, _, signature = (cookie or "").partition(".")
        if not secrets.compare_digest(signature.encode(), self._sign(expires).encode()):
            return False
        return int(expires) > self._clock()

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, f"bandsight session {text}".encode(), hashlib.sha256).hexdigest()


class WrongKeyLimit:
    """Counts the wrong keys of each client address in the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}

    def wait_s(self, address: str) -> int:
        """Return for how many seconds an address may not try again; 0 when it may."""
        times = self._wrong.get(address, deque())
        since = self._clock() - _WRONG_KEYS_WINDOW_S
        while times and times[0] <= since:
            times.popleft()
        return math.ceil(times[0] - since) if len(times) >= _MAX_WRONG_KEYS else 0

    def count(self, address: str) -> None:
        """Record a wrong key."""
        if address not in self._wrong and len(self._wrong) >= _MAX_ADDRESSES:
            self._wrong.pop(next(iter(self._wrong)))
        self._wrong.setdefault(address, deque(maxlen=_MAX_WRONG_KEYS)).append(self._clock())
