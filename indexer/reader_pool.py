"""Where rasters are decoded: right here, or in processes whose crash, hang or hunger costs one scene and no more."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from bandsight.errors import SceneError
from bandsight.raster.drivers import is_remote
from indexer.forkserver import ForkServer
from indexer.scene import RasterScene
from indexer.shared_memory import Channel, shared_memory
from indexer.source import Source

P = ParamSpec("P")
T = TypeVar("T")

_MEMORY = 4 << 30
_TIME_LIMIT_S = 120.0
_START_S = 120.0


class Reader(Protocol):
    """Runs functions of `indexer.reader` and the like; called from several threads at once."""

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns; its errors come through."""

    def close(self) -> None:
        """End all that was begun."""


class InlineReader:
    """Decodes in this process: no start-up cost, no protection."""

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns."""
        return function(*args, **kwargs)

    def close(self) -> None:
        """Do nothing."""


class ProcessReader:
    """Decodes in one process for each calling thread; one that dies or is too slow is replaced."""

    def __init__(
        self, roots: Iterable[str | Path] = (), *, time_limit_s: float = _TIME_LIMIT_S, memory: int = _MEMORY
    ) -> None:
        """Prepare; processes start when they are first needed.

        Args:
            roots: The only folders and files that may be read, where the system can hold to that.
            time_limit_s: For one call: opening a scene, or reading a row of tiles.
            memory: Address space of a process, bytes.
        """
        self._roots = [str(root) for root in roots]
        self._time_limit_s, self._memory = time_limit_s, memory
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._all: list[_Process] = []
        self._template: ForkServer | None = None
        self._closed = False

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns.

        Raises:
            SceneError: The process died, or took too long; another takes its place.
        """
        process = self._process()
        try:
            process.channel.send((function, args, kwargs))
            if not process.channel.connection.poll(self._time_limit_s):
                self._drop(process)
                raise SceneError(f"not done in {self._time_limit_s:g} s; its reader was stopped")
            result, error = process.channel.receive()
        except (EOFError, OSError) as failure:
            code = self._drop(process)
            raise SceneError(
                f"its reader died ({_cause(code)}), probably because of this file; get it again"
            ) from failure
        if error is not None:
            raise error
        found: T = result
        return found

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            begun, self._all = self._all, []
            template, self._template = self._template, None
        for process in begun:
            process.end()
        if template is not None:
            template.close()

    def _process(self) -> "_Process":
        current: _Process | None = getattr(self._mine, "process", None)
        if current is None:
            with self._lock:
                if self._closed:
                    raise SceneError("the job has ended")
                if self._template is not None and not self._template.alive():
                    self._template.close()
                    self._template = None
                self._template = self._template or ForkServer()
                template = self._template
            try:
                current = _Process(template, self._roots, self._memory)
            except OSError as error:
                raise SceneError(f"its reader did not start ({error}); is the machine out of memory?") from error
            with self._lock:
                # The template ends what the job's end finds no more.
                self._all.append(current)
            self._mine.process = current
            if not current.ready():
                raise SceneError(
                    f"its reader did not start ({_cause(self._drop(current))}); is the machine out of memory?"
                )
        return current

    def _drop(self, process: "_Process") -> int:
        with self._lock:
            if process in self._all:
                self._all.remove(process)
        self._mine.process = None
        return process.end()


class RetryingReader:
    """Tries again what failed on a server or in an object store, after ever longer pauses."""

    def __init__(self, readers: Reader, pauses_s: Sequence[float] = (1.0, 4.0)) -> None:
        self._readers, self._pauses_s, self._closed = readers, pauses_s, threading.Event()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns.

        Raises:
            SceneError: The last attempt failed, or the first one for a file on this machine.
        """
        for pause_s in self._pauses_s if _is_away(args) else ():
            try:
                return self._readers.call(function, *args, **kwargs)
            except SceneError as error:
                # What is not there or not allowed will not be there in a second.
                if any(f"code: {status}" in str(error) for status in (401, 403, 404)) or self._closed.wait(pause_s):
                    raise
        return self._readers.call(function, *args, **kwargs)

    def close(self) -> None:
        """End all that was begun, and wait no more."""
        self._closed.set()
        self._readers.close()


def _is_away(args: tuple[Any, ...]) -> bool:
    """Say whether a call is about a remote scene."""
    for arg in args:
        if isinstance(arg, Source):
            return any(is_remote(href) for href in arg.hrefs)
        if isinstance(arg, RasterScene):
            return any(is_remote(band.href) for band in arg.raster.bands)
    return False


class _Process:
    """A reader process and the connection to it."""

    def __init__(self, template: ForkServer, roots: list[str], memory: int) -> None:
        ours, theirs = Pipe()
        memory_file = shared_memory()
        self._template = template
        self.channel = Channel.joined(ours, memory_file)
        try:
            with theirs:
                self._pid = template.fork([file for file in (theirs.fileno(), memory_file) if file >= 0])
        except OSError:
            self.channel.close()
            raise
        finally:
            if memory_file >= 0:
                os.close(memory_file)
        self.channel.send((roots, memory))

    def ready(self) -> bool:
        """Wait until it has begun, which is not the scene's time; say whether it has."""
        try:
            return self.channel.connection.poll(_START_S) and bool(self.channel.receive())
        except (EOFError, OSError):
            return False

    def end(self) -> int:
        """End the process; return its exit code, negative for a signal that had ended it before."""
        # An idle one ends on its own.
        self.channel.close()
        try:
            return self._template.end(self._pid)
        except OSError:
            return -signal.SIGKILL


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
