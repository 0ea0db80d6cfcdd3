"""A simulated disk: files and folders as programs see them, and possible states after a power cut.

What was flushed stays. Of all else, any part may be lost: writes (each in sectors of 512 bytes), lengths of files, and
names in folders, in any order. A name is safe once its folder was flushed, not when its file was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_SECTOR = 512
Keep = Callable[[int], bool]
"""Whether what happened at a moment was written before the power went."""


@dataclass(eq=False)
class File:
    """A file's bytes."""

    now: bytearray = field(default_factory=bytearray)
    flushed: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    """(moment, offset, bytes) of writes, and (moment, length, None) of truncations, that were not flushed."""

    def write(self, moment: int, offset: int, data: bytes) -> None:
        _put(self.now, offset, data)
        self.waiting.append((moment, offset, data))

    def truncate(self, moment: int, length: int) -> None:
        _resize(self.now, length)
        self.waiting.append((moment, length, None))

    def flush(self) -> None:
        for _, at, data in self.waiting:
            if data is None:
                _resize(self.flushed, at)
            else:
                _put(self.flushed, at, data)
        self.waiting = []


@dataclass(eq=False)
class Folder:
    """A folder's names."""

    now: dict[str, "File | Folder"] = field(default_factory=dict)
    flushed: dict[str, "File | Folder"] = field(default_factory=dict)
    waiting: list[tuple[int, str, "File | Folder | None", str | None]] = field(default_factory=list)
    """(moment, name, what it names now, name that it lost to this one) of changes that were not flushed."""

    def set(self, moment: int, name: str, what: "File | Folder", former: str | None = None) -> None:
        self._change((moment, name, what, former))

    def delete(self, moment: int, name: str) -> None:
        self._change((moment, name, None, None))

    def flush(self) -> None:
        for change in self.waiting:
            _rename(self.flushed, change)
        self.waiting = []

    def _change(self, change: tuple[int, str, "File | Folder | None", str | None]) -> None:
        _rename(self.now, change)
        self.waiting.append(change)


class Disk:
    """Everything in one folder, which is itself safe."""

    def __init__(self) -> None:
        self.root = Folder()
        self.moment = 0

    def find(self, path: str) -> File | Folder | None:
        """Return what a path within the root names now."""
        found: File | Folder | None = self.root
        for part in _parts(path):
            found = found.now.get(part) if isinstance(found, Folder) else None
        return found

    def folder_of(self, path: str) -> tuple[Folder, str]:
        """Return the folder that holds a path's last name, and that name."""
        *parents, name = _parts(path)
        folder = self.find("/".join(parents))
        assert isinstance(folder, Folder), path
        return folder, name

    def after_a_cut(self, rng: np.random.Generator, target: Path) -> str:
        """Write what may be left after a power cut now into a folder, and return how the rest was lost."""
        how, keep, whole = _lottery(rng, self.moment)
        _write_folder(self.root, target, keep, whole, rng)
        return how


def _lottery(rng: np.random.Generator, now: int) -> tuple[str, Keep, Keep | None]:
    """Return a way to lose what was not flushed: whether a change is kept, and whether all sectors of a write are.

    Without the second, writes are torn.
    """

    def coin(share: float) -> Keep:
        return lambda _: rng.random() < share

    kind = str(rng.choice(["nothing", "everything", "until", "names only", "any"], p=[0.2, 0.05, 0.2, 0.15, 0.4]))
    if kind == "nothing":
        return kind, lambda _: False, lambda _: False
    if kind == "everything":
        return kind, lambda _: True, lambda _: True
    if kind == "until":
        # In order, as journals keep it.
        last = rng.integers(max(0, now - 60), now + 1)
        return kind, lambda moment: moment <= last, lambda moment: moment <= last
    if kind == "names only":
        return kind, lambda _: True, lambda _: False
    return kind, coin(rng.random()), None


def _write_folder(folder: Folder, target: Path, keep: Keep, whole: Keep | None, rng: np.random.Generator) -> None:
    target.mkdir()
    names = dict(folder.flushed)
    for change in folder.waiting:
        if keep(change[0]):
            _rename(names, change)
    for name, what in names.items():
        if isinstance(what, Folder):
            _write_folder(what, target / name, keep, whole, rng)
        elif not name.endswith("-shm"):
            # SQLite makes its shared memory anew when nobody has it open.
            (target / name).write_bytes(_left_of(what, whole, rng))


def _left_of(file: File, whole: Keep | None, rng: np.random.Generator) -> bytes:
    left = bytearray(file.flushed)
    for moment, at, data in file.waiting:
        if data is None:
            if whole(moment) if whole else rng.random() < 0.5:
                _resize(left, at)
            continue
        if whole is None:
            for start, end in _sectors(at, len(data)):
                if rng.random() < 0.5:
                    _put(left, start, data[start - at : end - at])
        elif whole(moment):
            _put(left, at, data)
        if len(left) < at + len(data) and rng.random() < 0.3:
            # The length was written and the bytes were not.
            _resize(left, at + len(data))
    return bytes(left)


def _sectors(at: int, length: int) -> Iterator[tuple[int, int]]:
    start = at
    while start < at + length:
        end = min((start // _SECTOR + 1) * _SECTOR, at + length)
        yield start, end
        start = end


def _rename(names: dict[str, File | Folder], change: tuple[int, str, File | Folder | None, str | None]) -> None:
    _, name, what, former = change
    if what is None:
        names.pop(name, None)
        return
    if former is not None and names.get(former) is what:
        del names[former]
    names[name] = what


def _put(into: bytearray, offset: int, data: bytes) -> None:
    if len(into) < offset:
        into.extend(bytes(offset - len(into)))
    into[offset : offset + len(data)] = data


def _resize(into: bytearray, length: int) -> None:
    if length < len(into):
        del into[length:]
    else:
        into.extend(bytes(length - len(into)))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
