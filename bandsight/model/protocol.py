"""The interface of image-text models, independent of the library that implements them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.model.pending import PendingEmbeddings
from bandsight.model.scoring import Probabilities


class Encoder(Protocol):
    """An image-text model that accepts images with any list of bands."""

    @property
    def name(self) -> str:
        """Source of the model, e.g. `embedded`."""

    @property
    def digest(self) -> str:
        """SHA-256 of weights and preprocessing. Models with equal digests give equal vectors."""

    @property
    def license(self) -> str:
        """Licence of the weights, an SPDX expression where possible."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def image_size(self) -> int:
        """Width and height of the input, pixels; the natural tile size."""

    @property
    def gsd_m(self) -> tuple[float, float] | None:
        """Smallest and largest ground sample distance in the training data, m; None if the config does not state it."""

    @property
    def background(self) -> NDArray[np.float32] | None:
        """Background mean that `sentence_vectors` subtracts, shape (dim,), or None."""

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector per tile.

        Args:
            pixels: Values scaled to 0..255 by the sensor profile, shape (n, bands, height, width).
            wavelengths: Centre wavelength of each band in µm, in band order.

        Returns:
            Vectors of L2 norm 1, shape (n, dim), row i for tile i.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector for each cell of each tile, to locate things in a tile.

        Args:
            pixels: As in `embed_pixels`, at least one tile.
            wavelengths: As in `embed_pixels`.

        Returns:
            Vectors, shape (n, h, w, dim); cell (0, 0) is the upper left. The model determines h and w.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one unit vector per text, shape (n, dim).

        Tiles are ranked by the vectors of `bandsight.model.scoring.sentence_vectors`.
        """

    @property
    def probabilities(self) -> Probabilities:
        """Converts the model's scores to probabilities."""


class BatchEncoder(Encoder, Protocol):
    """An encoder for jobs, which can start a batch before the previous one has finished."""

    def begin_pixels(
        self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0
    ) -> PendingEmbeddings:
        """Start `embed_pixels` on a batch. On a GPU, this returns before the vectors are computed.

        Args:
            pixels: As in `embed_pixels`.
            wavelengths: As in `embed_pixels`.
            cells: Cells along a side of a tile whose vectors are wanted too, averages of `dense`; 0 for none.

        Raises:
            ModelError: There are more cells than `dense` has along a side.
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        """Try to optimise the model for batches like this one. Takes up to a few minutes; for long jobs.

        Returns:
            The outcome, for the log, or None if there is nothing to optimise.
        """
