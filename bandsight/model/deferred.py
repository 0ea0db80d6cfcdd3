"""A model that is loaded on first use, so that jobs without anything to embed skip it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.folder import ModelFolder, find_model

if TYPE_CHECKING:
    from bandsight.model.pending import PendingEmbeddings
    from bandsight.model.protocol import BatchEncoder
    from bandsight.model.scoring import Probabilities


class DeferredEncoder:
    """An encoder whose metadata is read immediately, while weights and torch are loaded on first use."""

    def __init__(self, source: str, load: Callable[[], "BatchEncoder"]) -> None:
        """Find the model's files.

        Args:
            source: See `load_model`.
            load: Loads the model; called at most once.

        Raises:
            ModelError: Files are missing, or the config is incomplete.
        """
        folder = find_model(source)
        self.name, self.license, self._load = source, folder.license, load
        self.gsd_m = folder.gsd_m
        self.dim, self.image_size = _sizes(folder)
        self.digest = folder.digest()
        self._encoder: BatchEncoder | None = None

    def load(self) -> "BatchEncoder":
        """Load the model if needed, and return it.

        Raises:
            ModelError: See `load_model`.
        """
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    @property
    def background(self) -> NDArray[np.float32] | None:
        """See `Encoder`."""
        return self.load().background

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """See `Encoder`."""
        return self.load().embed_pixels(pixels, wavelengths)

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """See `Encoder`."""
        return self.load().dense(pixels, wavelengths)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """See `Encoder`."""
        return self.load().embed_texts(texts)

    @property
    def probabilities(self) -> "Probabilities":
        """See `Encoder`."""
        return self.load().probabilities

    def begin_pixels(
        self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0
    ) -> "PendingEmbeddings":
        """See `BatchEncoder`."""
        return self.load().begin_pixels(pixels, wavelengths, cells)

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        """See `BatchEncoder`."""
        return self.load().speed_up(pixels, wavelengths)


def _sizes(folder: ModelFolder) -> tuple[int, int]:
    """Return the vector length and the input size, pixels."""
    try:
        model = folder.config["model_cfg"]
        return int(model["embed_dim"]), int(model["vision_cfg"]["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"model {folder.source}: its open_clip_config.json lacks embed_dim or image_size ({error}); download the "
            "file again"
        ) from error
