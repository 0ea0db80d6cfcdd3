"""Batches tiles with the same bands across scenes, and embeds the batches in a pipeline."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from bandsight.model.protocol import BatchEncoder
from bandsight.vectors.cells import CellCodes
from indexer.events import Note, TilesEncoded
from indexer.progress import Progress
from indexer.scene_task import PendingTile, Wavelengths

if TYPE_CHECKING:
    from bandsight.model.pending import PendingEmbeddings

_Kind = tuple[Wavelengths, int]
# Number of batches queued on the device: it computes one while the previous one's vectors are passed on and the next
# one is prepared.
_BEGUN = 2
# Model time after which `speed_up` is worth trying, seconds.
_LONG_S = 120.0


class Batches:
    """Tiles waiting for the model, less than a batch for each list of bands, and batches being computed."""

    def __init__(self, model: BatchEncoder, size: int, progress: Progress) -> None:
        """Initialize.

        Args:
            model: Embeds the tiles.
            size: Tiles per forward pass; permanently halved if the device runs out of memory.
            progress: Receives events.
        """
        self._model, self.size, self._progress = model, size, progress
        self._waiting: dict[_Kind, list[PendingTile]] = {}
        self._begun: deque[tuple[list[PendingTile], PendingEmbeddings]] = deque()
        self._busy_s, self._tried = 0.0, False

    def add(self, wavelengths: Wavelengths, slots: Iterable[PendingTile], cells: int = 0) -> None:
        """Add tiles with the same bands and number of cells along a side, and start every full batch."""
        kind = (wavelengths, cells)
        batch = self._waiting.setdefault(kind, [])
        batch += slots
        while len(batch) >= self.size:
            self._begin(kind)
        self._collect(_BEGUN)

    def flush(self) -> None:
        """Embed all waiting tiles."""
        for kind, batch in list(self._waiting.items()):
            while batch:
                self._begin(kind)
            del self._waiting[kind]
        self._collect(0)

    def _begin(self, kind: "_Kind") -> None:
        """Start one batch; drops tiles of scenes that have failed."""
        batch, (wavelengths, cells) = self._waiting[kind], kind
        batch[:] = [pending for pending in batch if not pending.task.failed]
        now = batch[: self.size]
        if not now:
            return
        pixels = np.stack([pending.tile.pixels for pending in now])
        # Collect only after the next batch is ready.
        self._collect(_BEGUN - 1)
        try:
            if self._busy_s > _LONG_S and not self._tried and len(now) == self.size:
                self._tried = True
                if said := self._model.speed_up(pixels, wavelengths):
                    self._progress.on(Note(text=said))
            begun = self._model.begin_pixels(pixels, wavelengths, cells)
        except Exception as error:
            if not _is_out_of_memory(error) or self.size == 1:
                raise
            # Retry with half the batch size, and keep it.
            self.size = max(1, len(now) // 2)
            self._progress.on(Note(text=f"out of memory with {len(now)} tiles per batch; reduced to {self.size}"))
            return
        self._begun.append((now, begun))
        del batch[: len(now)]
        self._collect(_BEGUN)

    def _collect(self, most: int) -> None:
        """Pass on finished vectors; wait until at most `most` batches are pending."""
        while self._begun and (len(self._begun) > most or self._begun[0][1].done()):
            slots, begun = self._begun.popleft()
            vectors, cells = begun.result(), begun.cells()
            records = [None] * len(vectors) if cells is None else CellCodes.encode(cells).records
            for pending, vector, own in zip(slots, vectors, records, strict=True):
                pending.task.embedded(pending, vector, own)
            seconds = begun.seconds()
            self._busy_s += seconds
            self._progress.on(TilesEncoded(tiles=len(slots), seconds=seconds))


def _is_out_of_memory(error: Exception) -> bool:
    # Match PyTorch's class by name, to avoid importing it.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
