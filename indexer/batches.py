"""Gathers tiles of one band list across scenes and has them embedded."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bandsight.model.protocol import Encoder
from indexer.reader import NOTHING, ReadTile
from indexer.work import Wavelengths, Work


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
        self._waiting: dict[Wavelengths, list[tuple[Work, int]]] = {}

    def add(self, work: Work, tiles: list[ReadTile]) -> None:
        """Take tiles of a scene, and embed what fills a batch."""
        batch = self._waiting.setdefault(work.wavelengths, [])
        for tile in tiles:
            batch.append((work, len(work.tiles)))
            work.tiles.append(tile)
        while len(batch) >= self.size:
            self._embed(work.wavelengths)

    def flush(self) -> None:
        """Embed all that waits."""
        for wavelengths, batch in list(self._waiting.items()):
            while batch:
                self._embed(wavelengths)
            del self._waiting[wavelengths]

    def _embed(self, wavelengths: Wavelengths) -> None:
        """Embed one batch; what belongs to a scene that has failed meanwhile is dropped."""
        batch = self._waiting[wavelengths]
        batch[:] = [(work, position) for work, position in batch if not work.failed]
        now = batch[: self.size]
        if not now:
            return
        pixels = np.stack([work.tiles[position].pixels for work, position in now])
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
        for (work, position), vector in zip(now, vectors, strict=True):
            work.tiles[position] = replace(work.tiles[position], pixels=NOTHING)
            work.vectors[position] = vector


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch's class, by name: this package does not know the library.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
