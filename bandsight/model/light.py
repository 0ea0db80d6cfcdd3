"""An encoder for queries: sentences are embedded without PyTorch, which only the first picture imports."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.calibration import read_calibration
from bandsight.model.deferred import DeferredEncoder
from bandsight.model.folder import find_model
from bandsight.model.imagery import ImageryLike
from bandsight.model.probabilities import Probabilities
from bandsight.model.protocol import Encoder
from bandsight.model.selftest import check_texts
from bandsight.model.text_tower import TextTower, text_tower

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder


class LightEncoder(DeferredEncoder):
    """A model whose text tower runs in NumPy; the rest is loaded by the first use of an image."""

    thread_safe_texts = True
    """Whether several threads may embed sentences at once."""

    def __init__(
        self, source: str, load: Callable[[], "ClipEncoder"], tower: TextTower, logits: dict[str, float]
    ) -> None:
        super().__init__(source, load)
        self._tower = tower
        self._loading = threading.Lock()
        calibration = read_calibration(find_model(source).path, self.digest)
        scale, bias = logits.get("logit_scale"), logits.get("logit_bias")
        self._probabilities = Probabilities(source, calibration, scale, bias, self.dim)

    def load(self) -> "ClipEncoder":
        """Return the whole model, loaded once.

        Raises:
            ModelError: As `load_model`.
        """
        with self._loading:
            return super().load()

    @property
    def background(self) -> NDArray[np.float32] | None:
        """As `Encoder`."""
        return self._probabilities.calibration.background

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """As `Encoder`."""
        return self._tower.embed(texts)

    def probabilities(
        self,
        image_vectors: NDArray[np.float32],
        text_vectors: NDArray[np.float32],
        imagery: Sequence[ImageryLike] | None = None,
    ) -> NDArray[np.float32]:
        """As `Encoder`."""
        return self._probabilities.of(image_vectors, text_vectors, imagery)

    def threshold(self, imagery: ImageryLike) -> float | None:
        """As `Encoder`."""
        return self._probabilities.threshold(imagery)

    def uncalibrated(self, imagery: ImageryLike) -> str | None:
        """As `Encoder`."""
        return self._probabilities.calibration.reason(imagery)


def load_for_queries(source: str, device: str, load: Callable[[], "ClipEncoder"]) -> Encoder:
    """Return an encoder for queries: one that embeds sentences without PyTorch, where the model has such a tower.

    Args:
        source: As `load_model`.
        device: As `load_model`. A model asked for on a GPU is loaded whole.
        load: Loads the whole model.

    Raises:
        ModelError: As `load_model`, or the self-test of the text tower fails.
    """
    found = text_tower(find_model(source)) if device in ("auto", "cpu") else None
    if found is None:
        return load()
    tower, logits = found
    try:
        encoder = LightEncoder(source, load, tower, logits)
        check_texts(encoder)
    except KeyError as error:
        raise ModelError(f"model {source}: its checkpoint lacks {error}; download the complete checkpoint") from error
    return encoder
