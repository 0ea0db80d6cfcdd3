"""API keys: named, hashed, with scopes, expiry and limits, in a file that a running server reloads."""

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bandsight.durable import flush
from bandsight.errors import NotFoundError, SettingsError
from search_api.policies import Scope

SERVER_KEY = "server"
"""Name of the key from the settings."""
_VERSION = 1
_NAME = re.compile(r"[\w.@-]{1,64}")
_SECRET_BYTES = 32
_PREFIX = "bandsight"
_RELOAD_S = 1.0
_MAX_LIMIT = 10**9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key, without its secret."""

    name: str
    """Name of the client, shown in logs."""
    id: str
    """Public part of the key, for lookup."""
    hash: str
    """SHA-256 of the whole key, hexadecimal. Keys are random, so a slow hash would not add security."""
    scopes: frozenset[Scope]
    """Granted scopes."""
    created: datetime
    """Creation time, UTC."""
    expires: datetime | None = None
    """Expiry time, UTC; None for never."""
    rate_per_minute: int | None = None
    """Units of work per minute; None for the server's limit."""
    quota_per_day: int | None = None
    """Requests per day (UTC); None for no quota."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SettingsError(
                f"key: found the name {self.name[:80]!r}; need 1 to 64 letters, digits or . _ @ -, e.g. map-viewer"
            )
        if not self.scopes:
            raise SettingsError(f"key {self.name}: has no scopes; need at least one of {', '.join(Scope)}")
        for name, value in (("rate_per_minute", self.rate_per_minute), ("quota_per_day", self.quota_per_day)):
            if value is not None and not 1 <= value <= _MAX_LIMIT:
                raise SettingsError(f"key {self.name}: {name}: found {value}; need 1 to {_MAX_LIMIT:,}")

    def allows(self, scope: Scope) -> bool:
        """Return whether the key has a scope; `admin` includes all, and every scope includes `read`."""
        return Scope.ADMIN in self.scopes or scope in self.scopes or scope is Scope.READ

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key has not expired."""
        return self.expires is None or now < self.expires


def new_key(
    name: str,
    scopes: Sequence[Scope],
    *,
    lifetime: timedelta | None = None,
    rate_per_minute: int | None = None,
    quota_per_day: int | None = None,
) -> tuple[Key, str]:
    """Create a key. Returns it and its secret text, which is not stored.

    Raises:
        SettingsError: The name, the scopes or a limit is invalid.
    """
    key_id = secrets.token_hex(6)
    text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    now = datetime.now(UTC).replace(microsecond=0)
    key = Key(
        name=name,
        id=key_id,
        hash=_hash(text.encode()),
        scopes=frozenset(scopes),
        created=now,
        expires=None if lifetime is None else now + lifetime,
        rate_per_minute=rate_per_minute,
        quota_per_day=quota_per_day,
    )
    return key, text


