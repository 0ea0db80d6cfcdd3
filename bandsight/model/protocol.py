"""The port: what every program may ask of an image-text model, whichever library is behind it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.model.pending import PendingEmbeddings


class Encoder(Protocol):
    """An image-text model whose image side takes any list of bands."""

    @property
    def name(self) -> str:
        """What the model was loaded as, e.g. `embedded`."""

    @property
    def digest(self) -> str:
        """SHA-256 over weights and preprocessing: equal digests give equal vectors."""

    @property
    def license(self) -> str:
        """Licence of the weights, an SPDX expression where there is one."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels; the natural tile size."""

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector per tile.

        Args:
            pixels: Scaled to 0..255 as the sensor's profile says, shape (n, bands, height, width).
            wavelengths: Centre wavelength of each band in µm, in the order of the bands.

        Returns:
            Vectors of L2 norm 1, shape (n, dim), row i for tile i.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector for each cell of each tile: where in a tile something is.

        Args:
            pixels: As `embed_pixels` takes them, at least one.
            wavelengths: Likewise.

        Returns:
            Shape (n, h, w, dim); cell (0, 0) is the upper left. How many cells there are is the model's affair.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one unit vector per sentence, shape (n, dim)."""

    def probabilities(
        self,
        image_vectors: NDArray[np.float32],
        text_vectors: NDArray[np.float32],
        wavelengths: Sequence[Sequence[float]] | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability that each image shows what each text says, shape (images, texts).

        Args:
            image_vectors: Shape (images, dim).
            text_vectors: Shape (texts, dim).
            wavelengths: The bands of each image, µm: probabilities are calibrated by family of imagery.
        """

    def threshold(self, wavelengths: Sequence[float]) -> float | None:
        """Return the probability from which a hit with these bands counts as a match; None where none was measured."""


class BatchEncoder(Encoder, Protocol):
    """An encoder that a job keeps busy, one batch behind the other."""

    def begin_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> PendingEmbeddings:
        """Begin what `embed_pixels` does, and return before it is done where the model runs on a device of its own.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        """Try to be faster with batches like this one, which takes up to some minutes and pays in a long job.

        Returns:
            What came of it, for the log; None where there is nothing to try.
        """
