"""Where scenes are opened and their tiles read: in threads and reader processes here, or elsewhere.

An executor has lanes. Calls of one lane share what is open where they run, so they run one after another; lanes run
side by side. A call is a module's function; its arguments and results can be pickled, so that a lane may be on another
machine.
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
# Calls begun ahead of the one that is waited for, in each lane.
_AHEAD = 2


class ExecutorError(BandsightError):
    """The executor cannot continue; unlike the error of a call, it ends the job."""


class Executor(Protocol):
    """Runs calls in lanes."""

    @property
    def lanes(self) -> int:
        """How many calls run side by side."""

    @property
    def ahead(self) -> int:
        """How many calls to have under way, so that no lane waits."""

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Return what a call will return; its error comes out of the future.

        Args:
            lane: Any whole number from 0; equal ones, modulo the lanes, share a lane.
            function: A module's function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """

    def read_tiles(
        self, lane: int, scene: RasterScene, windows: Sequence[TileWindow], **options: Any
    ) -> Future[list[ReadTile]]:
        """Return what `indexer.reader.read_tiles` will return; with vectors where the executor has encoders.

        Args:
            lane: As `submit`.
            scene: As `read_tiles`.
            windows: As `read_tiles`.
            options: As `read_tiles`.
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

    @property
    def ahead(self) -> int:
        """Few: what is read waits in memory, as pixels."""
        return _AHEAD * self.lanes

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Hand a call to a lane's thread."""
        pool = self._pools[lane % len(self._pools)]
        return pool.submit(self._reader.call, function, *args, **kwargs)

    def read_tiles(
        self, lane: int, scene: RasterScene, windows: Sequence[TileWindow], **options: Any
    ) -> Future[list[ReadTile]]:
        """Have a lane's thread read tiles; the job embeds them."""
        return self.submit(lane, read_tiles, scene, windows, **options)

    def close(self) -> None:
        """Drop calls that have not begun, and end the readers."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._reader.close()
