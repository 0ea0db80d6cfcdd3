"""Objects under a prefix of S3-compatible storage; the only module that uses obstore.

Credentials come from the usual environment variables (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_SESSION_TOKEN`, `AWS_WEB_IDENTITY_TOKEN_FILE`, …), or from the machine's role.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bandsight.errors import ArchiveError, EngineUnavailableError, needs_extra
from bandsight.objects.place import Place

# Large objects are read in parts, each a request that can be retried.
_PART = 16 << 20
_CONNECT_S = 5
_STATUS = re.compile(r"status code: (\d{3})")
_CODE, _MESSAGE = re.compile(r"<Code>(\w+)</Code>"), re.compile(r"<Message>([^<]*)</Message>")
_WRONG_KEYS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "AuthFailure"}
_FORBIDDEN, _NOT_FOUND = "403", "404"


class ObjectMissingError(ArchiveError):
    """The object does not exist: it was never written, or has been deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object in a listing."""

    key: str
    """Name below the prefix."""
    size: int
    """Size, bytes."""
    age_s: float
    """Age by the local clock, seconds."""


class Objects:
    """The objects under a prefix; thread-safe, and usable again after the storage was unavailable."""

    def __init__(self, place: Place) -> None:
        """Initialize without contacting the storage.

        Raises:
            MissingExtraError: The client is not installed.
        """
        with needs_extra("cluster", "files on S3"):
            from obstore.store import S3Store
        self.place = place
        config: dict[str, Any] = {"bucket": place.bucket}
        if place.endpoint is not None:
            config["endpoint"] = place.endpoint
        if place.region is not None:
            config["region"] = place.region
        timeout = timedelta(seconds=place.timeout_s)
        self._store: Any = S3Store(
            prefix=place.prefix or None,
            config=config,  # type: ignore[arg-type]
            # The endpoint's scheme determines whether TLS is used.
            client_options={
                "allow_http": True,
                "timeout": timeout,
                "connect_timeout": timedelta(seconds=min(_CONNECT_S, place.timeout_s)),
            },
            retry_config={
                "max_retries": 5,
                "retry_timeout": timeout,
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )

    def put(self, key: str, data: bytes, *, new: bool = False) -> bool:
        """Write an object atomically, and verify that it exists.

        Args:
            key: Name below the prefix.
            data: Content.
            new: Write only if the object does not exist.

        Returns:
            False if `new` was set and the object already existed.

        Raises:
            ArchiveError: The storage rejects the request.
            EngineUnavailableError: The storage does not respond.
        """
        import obstore

        with self._clear_errors(key, writes=True):
            try:
                # Conditional writes cannot be multipart uploads.
                mode, parts = ("create", False) if new else ("overwrite", None)
                obstore.put(self._store, key, data, mode=mode, use_multipart=parts)  # type: ignore[arg-type]
            except obstore.exceptions.AlreadyExistsError:
                # Written by another process, or by an own request whose response was lost.
                return bytes(obstore.get(self._store, key).bytes()) == data
            found = int(obstore.head(self._store, key)["size"])
        if found != len(data):
            raise EngineUnavailableError(f"{self.place}/{key}: stored only {found} of {len(data)} bytes; try again")
        return True

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises:
            ObjectMissingError: The object does not exist.
            ArchiveError: The storage rejects the request.
            EngineUnavailableError: The storage does not respond.
        """
        import obstore

        with self._clear_errors(key):
            return bytes(obstore.get(self._store, key).bytes())

    def beginning(self, key: str, length: int) -> tuple[bytes, int]:
        """Return the first bytes of an object, and its size in bytes; see `get`."""
        import obstore

        with self._clear_errors(key):
            found = obstore.get(self._store, key, options={"range": (0, length)})
            return bytes(found.bytes()), int(found.meta["size"])

    def parts(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object in parts of some megabytes; see `get`."""
        import obstore

        size = self.size(key)
        for start in range(0, size, _PART):
            with self._clear_errors(key):
                part = bytes(obstore.get_range(self._store, key, start=start, end=min(start + _PART, size)))
            yield part

    def ranges(self, key: str, starts: Sequence[int], length: int) -> list[bytes]:
        """Return ranges of equal length of an object in few requests; see `get`."""
        import obstore

        with self._clear_errors(key):
            found = obstore.get_ranges(self._store, key, starts=starts, lengths=[length] * len(starts))
            return [bytes(part) for part in found]

    def size(self, key: str) -> int:
        """Return the size of an object, bytes; see `get`."""
        import obstore

        with self._clear_errors(key):
            return int(obstore.head(self._store, key)["size"])

    def exists(self, key: str) -> bool:
        """Return whether an object exists; see `get`."""
        try:
            self.size(key)
        except ObjectMissingError:
            return False
        return True

    def download(self, key: str, path: Path) -> None:
        """Download an object to a file; see `get`.

        Raises:
            OSError: The file cannot be written.
        """
        with path.open("wb") as file:
            for part in self.parts(key):
                file.write(part)

    def list(self, folder: str) -> Iterator[Entry]:
        """Yield the objects in a folder; see `get`."""
        import obstore

        with self._clear_errors(folder):
            for page in obstore.list(self._store, folder):
                for found in page:
                    age = datetime.now(UTC) - found["last_modified"]
                    yield Entry(key=found["path"], size=int(found["size"]), age_s=age.total_seconds())

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        import obstore

        if names := list(keys):
            with self._clear_errors(names[0], writes=True):
                obstore.delete(self._store, names)

    @contextmanager
    def _clear_errors(self, key: str, *, writes: bool = False) -> Iterator[None]:
        """Convert the storage's errors into ours, with the setting to check and a remedy."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._explained(key, error, writes=writes) from error

    def _explained(self, key: str, error: Exception, *, writes: bool) -> ArchiveError | EngineUnavailableError:
        text = str(error).partition("Debug source")[0]
        code, status = _first(_CODE, text), _first(_STATUS, text)
        reason = _first(_MESSAGE, text) or " ".join(text.split())[-200:]
        place = f"files {self.place}"
        if code == "NoSuchBucket":
            return ArchiveError(
                f"{place}: there is no such bucket; create it, or set another one in the archive's TOML file"
            )
        if isinstance(error, FileNotFoundError) or status == _NOT_FOUND:
            return ObjectMissingError(f"{self.place}/{key}: this file is missing; restore it, or run: bandsight repair")
        if code in _WRONG_KEYS:
            return ArchiveError(
                f"{place}: the storage rejects the credentials ({reason}); check AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        if status == _FORBIDDEN or code == "AccessDenied" or "AccessDenied" in text:
            may = "may not write" if writes else "may not read"
            return ArchiveError(
                f"{place}: these credentials {may} here ({reason}); grant them to "
                f"{'write and delete' if writes else 'read and list'} objects in the bucket, or set others in "
                "AWS_ACCESS_KEY_ID"
            )
        at = f" at {self.place.endpoint}" if self.place.endpoint else ""
        return EngineUnavailableError(f"{place}: the storage does not respond{at} ({reason}); try again later")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
