"""Numbers per client in memory that all worker processes share."""

import fcntl
import hashlib
import mmap
import os
import secrets
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

SHARED_COUNTERS = "BANDSIGHT_SHARED_COUNTERS"
"""Environment variable of workers: the file with the counters that they share."""
_T = TypeVar("_T")
_SALT_BYTES = 16
_ENTRY = struct.Struct("<8sdd")
# Slots in which an entry may be. If all of them are in use, the entry with the smallest second number makes room.
_PROBES = 8
_FREE = bytes(8)


class Counters:
    """Memory for tables, in a file that worker processes map, or of this process alone."""

    def __init__(self, path: Path | None = None, *, tables: int = 8, slots: int = 1 << 14) -> None:
        """Open or create the memory.

        Args:
            path: File to share; None for memory of this process.
            tables: Number of tables.
            slots: Entries of each table.
        """
        self.slots, self._lock = slots, threading.Lock()
        size = _SALT_BYTES + tables * slots * _ENTRY.size
        self._file = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if self._file is None:
            self.memory = mmap.mmap(-1, size)
        else:
            with self.locked():
                os.truncate(self._file, size)
                self.memory = mmap.mmap(self._file, size)
        with self.locked():
            # Clients could otherwise choose names that share a slot.
            if not any(self.memory[:_SALT_BYTES]):
                self.memory[:_SALT_BYTES] = secrets.token_bytes(_SALT_BYTES)
        self.salt = self.memory[:_SALT_BYTES]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of all threads and processes; the system releases it if the process dies."""
        with self._lock:
            if self._file is None:
                yield
                return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)


class Table:
    """Two numbers per client. If there are too many clients, those with the smallest second number are forgotten."""

    def __init__(self, counters: Counters, number: int) -> None:
        """Use one of the tables of the memory.

        Args:
            counters: The memory.
            number: Number of the table, from 0.
        """
        self._counters = counters
        self._start = _SALT_BYTES + number * counters.slots * _ENTRY.size

    def change(self, client: str, rule: Callable[[tuple[float, float] | None], tuple[float, float, _T]]) -> _T:
        """Replace a client's numbers in one step, and return the result of the rule.

        Args:
            client: Id of the client.
            rule: Gets the present numbers, None without any; returns the new ones and a result.
        """
        name = self._name(client)
        with self._counters.locked():
            offset, found = self._find(name)
            first, second, result = rule(found)
            _ENTRY.pack_into(self._counters.memory, offset, name, first, second)
        return result

    def get(self, client: str) -> tuple[float, float] | None:
        """Return a client's numbers, or None without any."""
        name = self._name(client)
        with self._counters.locked():
            return self._find(name)[1]

    def clear(self) -> None:
        """Forget all clients."""
        with self._counters.locked():
            size = self._counters.slots * _ENTRY.size
            self._counters.memory[self._start : self._start + size] = bytes(size)

    def _name(self, client: str) -> bytes:
        data = client.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(data, digest_size=8, key=self._counters.salt).digest()

    def _find(self, name: bytes) -> tuple[int, tuple[float, float] | None]:
        """Return the offset of a client's entry, or of the one that it may take, and its numbers."""
        memory, slots = self._counters.memory, self._counters.slots
        best, least = -1, 0.0
        first = int.from_bytes(name, "little")
        for probe in range(_PROBES):
            offset = self._start + (first + probe) % slots * _ENTRY.size
            entry, one, two = _ENTRY.unpack_from(memory, offset)
            if entry == name:
                return offset, (one, two)
            # Entries are replaced but never removed one by one, so that there is none beyond a free slot.
            if entry == _FREE:
                return offset, None
            if best < 0 or two < least:
                best, least = offset, two
        return best, None
