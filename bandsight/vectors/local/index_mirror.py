"""The search index of an archive on object storage: immutable files, listed by one small object.

`index/current.json` lists the files (`index/SHA-FILE`) and their checksums. The machine that writes replaces it, and
machines that search follow it. The index is derived data: if it is lost, it is rebuilt.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from bandsight.errors import ArchiveError
from bandsight.objects.cached import CachedObjects
from bandsight.objects.store import ObjectMissingError
from bandsight.vectors.atomic_io import cannot_write

_CURRENT, _KNOWN, _LOCK = "index/current.json", ".mirror.json", ".mirror.lock"
_CHARS = 24
_log = logging.getLogger(__name__)


class IndexMirror:
    """Synchronises the files of an index between a local folder and object storage."""

    def __init__(self, files: CachedObjects, folder: Path, names: Sequence[str]) -> None:
        """Initialize.

        Args:
            files: The object storage.
            folder: Local folder of the index.
            names: Files that an index may have. Its metadata comes last, because it makes the index valid.
        """
        self._objects, self._folder, self._names = files.objects, folder, names
        self._seen = b""

    def publish(self) -> None:
        """Upload the local index, so that other machines follow.

        Raises:
            ArchiveError: The storage rejects it.
            EngineUnavailableError: The storage does not answer.
        """
        with self._lock():
            found = {name: _sha256(self._folder / name) for name in self._names if (self._folder / name).exists()}
            for name, digest in found.items():
                key = _key(name, digest)
                if not self._objects.exists(key):
                    self._objects.put(key, (self._folder / name).read_bytes())
            text = json.dumps(found, indent=1).encode()
            self._objects.put(_CURRENT, text)
            self._know(found)
            self._seen = text

    def follow(self) -> None:
        """Update the local index to the one published last.

        Raises:
            ArchiveError: The storage rejects the request, or the folder cannot be written.
            EngineUnavailableError: The storage does not answer.
        """
        try:
            text = self._objects.get(_CURRENT)
        except ObjectMissingError:
            return
        if text == self._seen:
            return
        with self._lock():
            try:
                self._bring(_named(text, self._names))
            except OSError as error:
                raise cannot_write(Path(error.filename or self._folder), error) from error
        self._seen = text

    def again(self) -> None:
        """Download the index again, because the local files are damaged."""
        with self._lock():
            self._know({})
        self._seen = b""
        self.follow()

    def remove_unnamed(self) -> None:
        """Delete unlisted files once they are so old that no machine can still be downloading them."""
        try:
            named = _named(self._objects.get(_CURRENT), self._names)
        except ObjectMissingError:
            named = {}
        kept = {_CURRENT, *(_key(name, digest) for name, digest in named.items())}
        least = self._objects.place.keep_unnamed_s
        self._objects.delete(
            [one.key for one in self._objects.list("index/") if one.key not in kept and one.age_s >= least]
        )

    def _bring(self, named: dict[str, str]) -> None:
        known = self._known()
        changed = [
            name
            for name in self._names
            if named.get(name) != known.get(name) or (name in named and not (self._folder / name).exists())
        ]
        if not changed:
            return
        self._know({})
        fetched: dict[str, Path] = {}
        try:
            for name in changed:
                if name in named:
                    fetched[name] = self._download(name, named[name])
            # The metadata is deleted first and written last, because the other files are no index without it.
            for name in reversed(self._names):
                if name in changed:
                    (self._folder / name).unlink(missing_ok=True)
            for name in self._names:
                if name in fetched:
                    fetched[name].replace(self._folder / name)
        except ObjectMissingError as error:
            # It has just been replaced, or is lost; until the next update, tiles are scanned.
            _log.warning("the search index could not be followed, tiles are scanned instead: %s", error)
            return
        finally:
            for path in fetched.values():
                path.unlink(missing_ok=True)
        self._know(named)

    def _download(self, name: str, digest: str) -> Path:
        path = self._folder / f".{name}.{os.getpid()}.tmp"
        self._objects.download(_key(name, digest), path)
        if _sha256(path) != digest:
            path.unlink()
            raise ObjectMissingError(f"{self._objects.place}/{_key(name, digest)}: does not match its checksum")
        return path

    def _known(self) -> dict[str, str]:
        try:
            return _named((self._folder / _KNOWN).read_bytes(), self._names)
        except OSError:
            return {}

    def _know(self, named: dict[str, str]) -> None:
        path = self._folder / _KNOWN
        temporary = path.with_name(f"{_KNOWN}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(named))
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _lock(self) -> FileLock:
        return FileLock(self._folder / _LOCK)


def _named(text: bytes, names: Sequence[str]) -> dict[str, str]:
    """Return the files that an object or file of this kind lists; empty if it cannot be read."""
    try:
        found = json.loads(text)
        return {name: str(found[name]) for name in names if name in found}
    except (ValueError, TypeError):
        return {}


def _key(name: str, digest: str) -> str:
    return f"index/{digest[:_CHARS]}-{name}"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read ({error.strerror}); run: bandsight optimize") from error
