"""The objects under one prefix of S3-compatible storage: the only place that knows obstore.

Credentials come from the environment, by the names that all tools use (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_SESSION_TOKEN`, `AWS_WEB_IDENTITY_TOKEN_FILE`, …), or from the role of the machine.
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

# Large objects are read in parts, each of them a request that may be repeated.
_PART = 16 << 20
_CONNECT_S = 5
_STATUS = re.compile(r"status code: (\d{3})")
_CODE, _MESSAGE = re.compile(r"<Code>(\w+)</Code>"), re.compile(r"<Message>([^<]*)</Message>")
_WRONG_KEYS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "AuthFailure"}
_FORBIDDEN, _NOT_FOUND = "403", "404"


class ObjectMissingError(ArchiveError):
    """There is no such object: it was never written, or has been swept since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object, as a listing has it."""

    key: str
    """Its name below the prefix."""
    size: int
    """Bytes."""
    age_s: float
    """Seconds since it was written, by this machine's clock."""


class Objects:
    """The objects under a prefix; safe to share between threads, and good again after the storage was away."""

    def __init__(self, place: Place) -> None:
        """Name the storage; nothing is asked of it yet.

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
            # Whether TLS is used is said by the endpoint's scheme.
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
        """Write an object, whole or not at all, and check that it is there.

        Args:
            key: Its name below the prefix.
            data: What it holds.
            new: Only where there is none yet.

        Returns:
            False when there was one already, and only a new one was to be written.

        Raises:
            ArchiveError: The storage refuses it.
            EngineUnavailableError: It does not answer.
        """
        import obstore

        with self._clear_errors(key, writes=True):
            try:
                # A condition and an upload in parts exclude each other.
                mode, parts = ("create", False) if new else ("overwrite", None)
                obstore.put(self._store, key, data, mode=mode, use_multipart=parts)  # type: ignore[arg-type]
            except obstore.exceptions.AlreadyExistsError:
                # Written by another one, or by a request of ours whose answer was lost.
                return bytes(obstore.get(self._store, key).bytes()) == data
            found = int(obstore.head(self._store, key)["size"])
        if found != len(data):
            raise EngineUnavailableError(f"{self.place}/{key}: {found} of {len(data)} bytes were kept; try again")
        return True

    def get(self, key: str) -> bytes:
        """Return what an object holds.

        Raises:
            ObjectMissingError: There is none.
            ArchiveError: The storage refuses it.
            EngineUnavailableError: It does not answer.
        """
        import obstore

        with self._clear_errors(key):
            return bytes(obstore.get(self._store, key).bytes())

    def beginning(self, key: str, length: int) -> tuple[bytes, int]:
        """Return the first bytes of an object, and how many it has; see `get`."""
        import obstore

        with self._clear_errors(key):
            found = obstore.get(self._store, key, options={"range": (0, length)})
            return bytes(found.bytes()), int(found.meta["size"])

    def parts(self, key: str) -> Iterator[bytes]:
        """Yield what an object holds, some megabytes at a time; see `get`."""
        import obstore

        size = self.size(key)
        for start in range(0, size, _PART):
            with self._clear_errors(key):
                part = bytes(obstore.get_range(self._store, key, start=start, end=min(start + _PART, size)))
            yield part

    def ranges(self, key: str, starts: Sequence[int], length: int) -> list[bytes]:
        """Return parts of an object of one length, from each start on, in few requests; see `get`."""
        import obstore

        with self._clear_errors(key):
            found = obstore.get_ranges(self._store, key, starts=starts, lengths=[length] * len(starts))
            return [bytes(part) for part in found]

    def size(self, key: str) -> int:
        """Return the bytes of an object; see `get`."""
        import obstore

        with self._clear_errors(key):
            return int(obstore.head(self._store, key)["size"])

    def exists(self, key: str) -> bool:
        """Return whether there is an object; see `get`."""
        try:
            self.size(key)
        except ObjectMissingError:
            return False
        return True

    def download(self, key: str, path: Path) -> None:
        """Write an object into a file; see `get`.

        Raises:
            OSError: The file cannot be written.
        """
        with path.open("wb") as file:
            for part in self.parts(key):
                file.write(part)

    def list(self, folder: str) -> Iterator[Entry]:
        """Yield the objects whose names begin with a folder's; see `get`."""
        import obstore

        with self._clear_errors(folder):
            for page in obstore.list(self._store, folder):
                for found in page:
                    age = datetime.now(UTC) - found["last_modified"]
                    yield Entry(key=found["path"], size=int(found["size"]), age_s=age.total_seconds())

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already do not matter."""
        import obstore

        if names := list(keys):
            with self._clear_errors(names[0], writes=True):
                obstore.delete(self._store, names)

    @contextmanager
    def _clear_errors(self, key: str, *, writes: bool = False) -> Iterator[None]:
        """Turn a failure of the storage into an error of ours that names the setting and the way out."""
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
                f"{place}: there is no such bucket; create it, or name another one in the archive's file"
            )
        if isinstance(error, FileNotFoundError) or status == _NOT_FOUND:
            return ObjectMissingError(f"{self.place}/{key}: this file is missing; restore it, or run: bandsight repair")
        if code in _WRONG_KEYS:
            return ArchiveError(
                f"{place}: the storage refuses the credentials ({reason}); check AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        if status == _FORBIDDEN or code == "AccessDenied" or "AccessDenied" in text:
            may = "may not write" if writes else "may not read"
            return ArchiveError(
                f"{place}: these credentials {may} here ({reason}); grant them to "
                f"{'write and delete' if writes else 'read and list'} objects of the bucket, or name others in "
                "AWS_ACCESS_KEY_ID"
            )
        at = f" at {self.place.endpoint}" if self.place.endpoint else ""
        return EngineUnavailableError(f"{place}: the storage does not answer{at} ({reason}); try again when it is back")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
