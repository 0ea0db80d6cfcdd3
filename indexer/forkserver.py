"""The process that readers are forked from: it has loaded what they need, once, and never decodes anything itself."""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from bandsight.raster import subprocesses

# A request is a reader's number, 0 for a new one, which comes with its files; the answer a number or an exit code.
_NUMBER = struct.Struct("<q")
_MOST_FILES = 4
_START_S = 120.0
# What has died or was hung up on is about to be gone.
_GRACE_S, _LOOK_S = 0.05, 0.002


class ForkServer:
    """This process's side; called from several threads."""

    def __init__(self) -> None:
        """Start it; that it has loaded everything is waited for with the first reader."""
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_S)
        with theirs:
            self._popen = subprocesses.start("indexer.reader_process", [str(theirs.fileno())], [theirs.fileno()])

    def fork(self, files: Sequence[int]) -> int:
        """Return the process id of a new reader that has these open files.

        Raises:
            OSError: It could not be begun.
        """
        number = self._ask(0, files)
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def end(self, reader: int) -> int:
        """End a reader; return its exit code, negative for a signal that had ended it before.

        Raises:
            OSError: The template has died, and the reader with it.
        """
        return self._ask(reader)

    def alive(self) -> bool:
        """Say whether it can be asked."""
        return self._popen.poll() is None

    def close(self) -> None:
        """End it with all of its readers."""
        with self._lock:
            self._control.close()
            self._popen.wait()

    def _ask(self, number: int, files: Sequence[int] = ()) -> int:
        with self._lock:
            socket.send_fds(self._control, [_NUMBER.pack(number)], list(files))
            answer = self._control.recv(_NUMBER.size)
        if not answer:
            raise ConnectionResetError("the process that readers are forked from has died")
        return int(_NUMBER.unpack(answer)[0])


def answer(control: socket.socket, serve: Callable[[list[int]], None]) -> None:
    """Fork and end readers as the other side asks, until it hangs up; to be called before there are threads.

    Args:
        control: The connection to a `ForkServer`.
        serve: What a reader does with its files.
    """
    readers: set[int] = set()
    while True:
        request, files, _, _ = socket.recv_fds(control, _NUMBER.size, _MOST_FILES)
        if not request:
            break
        (number,) = _NUMBER.unpack(request)
        if number in readers:
            readers.remove(number)
            said = _ended(number)
        elif number:
            # Ended before.
            said = -signal.SIGKILL
        else:
            said = _forked(control, files, serve)
            readers |= {said} if said > 0 else set()
        control.sendall(_NUMBER.pack(said))
    for number in readers:
        _ended(number)


def _forked(control: socket.socket, files: list[int], serve: Callable[[list[int]], None]) -> int:
    """Return a new reader's process id, or an error's number below 0."""
    try:
        number = os.fork()
    except OSError as error:
        number = -(error.errno or 1)
    if number:
        for file in files:
            os.close(file)
        return number
    code = 1
    try:
        control.close()
        serve(files)
        code = 0
    finally:
        # What belongs to the template is not the reader's to tidy up.
        os._exit(code)


def _ended(reader: int) -> int:
    """Return the exit code of a reader, ended now if it is still there."""
    until = time.monotonic() + _GRACE_S
    while True:
        found, status = os.waitpid(reader, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            break
        time.sleep(_LOOK_S)
    os.kill(reader, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
