"""The single writer's lock, which tells a second writer who holds it."""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from bandsight.catalog.port import CatalogDatabase
from bandsight.errors import ArchiveError, ArchiveLockedError, SettingsError

_LOCK_FILE, _WRITER_FILE = "lock", "writer.pid"

WAIT_VARIABLE = "BANDSIGHT_LOCK_WAIT_S"
"""Environment variable with the seconds a command waits for another writer; default 0."""


def writing_process(folder: Path) -> int | None:
    """Return the id of the process that writes to an archive, or did when it died; None if there is none."""
    try:
        return int((folder / _WRITER_FILE).read_text())
    except (OSError, ValueError):
        return None


class WriterLock:
    """Held by the one process that may write to an archive; the system releases it when the process ends.

    Where the catalog is on a server, which knows writers on other machines too, jobs may share the archive.
    """

    def __init__(self, folder: Path, database: CatalogDatabase | None = None, *, alone: bool = True) -> None:
        """Take the lock, after as many seconds as the environment allows to wait for it.

        Args:
            folder: The archive's folder.
            database: The archive's catalog; None where it does not exist yet.
            alone: Keep out all others; else only those that must be alone, where the catalog can tell them apart.

        Raises:
            ArchiveLockedError: Another process holds it.
            ArchiveError: The folder cannot be written.
        """
        self._hold = None if database is None else database.hold(alone=alone, wait_s=_wait_s())
        self._lock: FileLock | None = None
        if alone or self._hold is None:
            try:
                self._lock_folder(folder)
            except BaseException:
                self.release()
                raise

    def _lock_folder(self, folder: Path) -> None:
        self._writer = folder / _WRITER_FILE
        self._lock = FileLock(folder / _LOCK_FILE)
        try:
            self._lock.acquire(timeout=_wait_s())
            self._writer.write_text(str(os.getpid()))
        except Timeout as error:
            raise ArchiveLockedError(
                f"{folder}: {self._holder()} is writing to this archive; wait until it is done, or stop it"
            ) from error
        except OSError as error:
            self._lock.release()
            raise ArchiveError(f"{folder}: cannot be written ({error.strerror}); check its permissions") from error

    def release(self) -> None:
        """Let others write."""
        if self._lock is not None and self._lock.is_locked:
            self._writer.unlink(missing_ok=True)
            self._lock.release()
        if self._hold is not None:
            self._hold.release()

    def _holder(self) -> str:
        try:
            return f"process {self._writer.read_text()}"
        except OSError:
            return "another process"


def _wait_s() -> float:
    text = os.environ.get(WAIT_VARIABLE, "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SettingsError(f"{WAIT_VARIABLE}: found {text[:60]!r}; need a number of seconds of at least 0, e.g. 600")
    return seconds
