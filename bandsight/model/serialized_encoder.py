"""A thread-safe encoder."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from bandsight.model.protocol import Encoder
from bandsight.work import check_cancelled, stage

# Cached text vectors: result pages repeat the same query, and users repeat each other's.
_KEPT = 2048
# Texts embedded at a time. In between, other requests get their turn and cancelled ones stop.
_AT_ONCE = 16


class SerializedEncoder:
    """An encoder that runs one query at a time and caches text vectors.

    Tokenizers are not thread-safe, and models already use all cores. A thread-safe text tower (`LightEncoder`) embeds
    texts of several requests concurrently, also alongside an image. Requests are not batched together, because the last
    digits of a vector would then depend on the rest of the batch.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._text_lock = nullcontext() if getattr(encoder, "thread_safe_texts", False) else self._lock
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._vectors_lock = threading.Lock()
        self.name = encoder.name
        self.digest = encoder.digest
        self.license = encoder.license
        self.dim = encoder.dim
        self.image_size = encoder.image_size
        self.gsd_m = encoder.gsd_m
        self.background = encoder.background
        self.probabilities = encoder.probabilities

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector per tile; see `Encoder`."""
        with self._lock:
            check_cancelled()
            with stage("encode"):
                return self._encoder.embed_pixels(pixels, wavelengths)

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector for each cell of each tile; see `Encoder`."""
        with self._lock:
            check_cancelled()
            with stage("encode"):
                return self._encoder.dense(pixels, wavelengths)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one unit vector per text; see `Encoder`."""
        with self._vectors_lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
            for text in known:
                self._vectors.move_to_end(text)
        new = list(dict.fromkeys(text for text in texts if text not in known))
        if new:
            known |= dict(zip(new, self._embedded(new), strict=True))
            with self._vectors_lock:
                # Copy, because a row view would keep the whole batch in memory.
                self._vectors |= {text: known[text].copy() for text in new}
                while len(self._vectors) > _KEPT:
                    self._vectors.popitem(last=False)
        return np.array([known[text] for text in texts], np.float32).reshape(len(texts), self.dim)

    def _embedded(self, texts: list[str]) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(texts), _AT_ONCE):
            with self._text_lock:
                check_cancelled()
                with stage("encode"):
                    vectors = self._encoder.embed_texts(texts[start : start + _AT_ONCE])
            yield from vectors
