"""Gathers tiles of one band list across scenes and has them embedded."""

import time
from collections.abc import Callable, Iterable

import numpy as np

from bandsight.model.protocol import Encoder
from indexer.work import Slot, Wavelengths


class Batches:
    """The tiles that wait for the model; less than one batch for each list of bands."""

    def __init__(self, model: Encoder, size: int, encoded: Callable[[int, float], None]) -> None:
        """Prepare.

        Args:
            model: Embeds.
            size: Tiles in one forward pass; halved for good when the device has too little memory.
            encoded: Told of each pass: tiles, seconds in the model.
        """
        self._model, self.size, self._encoded = model, size, encoded
        self._waiting: dict[Wavelengths, list[Slot]] = {}

    def add(self, wavelengths: Wavelengths, slots: Iterable[Slot]) -> None:
        """Take tiles of one list of bands, and embed what fills a batch."""
        batch = self._waiting.setdefault(wavelengths, [])
        batch += slots
        while len(batch) >= self.size:
            self._embed(wavelengths)

    def flush(self) -> None:
        """Embed all that waits."""
        for wavelengths, batch in list(self._waiting.items()):
            while batch:
                self._embed(wavelengths)
            del self._waiting[wavelengths]

    def _embed(self, wavelengths: Wavelengths) -> None:
        """Embed one batch; what belongs to a scene that has failed meanwhile is dropped."""
        batch = self._waiting[wavelengths]
        batch[:] = [slot for slot in batch if not slot.work.failed]
        now = batch[: self.size]
        if not now:
            return
        pixels = np.stack([slot.tile.pixels for slot in now])
        began = time.monotonic()
        try:
            vectors = self._model.embed_pixels(pixels, wavelengths)
        except Exception as error:
            if not _is_out_of_memory(error) or self.size == 1:
                raise
            # Another try with half as many, and so from now on.
            self.size = max(1, len(now) // 2)
            return
        self._encoded(len(now), time.monotonic() - began)
        del batch[: len(now)]
        for slot, vector in zip(now, vectors, strict=True):
            slot.work.embedded(slot, vector)


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch's class, by name: this package does not know the library.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
