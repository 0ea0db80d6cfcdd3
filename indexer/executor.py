"""Where scenes are opened and their tiles read: in threads and reader processes here, or elsewhere.

An executor has lanes. Calls of one lane run one after another, in order, and may share what is open; lanes run side by
side. A call is a module's function; its arguments and results can be pickled, so that a lane may be on another machine.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from indexer.reader_pool import Reader

T = TypeVar("T")


class Executor(Protocol):
    """Runs calls in lanes."""

    @property
    def lanes(self) -> int:
        """How many calls run side by side."""

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Return what a call will return; its error comes out of the future.

        Args:
            lane: Any whole number from 0; equal ones, modulo the lanes, share a lane.
            function: A module's function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """

    def close(self) -> None:
        """Drop calls that have not begun, and end what was started."""


class LocalExecutor:
    """One thread for each lane; a reader decodes in it, or in a process for each thread."""

    def __init__(self, lanes: int, reader: Reader) -> None:
        self._reader = reader
        self._pools = [ThreadPoolExecutor(1, f"bandsight-read-{number}") for number in range(lanes)]

    @property
    def lanes(self) -> int:
        """How many threads there are."""
        return len(self._pools)

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Hand a call to a lane's thread."""
        pool = self._pools[lane % len(self._pools)]
        return pool.submit(self._reader.call, function, *args, **kwargs)

    def close(self) -> None:
        """Drop calls that have not begun, and end the readers."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._reader.close()
