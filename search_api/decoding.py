"""Decodes pictures that somebody sends in processes of their own: what hangs or crashes there is ended by the clock."""

import json
import threading
from collections.abc import Sequence
from multiprocessing import Pipe

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ArchiveError, BusyError, ImageError
from bandsight.raster import subprocesses

_START_S = 120.0
# Address space of a process. A picture of the largest size allowed takes some hundred MB of it.
_MEMORY = 4 << 30
# So long a request waits for others' pictures.
_WAIT_S = 30.0


class Decoder:
    """Some processes that decode, begun when they are first needed; safe to share between threads."""

    def __init__(self, count: int = 2, *, memory: int = _MEMORY, wait_s: float = _WAIT_S) -> None:
        """Prepare.

        Args:
            count: Most processes; further pictures wait.
            memory: Address space of each, bytes.
            wait_s: So long a picture waits for others, s.
        """
        self._memory, self._wait_s = memory, wait_s
        self._turns, self._lock = threading.BoundedSemaphore(count), threading.Lock()
        self._idle: list[_Process] = []

    def decode(
        self, data: bytes, wavelengths: Sequence[float] | None, *, max_pixels: int, time_limit_s: float
    ) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        """Return a picture's pixels, uint8 (C, H, W), and the wavelengths of its bands, µm; see `decode_query_image`.

        Raises:
            ImageError: It cannot be decoded within the limits.
            BusyError: Others' pictures take all the time.
        """
        if not self._turns.acquire(timeout=self._wait_s):
            raise BusyError(f"query image: others have been decoded for {self._wait_s:g} s; send it again later")
        try:
            process = self._taken()
            try:
                process.ask(data, wavelengths, max_pixels)
                return process.answer(time_limit_s)
            finally:
                self._give_back(process)
        finally:
            self._turns.release()

    def close(self) -> None:
        """End the processes that are idle; others begin where they are needed."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def _taken(self) -> "_Process":
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is not None and not process.lives:
            process.end()
            process = None
        return process or _Process(self._memory)

    def _give_back(self, process: "_Process") -> None:
        if not process.is_idle:
            process.end()
            return
        with self._lock:
            self._idle.append(process)


class _Process:
    """A decoding process and the connection to it."""

    def __init__(self, memory: int) -> None:
        self.is_idle = False
        """Whether it waits for a picture: all that was asked has been answered."""
        self._connection, theirs = Pipe()
        with theirs:
            file = theirs.fileno()
            self._popen = subprocesses.start("search_api.decoder_process", [str(file), str(memory)], [file])
        if not self._connection.poll(_START_S) or self._received() is None:
            self.end()
            raise ArchiveError("query image: the process that decodes did not begin; is the machine out of memory?")
        self.is_idle = True

    @property
    def lives(self) -> bool:
        """Whether it has not been ended from outside."""
        return self._popen.poll() is None

    def ask(self, data: bytes, wavelengths: Sequence[float] | None, max_pixels: int) -> None:
        """Send a picture."""
        self.is_idle = False
        asked = {"wavelengths": None if wavelengths is None else list(wavelengths), "max_pixels": max_pixels}
        try:
            self._connection.send_bytes(json.dumps(asked).encode())
            self._connection.send_bytes(data)
        except OSError as error:
            raise _died() from error

    def answer(self, time_limit_s: float) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        """Return what the picture is."""
        if not self._connection.poll(time_limit_s):
            raise ImageError(f"query image: not decoded in {time_limit_s:g} s; send a smaller or simpler one")
        said = self._received()
        if said is None:
            raise _died()
        answer = json.loads(said)
        if "error" in answer:
            self.is_idle = True
            raise ImageError(answer["error"])
        pixels = self._received()
        if pixels is None:
            raise _died()
        self.is_idle = True
        return np.frombuffer(pixels, np.uint8).reshape(answer["shape"]), tuple(answer["wavelengths"])

    def end(self) -> None:
        """End the process."""
        self._connection.close()
        self._popen.kill()
        self._popen.wait()

    def _received(self) -> bytes | None:
        """Return a message, None where the process has died."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            return None


def _died() -> ImageError:
    return ImageError("query image: whatever decoded it died of it; send it in another form, e.g. as PNG")
