"""A model that is loaded when it is first used: a job that has nothing to embed does without it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.folder import ModelFolder, find_model

if TYPE_CHECKING:
    from bandsight.model.pending import PendingEmbeddings
    from bandsight.model.probabilities import Probabilities
    from bandsight.model.protocol import BatchEncoder


class DeferredEncoder:
    """An encoder that knows at once which model it is; its weights are read and torch is imported by the first use."""

    def __init__(self, source: str, load: Callable[[], "BatchEncoder"]) -> None:
        """Find the model's files.

        Args:
            source: As `load_model`.
            load: Loads it; called once, if at all.

        Raises:
            ModelError: Files are missing, or the config does not say what the model is.
        """
        folder = find_model(source)
        self.name, self.license, self._load = source, folder.license, load
        self.gsd_m = folder.gsd_m
        self.dim, self.image_size = _sizes(folder)
        self.digest = folder.digest()
        self._encoder: BatchEncoder | None = None

    def load(self) -> "BatchEncoder":
        """Return the model, loaded.

        Raises:
            ModelError: As `load_model`.
        """
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    @property
    def background(self) -> NDArray[np.float32] | None:
        """As `Encoder`."""
        return self.load().background

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """As `Encoder`."""
        return self.load().embed_pixels(pixels, wavelengths)

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """As `Encoder`."""
        return self.load().dense(pixels, wavelengths)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """As `Encoder`."""
        return self.load().embed_texts(texts)

    @property
    def probabilities(self) -> "Probabilities":
        """As `Encoder`."""
        return self.load().probabilities

    def begin_pixels(
        self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0
    ) -> "PendingEmbeddings":
        """As `BatchEncoder`."""
        return self.load().begin_pixels(pixels, wavelengths, cells)

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        """As `BatchEncoder`."""
        return self.load().speed_up(pixels, wavelengths)


def _sizes(folder: ModelFolder) -> tuple[int, int]:
    """Return the length of a vector and the side of the input, pixels."""
    try:
        model = folder.config["model_cfg"]
        return int(model["embed_dim"]), int(model["vision_cfg"]["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"model {folder.source}: its open_clip_config.json lacks embed_dim or image_size ({error}); download the "
            "file again"
        ) from error
