"""Gathers tiles of one band list across scenes and has them embedded, one batch behind the other."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bandsight.model.protocol import BatchEncoder
from indexer.scene_task import PendingTile, Wavelengths

if TYPE_CHECKING:
    from bandsight.model.pending import PendingEmbeddings

# Batches that a device has before it: it goes on with the second while the first one's vectors are handed on and the
# next one is made ready.
_BEGUN = 2
# From so much work of the model on, a job is long enough for what `speed_up` takes.
_LONG_S = 120.0


class Listener(Protocol):
    """Told of what the model does."""

    def encoded(self, tiles: int, seconds: float) -> None:
        """The model took so long for so many tiles."""

    def note(self, text: str) -> None:
        """Something worth knowing was found or decided."""


class Batches:
    """The tiles that wait for the model: less than one batch for each list of bands, and those it is at work on."""

    def __init__(self, model: BatchEncoder, size: int, listener: Listener) -> None:
        """Prepare.

        Args:
            model: Embeds.
            size: Tiles in one forward pass; halved for good when the device has too little memory.
            listener: Told of each pass.
        """
        self._model, self.size, self._listener = model, size, listener
        self._waiting: dict[Wavelengths, list[PendingTile]] = {}
        self._begun: deque[tuple[list[PendingTile], PendingEmbeddings]] = deque()
        self._busy_s, self._tried = 0.0, False

    def add(self, wavelengths: Wavelengths, slots: Iterable[PendingTile]) -> None:
        """Take tiles of one list of bands, and have embedded what fills a batch."""
        batch = self._waiting.setdefault(wavelengths, [])
        batch += slots
        while len(batch) >= self.size:
            self._begin(wavelengths)
        self._collect(_BEGUN)

    def flush(self) -> None:
        """Embed all that waits."""
        for wavelengths, batch in list(self._waiting.items()):
            while batch:
                self._begin(wavelengths)
            del self._waiting[wavelengths]
        self._collect(0)

    def _begin(self, wavelengths: Wavelengths) -> None:
        """Begin with one batch; what belongs to a scene that has failed meanwhile is dropped."""
        batch = self._waiting[wavelengths]
        batch[:] = [slot for slot in batch if not slot.work.failed]
        now = batch[: self.size]
        if not now:
            return
        pixels = np.stack([slot.tile.pixels for slot in now])
        # Only now, that the next batch is ready.
        self._collect(_BEGUN - 1)
        try:
            if self._busy_s > _LONG_S and not self._tried and len(now) == self.size:
                self._tried = True
                if said := self._model.speed_up(pixels, wavelengths):
                    self._listener.note(said)
            begun = self._model.begin_pixels(pixels, wavelengths)
        except Exception as error:
            if not _is_out_of_memory(error) or self.size == 1:
                raise
            # Another try with half as many, and so from now on.
            self.size = max(1, len(now) // 2)
            self._listener.note(f"too little memory for {len(now)} tiles at once; from now on {self.size}")
            return
        self._begun.append((now, begun))
        del batch[: len(now)]
        self._collect(_BEGUN)

    def _collect(self, most: int) -> None:
        """Hand on what is embedded; wait until at most so many batches are not."""
        while self._begun and (len(self._begun) > most or self._begun[0][1].done()):
            slots, begun = self._begun.popleft()
            for slot, vector in zip(slots, begun.result(), strict=True):
                slot.work.embedded(slot, vector)
            seconds = begun.seconds()
            self._busy_s += seconds
            self._listener.encoded(len(slots), seconds)


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch's class, by name: this package does not know the library.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
