"""A least-recently-used cache of remote files on the local disk."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from zlib import crc32

from bandsight.durable import make_folder
from bandsight.errors import ArchiveError

# Number of locks, which limits concurrent fills.
_LOCKS = 64
# Age at which partial files of dead processes are deleted, seconds.
_STALE_S = 3600
_ATTEMPTS = 5

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An object loaded from a file, e.g. its mapping; valid while the file keeps its name."""

    inode: int
    value: Any


class FileCache:
    """A folder of expendable files, shared by threads and processes.

    The files take at most the limit; a larger file stays until the next one is needed. The space of an evicted file is
    freed once no thread or process has it open.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Open a cache folder.

        Args:
            folder: The folder; created if missing.
            limit_bytes: Maximum total size of the files, bytes.

        Raises:
            ArchiveError: The folder cannot be created.
        """
        self._folder, self._limit = folder, limit_bytes
        self._locks = [Lock() for _ in range(_LOCKS)]
        self._room = Lock()
        self._coming = 0
        self._loaded: dict[str, _Loaded] = {}
        try:
            make_folder(folder)
        except OSError as error:
            raise ArchiveError(
                f"{folder}: cannot be made ({error.strerror}); check the folder's permissions"
            ) from error

    def use(self, name: str, size: int, fill: Callable[[Path], None], load: Callable[[Path], _T]) -> _T:
        """Return the object loaded from a file, filling the file first if it is missing.

        Args:
            name: Name of the file; identifies its content.
            size: Size of the file, bytes.
            fill: Writes the content to a path; its errors are passed on and nothing is stored.
            load: Loads an object from the file; cached as long as the file.

        Raises:
            ArchiveError: The folder cannot be written.
        """
        with self._lock_of(name):
            path = self._folder / name
            for _ in range(_ATTEMPTS):
                if (known := self._known(name, path)) is not None:
                    return known.value  # type: ignore[no-any-return]
                if not path.exists():
                    self._filled(path, size, fill)
                # Another process may evict the file at this moment.
                with suppress(FileNotFoundError):
                    _used(path)
                    loaded = _Loaded(path.stat().st_ino, load(path))
                    self._loaded[name] = loaded
                    return loaded.value  # type: ignore[no-any-return]
        raise ArchiveError(f"{path}: deleted as fast as it is filled; raise cache_gb in the archive's file")

    def has(self, name: str) -> bool:
        """Return whether a file is cached."""
        return (self._folder / name).exists()

    def forget(self, name: str) -> None:
        """Delete a damaged file."""
        with self._lock_of(name):
            self._loaded.pop(name, None)
            (self._folder / name).unlink(missing_ok=True)

    @property
    def size_bytes(self) -> int:
        """Total size of the files, bytes."""
        return sum(size for _, size, _ in self._files())

    def _known(self, name: str, path: Path) -> _Loaded | None:
        """Return the object loaded from a file that still has its name, and mark the file as used."""
        loaded = self._loaded.get(name)
        if loaded is None:
            return None
        try:
            if path.stat().st_ino != loaded.inode:
                raise FileNotFoundError
            _used(path)
        except OSError:
            # Another process evicted the file; the mapping would keep its space occupied.
            self._loaded.pop(name, None)
            return None
        return loaded

    def _filled(self, path: Path, size: int, fill: Callable[[Path], None]) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with self._room:
                self._make_room(size)
                self._coming += size
            try:
                fill(temporary)
                temporary.replace(path)
            finally:
                with self._room:
                    self._coming -= size
        except OSError as error:
            raise ArchiveError(
                f"{path}: cannot be written ({error.strerror}); free some space, or lower cache_gb in "
                "the archive's file"
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        files = sorted(self._files())
        taken = sum(own for _, own, _ in files) + self._coming + size
        for _, own, path in files:
            if taken <= self._limit:
                break
            path.unlink(missing_ok=True)
            self._loaded.pop(path.name, None)
            taken -= own
        for name in [name for name in list(self._loaded) if not (self._folder / name).exists()]:
            self._loaded.pop(name, None)

    def _files(self) -> list[tuple[int, int, Path]]:
        """Return last use, size in bytes and path of each file; stale partial files are deleted."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    stat = entry.stat()
                    if not entry.name.endswith(".tmp"):
                        found.append((stat.st_mtime_ns, stat.st_size, Path(entry.path)))
                    elif time.time() - stat.st_mtime > _STALE_S:
                        Path(entry.path).unlink(missing_ok=True)
        return found

    def _lock_of(self, name: str) -> Lock:
        return self._locks[crc32(name.encode()) % _LOCKS]


def _used(path: Path) -> None:
    """Mark a file as used; the file system's own clock is only accurate to milliseconds."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))
