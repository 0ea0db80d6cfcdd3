"""Records what a program does to files, by strace, and plays it on a `Disk`."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.disk import Disk, File, Folder

_CALLS = (
    *("open", "openat", "creat", "lseek", "dup", "dup2", "dup3", "close", "fork", "vfork"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "sync_file_range"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir"),
)
# Longer writes would be cut in the record.
_MOST_BYTES = 1 << 26
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)", re.DOTALL)
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_TEXT = r'"((?:\\x[0-9a-f]{2})*)"'
_FD = r"(AT_FDCWD|\d+)(?:<((?:\\x[0-9a-f]{2})*)[^>]*>)?"


def can_record() -> bool:
    """Return whether strace is here and may be used."""
    found = shutil.which("strace")
    return found is not None and subprocess.run([found, "-o", "/dev/null", "true"], check=False).returncode == 0


def record(command: Sequence[str], log: Path, env: dict[str, str]) -> None:
    """Run a program and write down its calls.

    Raises:
        AssertionError: It fails.
    """
    traced = ["strace", "-f", "-y", "-xx", "-s", str(_MOST_BYTES), "--seccomp-bpf", "-o", str(log)]
    done = subprocess.run(
        [*traced, "-e", f"trace={','.join(f'?{name}' for name in _CALLS)}", *command],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


class Player:
    """Plays a record on a disk, step by step."""

    def __init__(self, log: Path, root: Path, acks: Path) -> None:
        """Prepare.

        Args:
            log: The record.
            root: The folder that the disk holds; the program was started with it empty.
            acks: File into which the program wrote a line for each thing that it reported as done.
        """
        self._log, self._root, self._acks = log, f"{root}/", str(acks)
        self.disk = Disk()
        self._open: dict[int, tuple[File | Folder | None, bool]] = {}
        self._at: dict[int, int] = {}

    def steps(self) -> Iterator[str | None]:
        """Play, and yield after each change to the disk None, and each line that the program reported."""
        for name, arguments, result in _calls(self._log):
            if result < 0:
                continue
            told = self._do(name, arguments, result)
            if told is not None:
                yield told or None

    def _do(self, name: str, arguments: str, result: int) -> str | None:
        """Play one call; return None where it changes nothing, else what it reports or nothing."""
        for names, play in (
            (("open", "openat", "creat"), self._opened),
            (("close", "lseek"), self._moved),
            (("write", "pwrite64", "writev", "pwritev", "pwritev2"), self._written),
            (("sendfile", "copy_file_range"), self._sent),
            (("ftruncate", "fsync", "fdatasync"), self._flushed),
            (("rename", "renameat", "renameat2", "link", "linkat"), self._renamed),
            (("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"), self._named),
        ):
            if name in names:
                return play(name, arguments, result)
        assert self._root not in _decoded(arguments), f"a call that the recorder does not know: {name}"
        return None

    def _moved(self, name: str, arguments: str, result: int) -> str | None:
        fd = int(_first(arguments))
        self._at[fd] = result
        if name == "close":
            self._open.pop(fd, None)
        return None

    def _opened(self, name: str, arguments: str, result: int) -> str | None:
        (path,) = _paths(name, arguments, 1)
        flags = arguments.rpartition('"')[2]
        inside = self._inside(path)
        if inside is None:
            # What reports, or what is no matter of ours.
            self._open[result] = (None, path == self._acks)
            return None
        found, told = self.disk.find(inside), None
        if found is None:
            folder, last = self.disk.folder_of(inside)
            found, told = File(), ""
            folder.set(self._tick(), last, found)
        elif "O_TRUNC" in flags and isinstance(found, File) and found.now:
            found.truncate(self._tick(), 0)
            told = ""
        self._open[result] = (found, False)
        self._at[result] = len(found.now) if "O_APPEND" in flags and isinstance(found, File) else 0
        return told

    def _written(self, name: str, arguments: str, result: int) -> str | None:
        fd = int(_first(arguments))
        file, reports = self._open.get(fd, (None, False))
        if file is None and not reports:
            return None
        data = b"".join(_decode(text) for text in re.findall(_TEXT, arguments))[:result]
        assert len(data) == result, "a write that was not recorded in full"
        if reports:
            return data.decode()
        assert isinstance(file, File)
        at = int(arguments.rpartition(",")[2]) if name.startswith("pwrite") else self._at[fd]
        file.write(self._tick(), at, data)
        if not name.startswith("pwrite"):
            self._at[fd] = at + result
        return ""

    def _sent(self, name: str, arguments: str, result: int) -> str | None:
        fds = [int(fd) for fd in re.findall(r"(?:^|, )(\d+)<", arguments)]
        source, target = reversed(fds) if name == "sendfile" else fds
        file, origin = self._open.get(target, (None, False))[0], self._open.get(source, (None, False))[0]
        if file is None or not result:
            return None
        assert isinstance(file, File)
        assert isinstance(origin, File), "a copy from outside of the recorded folder"
        given = re.search(r"\[(\d+)\]", arguments)
        start = int(given[1]) if given else self._at[source]
        file.write(self._tick(), self._at[target], bytes(origin.now[start : start + result]))
        self._at[target] += result
        if not given:
            self._at[source] += result
        return ""

    def _flushed(self, name: str, arguments: str, _: int) -> str | None:
        what = self._open.get(int(_first(arguments)), (None, False))[0]
        if what is None:
            return None
        if name == "ftruncate":
            assert isinstance(what, File)
            what.truncate(self._tick(), int(arguments.rpartition(",")[2]))
        else:
            what.flush()
        return ""

    def _renamed(self, name: str, arguments: str, _: int) -> str | None:
        old, new = (self._inside(path) for path in _paths(name, arguments, 2))
        if new is None:
            return None
        assert old is not None, "a file from outside of the recorded folder"
        what = self.disk.find(old)
        assert what is not None, old
        (before, former), (after, last) = self.disk.folder_of(old), self.disk.folder_of(new)
        if name.startswith("link"):
            after.set(self._tick(), last, what)
        elif before is after:
            after.set(self._tick(), last, what, former)
        else:
            # Two folders, and two flushes: what lies between is what a journal would hide.
            after.set(self._tick(), last, what)
            before.delete(self._tick(), former)
        return ""

    def _named(self, name: str, arguments: str, _: int) -> str | None:
        (path,) = _paths(name, arguments, 1)
        inside = self._inside(path)
        if inside is None:
            return None
        folder, last = self.disk.folder_of(inside)
        if name.startswith("mkdir"):
            folder.set(self._tick(), last, Folder())
        else:
            folder.delete(self._tick(), last)
        return ""

    def _inside(self, path: str) -> str | None:
        path = os.path.normpath(path)
        return path[len(self._root) :] if f"{path}/".startswith(self._root) else None

    def _tick(self) -> int:
        self.disk.moment += 1
        return self.disk.moment


def _calls(log: Path) -> Iterator[tuple[str, str, int]]:
    """Yield name, arguments and result of each call, in the order in which they ended."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            call = line.rstrip("\n")
            if found := _BEGUN.match(call):
                begun[found[1]] = found[3]
                continue
            if found := _RESUMED.match(call):
                call = f"{found[1]} {found[2]}({begun.pop(found[1])}{found[3]}"
            if (found := _LINE.match(call)) and found[4] != "?":
                yield found[2], found[3], int(found[4])


def _paths(name: str, arguments: str, count: int) -> list[str]:
    """Return the absolute paths that a call names."""
    if "at" in name.removeprefix("creat"):
        found = re.findall(rf"{_FD}, {_TEXT}", arguments)
        pairs = [(_decoded(folder), _decoded(path)) for _, folder, path in found[:count]]
    else:
        pairs = [("", _decoded(path)) for path in re.findall(_TEXT, arguments)[:count]]
    assert len(pairs) == count, f"{name}({arguments[:200]}"
    return [str(Path(folder) / path) for folder, path in pairs]


def _first(arguments: str) -> str:
    return re.match(r"\d+", arguments)[0]  # type: ignore[index]


def _decode(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _decoded(text: str) -> str:
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda found: _decode(found[0]).decode("utf-8", "replace"), text)