class KeyFile:
    """The keys of a server on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Key]:
        """Return the keys; empty if there is no file.

        Raises:
            SettingsError: The file cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SettingsError(
                f"{self.path}: the keys cannot be read ({error.strerror}); check its permissions"
            ) from error
        try:
            return _keys_of(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SettingsError(
                f"{self.path}: not a key file ({error}); restore it from a backup, or delete it and create new keys "
                "with: bandsight keys add"
            ) from error

    def add(self, key: Key) -> None:
        """Add a key.

        Raises:
            SettingsError: A valid key has this name, or the file cannot be written.
        """
        keys, now = self.read(), datetime.now(UTC)
        if any(one.name == key.name and one.is_valid(now) for one in keys):
            raise SettingsError(f"key {key.name}: it already exists; replace it with: bandsight keys rotate {key.name}")
        self._write([*(one for one in keys if one.name != key.name), key])

    def remove(self, name: str) -> int:
        """Remove the keys with a name. Returns their number.

        Raises:
            NotFoundError: No key has this name.
        """
        keys = self.read()
        left = [one for one in keys if one.name != name]
        if len(left) == len(keys):
            raise _missing(name, keys)
        self._write(left)
        return len(keys) - len(left)

    def rotate(self, name: str, grace: timedelta) -> str:
        """Create a new key with the name, scopes and limits of an existing one, and return its secret text.

        Args:
            name: Name of the key.
            grace: How long the old key stays valid.

        Raises:
            NotFoundError: No key has this name.
        """
        keys, now = self.read(), datetime.now(UTC).replace(microsecond=0)
        old = max((one for one in keys if one.name == name), key=lambda one: one.created, default=None)
        if old is None:
            raise _missing(name, keys)
        fresh, text = new_key(
            name,
            sorted(old.scopes),
            lifetime=None if old.expires is None else max(old.expires - old.created, grace),
            rate_per_minute=old.rate_per_minute,
            quota_per_day=old.quota_per_day,
        )
        end = now + grace
        kept = [
            replace(one, expires=min(end, one.expires or end)) if one.name == name else one
            for one in keys
            if one.name != name or one.is_valid(now)
        ]
        self._write([*kept, fresh])
        return text

    def _write(self, keys: Sequence[Key]) -> None:
        values = {"version": _VERSION, "keys": [_values_of(one) for one in keys]}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                # mkstemp makes the file readable for this user only.
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(values, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
                flush(self.path.parent)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
        except OSError as error:
            raise SettingsError(
                f"{self.path}: the keys cannot be written ({error.strerror}); check the disk and its permissions"
            ) from error


class KeyRing:
    """The keys that a server accepts. Changes of the file take effect within a second."""

    def __init__(
        self,
        server_key: str | None = None,
        file: KeyFile | None = None,
        clock: Callable[[], float] = time.time,
        on_change: Callable[[list[Key]], None] = lambda _: None,
    ) -> None:
        """Read the keys.

        Args:
            server_key: The key from the settings, with all scopes.
            file: File with other keys.
            clock: Returns the time, s since 1970.
            on_change: Called with the new keys after the file has changed.

        Raises:
            SettingsError: The file cannot be read.
        """
        self._file, self._clock, self._on_change = file, clock, on_change
        self._server = None
        if server_key is not None:
            self._server = Key(
                name=SERVER_KEY,
                id=SERVER_KEY,
                hash=_hash(server_key.encode()),
                scopes=frozenset({Scope.ADMIN}),
                created=datetime.fromtimestamp(0, UTC),
            )
        self._lock = threading.Lock()
        self._by_id: dict[str, Key] = {}
        self._stamp: tuple[int, ...] | None = None
        self._checked = float("-inf")
        if file is not None:
            self._stamp = _stamp(file.path)
            self._by_id = {one.id: one for one in file.read()}

    @property
    def needs_key(self) -> bool:
        """Whether requests need a key, which is the case if any key exists, even an expired one."""
        self._reload()
        return self._server is not None or bool(self._by_id)

    def find(self, text: bytes) -> Key | None:
        """Return the key that a client sent, or None if unknown or has expired."""
        self._reload()
        found = _hash(text)
        if self._server is not None and hmac.compare_digest(found, self._server.hash):
            return self._server
        parts = text.split(b"_", 2)
        key = self._by_id.get(parts[1].decode("latin-1")) if len(parts) == 3 else None  # noqa: PLR2004  (prefix, id, rest)
        return key if key is not None and hmac.compare_digest(found, key.hash) and self._is_valid(key) else None

    def by_id(self, key_id: str) -> Key | None:
        """Return a valid key by its id."""
        self._reload()
        key = self._server if key_id == SERVER_KEY else self._by_id.get(key_id)
        return key if key is not None and self._is_valid(key) else None

    def _is_valid(self, key: Key) -> bool:
        return key.is_valid(datetime.fromtimestamp(self._clock(), UTC))

    def _reload(self) -> None:
        if self._file is None or time.monotonic() - self._checked < _RELOAD_S:
            return
        with self._lock:
            self._checked = time.monotonic()
            stamp = _stamp(self._file.path)
            if stamp == self._stamp:
                return
            if stamp is None:
                # The archive's folder may be temporarily unmounted; this must neither open nor lock the server.
                _log.error("%s: deleted; previously read keys stay valid", self._file.path)
                self._stamp = stamp
                return
            try:
                keys = self._file.read()
            except SettingsError as error:
                _log.error("%s; previously read keys stay valid", error)
                self._stamp = stamp
                return
            self._stamp, self._by_id = stamp, {one.id: one for one in keys}
        self._on_change(keys)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _values_of(key: Key) -> dict[str, Any]:
    values = asdict(key) | {"scopes": sorted(key.scopes), "created": key.created.isoformat()}
    return values | {"expires": None if key.expires is None else key.expires.isoformat()}


def _keys_of(values: dict[str, Any]) -> list[Key]:
    if values["version"] != _VERSION:
        raise ValueError(f"version {values['version']}")
    return [_key_of(one) for one in values["keys"]]


def _key_of(values: dict[str, Any]) -> Key:
    expires = values.get("expires")
    return Key(
        name=str(values["name"]),
        id=str(values["id"]),
        hash=str(values["hash"]),
        scopes=frozenset(Scope(one) for one in values["scopes"]),
        created=_time(values["created"]),
        expires=None if expires is None else _time(expires),
        rate_per_minute=values.get("rate_per_minute"),
        quota_per_day=values.get("quota_per_day"),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time


def _missing(name: str, keys: Sequence[Key]) -> NotFoundError:
    names = ", ".join(sorted({one.name for one in keys})) or "none"
    return NotFoundError(f"key {name[:60]!r}: does not exist; existing keys: {names}")
