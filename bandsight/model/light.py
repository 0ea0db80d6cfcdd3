"""A model on a CPU without PyTorch: text tower in NumPy, image tower in ONNX Runtime.

Both towers of the embedded model are supported. If only a model's text tower is, the first image loads the whole model
with PyTorch.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.calibration import read_calibration
from bandsight.model.deferred import DeferredEncoder
from bandsight.model.folder import ModelFolder, find_model
from bandsight.model.image_tower import ImageTower, image_tower
from bandsight.model.pending import PendingEmbeddings, Ready
from bandsight.model.scoring import Probabilities
from bandsight.model.selftest import check_images, check_texts
from bandsight.model.text_tower import TextTower, text_tower

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder


class LightEncoder(DeferredEncoder):
    """A model that embeds texts without PyTorch, and also images if `image_tower` supports its image tower."""

    thread_safe_texts = True
    """Whether several threads may embed texts concurrently."""
    device = "cpu"
    """Device of the model."""

    def __init__(
        self,
        source: str,
        load: Callable[[], "ClipEncoder"],
        tower: TextTower,
        logits: dict[str, float],
        *,
        images: Callable[[ModelFolder], ImageTower | None] = image_tower,
        check: bool = True,
    ) -> None:
        """Combine a text tower with a lazily loaded image tower.

        Args:
            source: See `load_model`.
            load: Loads the whole model, if the image tower is unsupported.
            tower: Embeds texts.
            logits: The model's logit scale and bias, by name.
            images: Loads the image tower; called once, for the first image.
            check: Run the self-test; its image half runs with the first image.

        Raises:
            ModelError: The self-test fails.
        """
        super().__init__(source, load)
        self._load_whole = load
        self._whole: ClipEncoder | None = None
        self._tower, self._open_images, self._check = tower, images, check
        self._tower_of_images: ImageTower | None = None
        self._opened = False
        self._loading = threading.RLock()
        calibration = read_calibration(find_model(source).path, self.digest)
        scale, bias = logits.get("logit_scale"), logits.get("logit_bias")
        self._probabilities = Probabilities(source, calibration, scale, bias, self.dim)
        if check:
            check_texts(self)

    def load(self) -> "ClipEncoder":
        """Return the whole model; loads it once.

        Raises:
            ModelError: See `load_model`.
        """
        with self._loading:
            if self._whole is None:
                self._whole = self._load_whole()
            return self._whole

    def images(self) -> ImageTower | None:
        """Return the image tower, or None if it is unsupported; loads it once.

        Raises:
            ModelError: The self-test fails.
        """
        with self._loading:
            if not self._opened:
                found = self._open_images(find_model(self.name))
                if found and self._check:
                    check_images(self.name, check_texts(self), found.embed)
                self._tower_of_images, self._opened = found, True
            return self._tower_of_images

    @property
    def background(self) -> NDArray[np.float32] | None:
        """See `Encoder`."""
        return self._probabilities.calibration.background

    @property
    def probabilities(self) -> Probabilities:
        """See `Encoder`."""
        return self._probabilities

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """See `Encoder`."""
        return (tower.embed if (tower := self.images()) else self.load().embed_pixels)(pixels, wavelengths)

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """See `Encoder`."""
        return (self.images() or self.load()).dense(pixels, wavelengths)

    def resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return uint8 tiles (N, C, H, W) resized to the model's input. This does not change their vectors."""
        return (self.images() or self.load()).resized(pixels)

    def begin_pixels(
        self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0
    ) -> PendingEmbeddings:
        """Embed immediately: on a CPU, deferring gains nothing; see `BatchEncoder`."""
        began = time.perf_counter()
        tower = self.images()
        if tower is None:
            return self.load().begin_pixels(pixels, wavelengths, cells)
        if not cells:
            vectors = tower.embed(pixels, wavelengths)
            return Ready(vectors, time.perf_counter() - began)
        vectors, parts = tower.with_cells(self.name, pixels, wavelengths, cells)
        return Ready(vectors, time.perf_counter() - began, parts)

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        """Return None: there is nothing to optimise; see `BatchEncoder`."""

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """See `Encoder`."""
        return self._tower.embed(texts)


def light_encoder(folder: ModelFolder, load: Callable[[], "ClipEncoder"], *, check: bool = True) -> LightEncoder | None:
    """Return a model that embeds texts without PyTorch, or None if its text tower is unsupported.

    Args:
        folder: The model's files.
        load: Loads the whole model.
        check: Run the self-test.

    Raises:
        ModelError: See `load_model`.
    """
    found = text_tower(folder)
    if found is None:
        return None
    try:
        return LightEncoder(folder.source, load, *found, check=check)
    except KeyError as error:
        raise ModelError(
            f"model {folder.source}: its checkpoint lacks {error}; download the complete checkpoint"
        ) from error


def may_have_gpu() -> bool:
    """Return whether a CUDA device may exist, judged by driver files, because importing PyTorch takes seconds."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists() or not Path("/dev/null").exists()
