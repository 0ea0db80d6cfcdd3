"""Decodes query images in worker processes, which are killed if they hang or crash."""

import json
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from multiprocessing import Pipe

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ArchiveError, BusyError, ImageError
from bandsight.raster import subprocesses

_START_TIMEOUT_S = 120.0
# Address space of a worker. The largest image allowed takes a few hundred MB.
_MEMORY_BYTES = 4 << 30
# How long a request waits for a free worker.
_QUEUE_TIMEOUT_S = 30.0


_SECONDS_LEFT: ContextVar[list[float] | None] = ContextVar("bandsight_decoding_s", default=None)


def begin_decoding(time_limit_s: float) -> None:
    """Limit the total decoding time of a request's images."""
    _SECONDS_LEFT.set([time_limit_s])


class Decoder:
    """A pool of worker processes that decode images, started on demand; safe to share between threads."""

    def __init__(
        self, workers: int = 2, *, memory_bytes: int = _MEMORY_BYTES, queue_timeout_s: float = _QUEUE_TIMEOUT_S
    ) -> None:
        """Create an empty pool.

        Args:
            workers: Maximum number of processes. Other images wait.
            memory_bytes: Address space of each process.
            queue_timeout_s: How long an image waits for a free process.
        """
        self._memory_bytes, self._queue_timeout_s = memory_bytes, queue_timeout_s
        self._free, self._lock = threading.BoundedSemaphore(workers), threading.Lock()
        self._idle: list[_Worker] = []

    def decode(
        self, data: bytes, wavelengths: Sequence[float] | None, *, max_pixels: int, time_limit_s: float
    ) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        """Return the pixels of an image, uint8 (C, H, W), and its wavelengths, µm; see `decode_query_image`.

        Raises:
            ImageError: The image cannot be decoded within the limits.
            BusyError: All workers are busy.
        """
        left = _SECONDS_LEFT.get()
        if left is not None and left[0] <= 0:
            raise ImageError(
                f"query image: other images in this request used up the limit of {time_limit_s:g} s; send "
                "fewer or simpler ones"
            )
        if not self._free.acquire(timeout=self._queue_timeout_s):
            raise BusyError(f"query image: no free decoder within {self._queue_timeout_s:g} s; try again later")
        try:
            worker = self._checkout()
            start = time.monotonic()
            try:
                worker.send(data, wavelengths, max_pixels)
                return worker.receive(time_limit_s if left is None else min(time_limit_s, left[0]))
            finally:
                if left is not None:
                    left[0] -= time.monotonic() - start
                self._checkin(worker)
        finally:
            self._free.release()

    def close(self) -> None:
        """Stop idle workers. New ones start on demand."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    def _checkout(self) -> "_Worker":
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and not worker.is_alive:
            worker.end()
            worker = None
        return worker or _Worker(self._memory_bytes)

    def _checkin(self, worker: "_Worker") -> None:
        if not worker.is_idle:
            worker.end()
            return
        with self._lock:
            self._idle.append(worker)


class _Worker:
    """A decoding process and the connection to it; see `search_api.decoder_process` for the protocol."""

    def __init__(self, memory_bytes: int) -> None:
        self.is_idle = False
        """Whether the process has answered every request."""
        self._connection, child_end = Pipe()
        with child_end:
            file = child_end.fileno()
            self._popen = subprocesses.start("search_api.decoder_process", [str(file), str(memory_bytes)], [file])
        if not self._connection.poll(_START_TIMEOUT_S) or self._message() is None:
            self.end()
            raise ArchiveError("query image: the decoder process did not start; is the machine out of memory?")
        self.is_idle = True

    @property
    def is_alive(self) -> bool:
        """Whether the process is still running."""
        return self._popen.poll() is None

    def send(self, data: bytes, wavelengths: Sequence[float] | None, max_pixels: int) -> None:
        """Send an image."""
        self.is_idle = False
        request = {"wavelengths": None if wavelengths is None else list(wavelengths), "max_pixels": max_pixels}
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            self._connection.send_bytes(data)
        except OSError as error:
            raise _crashed() from error

    def receive(self, time_limit_s: float) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        """Return the pixels and wavelengths of the image that was sent."""
        if not self._connection.poll(time_limit_s):
            raise ImageError(f"query image: not decoded within {time_limit_s:g} s; send a smaller or simpler one")
        message = self._message()
        if message is None:
            raise _crashed()
        response = json.loads(message)
        if "error" in response:
            self.is_idle = True
            raise ImageError(response["error"])
        pixels = self._message()
        if pixels is None:
            raise _crashed()
        self.is_idle = True
        return np.frombuffer(pixels, np.uint8).reshape(response["shape"]), tuple(response["wavelengths"])

    def end(self) -> None:
        """Kill the process."""
        self._connection.close()
        self._popen.kill()
        self._popen.wait()

    def _message(self) -> bytes | None:
        """Return the next message, or None if the process has ended."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            return None


def _crashed() -> ImageError:
    return ImageError("query image: the decoder crashed; send the image in another format, e.g. as PNG")
