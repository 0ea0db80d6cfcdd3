"""A thread-safe encoder."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.model.imagery import ImageryLike
from bandsight.model.protocol import Encoder


class SerializedEncoder:
    """An encoder that runs one query at a time. Tokenizers are not thread-safe, and models already use all cores."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self.name = encoder.name
        self.digest = encoder.digest
        self.license = encoder.license
        self.dim = encoder.dim
        self.image_size = encoder.image_size
        self.gsd_m = encoder.gsd_m
        self.background = encoder.background

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector per tile; see `Encoder`."""
        with self._lock:
            return self._encoder.embed_pixels(pixels, wavelengths)

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector for each cell of each tile; see `Encoder`."""
        with self._lock:
            return self._encoder.dense(pixels, wavelengths)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one unit vector per text; see `Encoder`."""
        with self._lock:
            return self._encoder.embed_texts(texts)

    def probabilities(
        self,
        image_vectors: NDArray[np.float32],
        text_vectors: NDArray[np.float32],
        imagery: Sequence[ImageryLike] | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability that each image shows what each text describes; see `Encoder`."""
        return self._encoder.probabilities(image_vectors, text_vectors, imagery)

    def threshold(self, imagery: ImageryLike) -> float | None:
        """Return the probability at which a hit counts as a match; see `Encoder`."""
        return self._encoder.threshold(imagery)

    def uncalibrated(self, imagery: ImageryLike) -> str | None:
        """Return why imagery has no probability; see `Encoder`."""
        return self._encoder.uncalibrated(imagery)
