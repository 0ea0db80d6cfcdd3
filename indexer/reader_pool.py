"""Readers decode rasters in this process, or in isolated ones that may crash or hang at the cost of one scene."""

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
    """Runs reading functions; thread-safe."""

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function and return its result; its errors propagate."""

    def close(self) -> None:
        """Stop all processes."""


class InlineReader:
    """Decodes in this process: no start-up cost, no isolation."""

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function and return its result."""
        return function(*args, **kwargs)

    def close(self) -> None:
        """Do nothing."""


class ProcessReader:
    """Decodes in one process per calling thread. Processes that die or time out are replaced."""

    def __init__(
        self, roots: Iterable[str | Path] = (), *, time_limit_s: float = _TIME_LIMIT_S, memory: int = _MEMORY
    ) -> None:
        """Initialize. Processes are started on first use.

        Args:
            roots: The only folders and files that may be read, if the system can enforce this.
            time_limit_s: Time limit per call: opening a scene, or one read.
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
        """Call the function and return its result.

        Raises:
            SceneError: The process died or timed out; it is replaced.
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
        """Stop all processes."""
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
            try:
                current = self._begun()
            except OSError as error:
                raise SceneError(f"its reader did not start ({error}); is the machine out of memory?") from error
            with self._lock:
                # The fork server terminates processes that were started after the job ended.
                self._all.append(current)
            self._mine.process = current
            if not current.ready():
                raise SceneError(
                    f"its reader did not start ({_cause(self._drop(current))}); is the machine out of memory?"
                )
        return current

    def _begun(self) -> "_Process":
        """Start a process; starts a new fork server if the old one has died."""
        server = self._server()
        try:
            return _Process(server, self._roots, self._memory)
        except (BrokenPipeError, ConnectionResetError):
            # It was about to die when it was asked. Another thread may have replaced it since.
            with self._lock:
                if self._template is server:
                    server.close()
                    self._template = None
            return _Process(self._server(), self._roots, self._memory)

    def _server(self) -> ForkServer:
        with self._lock:
            if self._closed:
                raise SceneError("the job has ended")
            if self._template is not None and not self._template.alive():
                self._template.close()
                self._template = None
            self._template = self._template or ForkServer()
            return self._template

    def _drop(self, process: "_Process") -> int:
        with self._lock:
            if process in self._all:
                self._all.remove(process)
        self._mine.process = None
        return process.end()


class RetryingReader:
    """Retries calls on remote scenes, with increasing delays."""

    def __init__(self, readers: Reader, pauses_s: Sequence[float] = (1.0, 4.0)) -> None:
        self._readers, self._pauses_s, self._closed = readers, pauses_s, threading.Event()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function and return its result.

        Raises:
            SceneError: The last attempt failed, or the first one for a local file.
        """
        for pause_s in self._pauses_s if _is_away(args) else ():
            try:
                return self._readers.call(function, *args, **kwargs)
            except SceneError as error:
                # Missing or forbidden files are not worth retrying.
                if any(f"code: {status}" in str(error) for status in (401, 403, 404)) or self._closed.wait(pause_s):
                    raise
        return self._readers.call(function, *args, **kwargs)

    def close(self) -> None:
        """Stop all processes and pending retries."""
        self._closed.set()
        self._readers.close()


def _is_away(args: tuple[Any, ...]) -> bool:
    """Return whether a call is about a remote scene."""
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
        """Wait until the process has started, which does not count against the time limit. Returns whether it has."""
        try:
            return self.channel.connection.poll(_START_S) and bool(self.channel.receive())
        except (EOFError, OSError):
            return False

    def end(self) -> int:
        """Terminate the process. Returns its exit code, negative if a signal had terminated it before."""
        # An idle process exits on its own.
        self.channel.close()
        try:
            return self._template.end(self._pid)
        except OSError:
            return -signal.SIGKILL


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
