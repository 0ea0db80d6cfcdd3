"""Writes to the archive in a thread of its own, so that the model never waits for the disk."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bandsight.archive import Archive
from indexer.work import Work

# Commits handed over and not yet on disk: bounds memory.
_PENDING = 2


class Writer:
    """Does all writes of a job, one after another, in the order in which they are asked for."""

    def __init__(self, archive: Archive, committed: Callable[[int, int], None]) -> None:
        """Prepare.

        Args:
            archive: Open for writing.
            committed: Told of each commit, in the writer's thread: scenes, tiles.
        """
        self._archive, self._committed = archive, committed
        self._thread = ThreadPoolExecutor(1, "bandsight-write")
        self._pending: deque[Future[None]] = deque()

    def add(self, scenes: Sequence[Work]) -> None:
        """Write finished scenes in one commit; waits while too many commits are under way."""
        self._submit(self._add, list(scenes))

    def fail(self, href: str, reason: str) -> None:
        """Remember a scene that has failed."""
        self._submit(self._archive.record_failure, href, reason)

    def close(self) -> None:
        """Wait until all is written; an error of any write comes through here, if not before."""
        try:
            while self._pending:
                self._pending.popleft().result()
        finally:
            self._thread.shutdown(wait=True)

    def _add(self, scenes: list[Work]) -> None:
        batch = [(work.scene_record(), work.tile_records(), work.stacked_vectors()) for work in scenes]
        self._archive.add(batch)
        self._committed(len(batch), sum(len(tiles) for _, tiles, _ in batch))

    def _submit(self, function: Callable[..., None], *args: object) -> None:
        while len(self._pending) >= _PENDING:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(function, *args))
