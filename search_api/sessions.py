"""Session cookies for browsers, in place of the key."""

import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Callable

from search_api.keys import Key, KeyRing

SESSION_DAYS = 30
"""Lifetime of a session, days."""
SESSION_S = SESSION_DAYS * 86_400


class Sessions:
    """Issues and checks session cookies. They are signed with the key's hash, so they become invalid with the key."""

    def __init__(self, keys: KeyRing, server: str = "", clock: Callable[[], float] = time.time) -> None:
        """Initialize for the keys of a server.

        Args:
            keys: The keys.
            server: Identifies this server, because browsers share cookies between ports of a host.
            clock: Returns the time, s since 1970.
        """
        self.keys, self._clock = keys, clock
        self.cookie = f"bandsight-{hashlib.sha256(server.encode()).hexdigest()[:8]}"
        """Name of the cookie."""

    def issue(self, key: Key) -> str:
        """Return the value of a new cookie: key id, expiry time and signature."""
        expires = math.ceil(self._clock()) + SESSION_S
        if key.expires is not None:
            expires = min(expires, int(key.expires.timestamp()))
        return f"{key.id}.{expires}.{_sign(key, str(expires))}"

    def key_of(self, cookie: str | None) -> Key | None:
        """Return the key of a session, or None if the cookie is invalid or has expired."""
        if not cookie:
            return None
        key_id, _, rest = cookie.partition(".")
        expires, _, signature = rest.partition(".")
        key = self.keys.by_id(key_id)
        if key is None or not secrets.compare_digest(signature.encode(), _sign(key, expires).encode()):
            return None
        return key if int(expires) > self._clock() else None


def _sign(key: Key, text: str) -> str:
    return hmac.new(key.hash.encode(), f"bandsight session {text}".encode(), hashlib.sha256).hexdigest()
