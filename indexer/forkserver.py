"""Fork server: a template process that has loaded all modules and forks readers, but never decodes anything itself."""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from bandsight.raster import subprocesses

# A request is a reader's pid, or 0 with files for a new one. The response is a pid or an exit code.
_NUMBER = struct.Struct("<q")
_MOST_FILES = 4
_START_S = 120.0
# Grace period for a process that died or lost its connection.
_GRACE_S, _LOOK_S = 0.05, 0.002


class ForkServer:
    """Client side of the fork server; thread-safe."""

    def __init__(self) -> None:
        """Start the process. The first `fork` waits until it is ready."""
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_S)
        with theirs:
            self._popen = subprocesses.start("indexer.reader_process", [str(theirs.fileno())], [theirs.fileno()])

    def fork(self, files: Sequence[int]) -> int:
        """Fork a reader that inherits these open files, and return its process id.

        Raises:
            OSError: The fork failed.
        """
        number = self._ask(0, files)
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def end(self, reader: int) -> int:
        """Terminate a reader. Returns its exit code, negative if a signal had terminated it before.

        Raises:
            OSError: The fork server has died, and the reader with it.
        """
        return self._ask(reader)

    def alive(self) -> bool:
        """Return whether the fork server is running."""
        return self._popen.poll() is None

    def close(self) -> None:
        """Stop the fork server and all its readers."""
        with self._lock:
            self._control.close()
            self._popen.wait()

    def _ask(self, number: int, files: Sequence[int] = ()) -> int:
        with self._lock:
            socket.send_fds(self._control, [_NUMBER.pack(number)], list(files))
            answer = self._control.recv(_NUMBER.size)
        if not answer:
            raise ConnectionResetError("the fork server has died")
        return int(_NUMBER.unpack(answer)[0])


def answer(control: socket.socket, serve: Callable[[list[int]], None]) -> None:
    """Serve requests until the client disconnects. Must be called before any threads are started.

    Args:
        control: The connection to a `ForkServer`.
        serve: Main function of a reader, called with its files.
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
            # Already terminated.
            said = -signal.SIGKILL
        else:
            said = _forked(control, files, serve)
            readers |= {said} if said > 0 else set()
        control.sendall(_NUMBER.pack(said))
    for number in readers:
        _ended(number)


def _forked(control: socket.socket, files: list[int], serve: Callable[[list[int]], None]) -> int:
    """Return a new reader's process id, or a negative errno."""
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
        # Skip cleanup handlers, which belong to the fork server.
        os._exit(code)


def _ended(reader: int) -> int:
    """Terminate a reader if it is still running, and return its exit code."""
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
