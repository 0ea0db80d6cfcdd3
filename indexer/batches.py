"""Gathers tiles of one band list across scenes and has them embedded, one batch behind the other."""

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
# Batches that a device has before it: it computes the second while the first one's vectors are handed on and the
# next one is made ready.
_BEGUN = 2
# From so much work of the model on, a job is long enough for what `speed_up` takes.
_LONG_S = 120.0


class Batches:
    """The tiles that wait for the model: less than one batch for each list of bands, and those it is at work on."""

    def __init__(self, model: BatchEncoder, size: int, progress: Progress) -> None:
        """Prepare.

        Args:
            model: Embeds.
            size: Tiles in one forward pass; halved for good when the device has too little memory.
            progress: Follows each pass.
        """
        self._model, self.size, self._progress = model, size, progress
        self._waiting: dict[_Kind, list[PendingTile]] = {}
        self._begun: deque[tuple[list[PendingTile], PendingEmbeddings]] = deque()
        self._busy_s, self._tried = 0.0, False

    def add(self, wavelengths: Wavelengths, slots: Iterable[PendingTile], cells: int = 0) -> None:
        """Take tiles of one list of bands and as many cells along a side, and have embedded what fills a batch."""
        kind = (wavelengths, cells)
        batch = self._waiting.setdefault(kind, [])
        batch += slots
        while len(batch) >= self.size:
            self._begin(kind)
        self._collect(_BEGUN)

    def flush(self) -> None:
        """Embed all that waits."""
        for kind, batch in list(self._waiting.items()):
            while batch:
                self._begin(kind)
            del self._waiting[kind]
        self._collect(0)

    def _begin(self, kind: "_Kind") -> None:
        """Start one batch; tiles of scenes that have failed since are dropped."""
        batch, (wavelengths, cells) = self._waiting[kind], kind
        batch[:] = [pending for pending in batch if not pending.task.failed]
        now = batch[: self.size]
        if not now:
            return
        pixels = np.stack([pending.tile.pixels for pending in now])
        # Only now, that the next batch is ready.
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
            # Another try with half as many, and so from now on.
            self.size = max(1, len(now) // 2)
            self._progress.on(Note(text=f"too little memory for {len(now)} tiles at once; from now on {self.size}"))
            return
        self._begun.append((now, begun))
        del batch[: len(now)]
        self._collect(_BEGUN)

    def _collect(self, most: int) -> None:
        """Hand on what is embedded; wait until at most so many batches are not."""
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
    # PyTorch's class, by name: this package does not know the library.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
