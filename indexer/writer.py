"""Writes to the archive in a separate thread, so that the model never waits for the disk."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bandsight.archive import ArchiveWriter
from indexer.checkpoints import Checkpoint, CheckpointFolder
from indexer.patience import Patience
from indexer.scene_task import SceneTask

# Maximum number of pending writes, to limit memory.
_PENDING = 2
# Rows of a large scene in memory at a time; each takes several kB.
_ROWS_AT_ONCE = 256


class Writer:
    """Performs all writes of a job sequentially, in order."""

    def __init__(
        self, archive: ArchiveWriter, model: str, committed: Callable[[int, int], None], patience: Patience
    ) -> None:
        """Prepare.

        Args:
            archive: Open for writing.
            model: Digest of the job's model.
            committed: Called after each commit, in the writer's thread, with its numbers of scenes and tiles.
            patience: Waits while the archive's engines are away.
        """
        self._patience = patience
        self._archive, self._model, self._committed = archive, model, committed
        self._thread = ThreadPoolExecutor(1, "bandsight-write")
        self._pending: deque[Future[None]] = deque()

    def add(self, scenes: Sequence[tuple[SceneTask, Checkpoint]]) -> None:
        """Commit finished single-part scenes together. Blocks while too many writes are pending."""
        self.do(self._add, list(scenes))

    def save(self, task: SceneTask, part: Checkpoint) -> None:
        """Save a checkpoint of a scene."""
        self.do(self._save, task, part)

    def show(self, task: SceneTask) -> None:
        """Commit a finished scene from its checkpoints."""
        self.do(self._show, task)

    def drop(self, task: SceneTask) -> None:
        """Delete the checkpoints of a failed scene."""
        self.do(self._drop, task)

    def do(self, function: Callable[..., None], *args: object) -> None:
        """Schedule another write."""
        while len(self._pending) >= _PENDING:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(function, *args))

    def do_patiently(self, function: Callable[..., None], *args: object) -> None:
        """As `do`, for what may be written again."""
        self.do(self._patience.call, function, *args)

    def drain(self) -> None:
        """Wait until all is written that was asked for."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Wait for all writes. Raises the error of any write that failed."""
        try:
            self.drain()
        finally:
            self._thread.shutdown(wait=True)

    def _add(self, scenes: list[tuple[SceneTask, Checkpoint]]) -> None:
        batch = [(task.scene_record(), task.tile_records(part), part.vectors) for task, part in scenes]
        parts = {record.key: part.cell_codes for (record, _, _), (_, part) in zip(batch, scenes, strict=True)}
        cells = {key: codes for key, codes in parts.items() if codes is not None}
        self._patience.call(self._archive.add, batch, cells)
        for task, _ in scenes:
            self._give_back(task)
        self._committed(len(scenes), sum(len(part) for _, part in scenes))

    def _save(self, task: SceneTask, part: Checkpoint) -> None:
        if task.checkpoints is None:
            task.checkpoints = CheckpointFolder.create(self._archive.path, task.scene, task.plan, self._model)
        task.checkpoints.write(part)

    def _drop(self, task: SceneTask) -> None:
        if task.checkpoints is not None:
            task.checkpoints.drop()

    def _show(self, task: SceneTask) -> None:
        assert task.checkpoints is not None
        self._patience.call(self._add_in_parts, task, task.checkpoints)
        task.checkpoints.drop()
        self._give_back(task)
        self._committed(1, task.kept)

    def _add_in_parts(self, task: SceneTask, checkpoints: CheckpointFolder) -> None:
        pieces = (piece for part in checkpoints.read() for piece in part.pieces(_ROWS_AT_ONCE))
        parts = ((task.tile_records(piece), piece.vectors, piece.cell_codes) for piece in pieces)
        self._archive.add_in_parts(task.scene_record(), parts)

    def _give_back(self, task: SceneTask) -> None:
        if self._archive.leases is not None:
            self._archive.leases.give_back(task.lease)
