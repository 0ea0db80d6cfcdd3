"""Executors open scenes and read tiles, in local threads and reader processes or on other machines.

An executor has lanes. Calls of one lane share open files, so they run one after another; lanes run concurrently. A call
is a module-level function; its arguments and results can be pickled, so that a lane may be on another machine.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from bandsight.errors import BandsightError
from bandsight.geo.grid import TileWindow
from indexer.reader import ReadTile, read_tiles
from indexer.reader_pool import Reader
from indexer.scene import RasterScene

T = TypeVar("T")
# Calls per lane that are submitted before the first result is awaited.
_AHEAD = 2


class ExecutorError(BandsightError):
    """The executor cannot continue; unlike an error of a call, this ends the job."""


class Executor(Protocol):
    """Runs calls in lanes."""

    @property
    def lanes(self) -> int:
        """Number of concurrent lanes."""

    @property
    def ahead(self) -> int:
        """Number of calls to submit ahead, so that no lane waits."""

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Schedule a call and return its future.

        Args:
            lane: Any integer from 0, taken modulo the number of lanes.
            function: A module-level function.
            args: Positional arguments.
            kwargs: Keyword arguments.
        """

    def read_tiles(
        self, lane: int, scene: RasterScene, windows: Sequence[TileWindow], **options: Any
    ) -> Future[list[ReadTile]]:
        """Return the future result of `indexer.reader.read_tiles`; with vectors if the executor has encoders.

        Args:
            lane: As `submit`.
            scene: As `read_tiles`.
            windows: As `read_tiles`.
            options: As `read_tiles`.
        """

    def close(self) -> None:
        """Cancel pending calls, and stop what was started."""


class LocalExecutor:
    """One thread per lane; a reader decodes in the thread, or in one process per thread."""

    def __init__(self, lanes: int, reader: Reader) -> None:
        self._reader = reader
        self._pools = [ThreadPoolExecutor(1, f"bandsight-read-{number}") for number in range(lanes)]

    @property
    def lanes(self) -> int:
        """Number of threads."""
        return len(self._pools)

    @property
    def ahead(self) -> int:
        """Few, because read tiles wait in memory as pixels."""
        return _AHEAD * self.lanes

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Schedule a call in a lane's thread."""
        pool = self._pools[lane % len(self._pools)]
        return pool.submit(self._reader.call, function, *args, **kwargs)

    def read_tiles(
        self, lane: int, scene: RasterScene, windows: Sequence[TileWindow], **options: Any
    ) -> Future[list[ReadTile]]:
        """Read tiles in a lane's thread; the job embeds them."""
        return self.submit(lane, read_tiles, scene, windows, **options)

    def close(self) -> None:
        """Cancel pending calls, and stop the readers."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._reader.close()
