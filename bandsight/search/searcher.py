"""What a search works with: one archive, the model of its vectors, and a decoder of query images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.model.protocol import Encoder
from bandsight.search.question import Picture
from bandsight.search.thresholds import SceneBands

Decode = Callable[[bytes, Sequence[float] | None], tuple[NDArray[np.uint8], tuple[float, ...]]]
"""Decodes a query image: its bytes and the wavelengths given for it to pixels (C, H, W) and wavelengths in µm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searcher:
    """An open archive with the model that encodes queries for it; safe to share between threads."""

    archive: Archive
    """What is searched."""
    encoder: Encoder
    """Encodes queries."""
    decode: Decode
    """Decodes query images within the limits of the program."""
    max_hits: int = 1000
    """Most hits on a page."""
    bands: SceneBands = field(default_factory=SceneBands)
    """Wavelengths of scenes read so far."""

    def embed_picture(self, picture: Picture) -> tuple[NDArray[np.float32], tuple[float, ...]]:
        """Return the unit vector of a picture, shape (dim,), and the wavelengths of its bands, µm.

        Raises:
            ImageError: It cannot be decoded within the limits.
            BusyError: The decoders are busy with other pictures.
            WavelengthError: A wavelength is not in µm.
        """
        pixels, wavelengths = self.decode(picture.data, picture.wavelengths)
        vector: NDArray[np.float32] = self.encoder.embed_pixels(pixels[None], wavelengths)[0]
        return vector, wavelengths
