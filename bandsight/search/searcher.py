"""The resources of a search: an archive, the model of its vectors, and a decoder of query images."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.model.protocol import Encoder
from bandsight.search.probabilities import SceneImagery
from bandsight.search.question import Picture
from bandsight.search.recall_check import RecallCheck

Decode = Callable[[bytes, Sequence[float] | None], tuple[NDArray[np.uint8], tuple[float, ...]]]
"""Decodes the bytes of a query image, with optional wavelengths, to pixels (C, H, W) and wavelengths in µm."""


class Searcher:
    """An open archive with the model that encodes its queries; thread-safe."""

    def __init__(
        self,
        archive: Archive,
        encoder: Encoder | Callable[[], Encoder],
        decode: Decode | None = None,
        *,
        max_hits: int = 1000,
        check: RecallCheck | None = None,
    ) -> None:
        """Initialize.

        Args:
            archive: The archive to search.
            encoder: Encodes queries, or a function that loads it, called once when a sentence or image needs it.
            decode: Decodes query images; None to decode in this process.
            max_hits: Maximum number of hits per page.
            check: Compares some searches with exact ones.
        """
        self.archive = archive
        self.max_hits = max_hits
        self.check = check
        self.imagery = SceneImagery()
        self._decode = decode
        self._loading = threading.Lock()
        self._load = encoder if callable(encoder) else None
        self._encoder: Encoder | None = None if callable(encoder) else encoder

    @property
    def encoder(self) -> Encoder:
        """The model that encodes queries; loaded on first use.

        Raises:
            ModelError: It cannot be loaded, or differs from the archive's.
        """
        with self._loading:
            if self._encoder is None:
                assert self._load is not None
                self._encoder = self._load()
            return self._encoder

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.archive.model.dim

    def embed_picture(self, picture: Picture) -> tuple[NDArray[np.float32], tuple[float, ...]]:
        """Return the unit vector of an image, shape (dim,), and the wavelengths of its bands, µm.

        Raises:
            ImageError: It cannot be decoded within the limits.
            BusyError: The decoders are busy with other images.
            WavelengthError: A wavelength is not in µm.
        """
        decode = self._decode
        if decode is None:
            from bandsight.query_image import decode_query_image

            decode = decode_query_image
        pixels, wavelengths = decode(picture.data, picture.wavelengths)
        vector: NDArray[np.float32] = self.encoder.embed_pixels(pixels[None], wavelengths)[0]
        return vector, wavelengths
