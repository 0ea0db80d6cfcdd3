"""`Encoder` implementation: an open_clip model for any list of bands."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CustomTextCLIP
from torch import Tensor
from torch.nn import functional

from bandsight.errors import WavelengthError
from bandsight.model.architecture import dense_features, embedding_and_cells, wavelength_inputs
from bandsight.model.calibration import read_calibration
from bandsight.model.cells import check_cells
from bandsight.model.pending import PendingEmbeddings, Ready
from bandsight.model.preprocess import Preprocess
from bandsight.model.scoring import Probabilities
from bandsight.model.torch_compile import compile_if_faster
from bandsight.model.transfer import transfer_for
from bandsight.model.wavelengths import check_wavelengths

Out = TypeVar("Out")

# Texts per forward pass. Larger batches need more memory and are no faster.
_TEXT_BATCH = 64


class ClipEncoder:
    """An image-text model for any list of bands; safe to share between threads."""

    def __init__(
        self,
        model: CustomTextCLIP,
        *,
        preprocess: Preprocess,
        tokenizer: Callable[[list[str]], Tensor],
        device: torch.device,
        name: str,
        digest: str,
        license: str,  # noqa: A002  (the name in open_clip and STAC)
        gsd_m: tuple[float, float] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._model = model.to(device).eval().requires_grad_(False)
        self._inputs = wavelength_inputs(model)
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self.device = device
        self._transfer = transfer_for(device)
        # GPUs before Ampere emulate bf16, which is slower.
        self._bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        self.name = name
        self.digest = digest
        self.license = license
        self.gsd_m = gsd_m
        self.image_size = preprocess.size
        self.dim = int(
            model.visual.head[-1].out_features if len(model.visual.head) else model.visual.trunk.num_features
        )
        calibration = read_calibration(folder, digest)
        bias = None if model.logit_bias is None else float(model.logit_bias)
        self.probabilities = Probabilities(name, calibration, float(model.logit_scale), bias, self.dim)
        self.background = calibration.background

    def encode_image(self, image: Tensor, wavelengths: Sequence[float], *, normalize: bool = False) -> Tensor:
        """Return embeddings (N, D) of preprocessed images (N, C, H, W), given the wavelength of each band, µm.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """
        out = self._run(self._model.visual, image, wavelengths).float()
        return functional.normalize(out, dim=-1) if normalize else out

    def encode_dense(self, image: Tensor, wavelengths: Sequence[float], *, normalize: bool = False) -> Tensor:
        """Return embeddings per cell (N, h, w, D) of preprocessed images (N, C, H, W); see `dense_features`.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """
        out = self._run(partial(dense_features, self._model.visual), image, wavelengths).float()
        return functional.normalize(out, dim=-1) if normalize else out

    def _run(self, tower: Callable[[Tensor], Out], image: Tensor, wavelengths: Sequence[float]) -> Out:
        if image.ndim != 4:  # noqa: PLR2004
            raise WavelengthError(f"images: shape {tuple(image.shape)}; need (N, C, H, W)")
        values = check_wavelengths(wavelengths, image.shape[1])
        with self._lock, torch.inference_mode(), self._autocast():
            for stage in self._inputs:
                stage.use(values)
            return tower(image.to(self.device))

    def encode_text(self, texts: list[str] | Tensor, *, normalize: bool = False) -> Tensor:
        """Return embeddings (N, D) of texts, or of token ids (N, context)."""
        ids = texts if isinstance(texts, Tensor) else self._tokenizer(texts)
        with self._lock, torch.inference_mode(), self._autocast():
            parts = [self._model.text(part.to(self.device)).float() for part in torch.split(ids, _TEXT_BATCH)]
        out = torch.cat(parts)
        return functional.normalize(out, dim=-1) if normalize else out

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return unit vectors float32 (N, D) of uint8 tiles (N, C, H, W) of any size; see `Encoder`."""
        return self.begin_pixels(pixels, wavelengths).result()

    def resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return uint8 tiles (N, C, H, W) resized to the model's input. This does not change their vectors."""
        return self._preprocess.resized(pixels)

    def begin_pixels(
        self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0
    ) -> PendingEmbeddings:
        """Start to embed uint8 tiles (N, C, H, W) of any size; see `BatchEncoder`."""
        tiles = self._uploaded(pixels, wavelengths)
        if not len(tiles):
            parts = np.empty((0, cells, cells, self.dim), np.float32) if cells else None
            return Ready(np.empty((0, self.dim), np.float32), parts=parts)
        start = self._transfer.timestamp()
        image = self._preprocess.scaled(tiles)
        if not cells:
            return self._transfer.download(self.encode_image(image, wavelengths, normalize=True), start)
        tower = partial(embedding_and_cells, self._model.visual, cells=cells)
        vectors, dense = self._run(tower, image, wavelengths)
        check_cells(self.name, (dense.shape[1], dense.shape[2]), cells)
        return self._transfer.download(functional.normalize(vectors.float(), dim=-1), start, dense.float())

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        """Compile the image tower for batches like this one, on CUDA and only if it is faster; see `BatchEncoder`."""
        if self.device.type != "cuda":
            return None
        return compile_if_faster(
            self._model.visual.trunk, lambda: torch.from_numpy(self.embed_pixels(pixels, wavelengths))
        )

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return unit vectors float32 (N, h, w, D) of the cells of uint8 tiles (N, C, H, W); see `Encoder`."""
        tiles = self._uploaded(pixels, wavelengths)
        if not len(tiles):
            raise ValueError("pixels: found no tiles; need at least one, because the number of cells depends on it")
        image = self._preprocess.scaled(tiles)
        vectors: NDArray[np.float32] = self.encode_dense(image, wavelengths, normalize=True).cpu().numpy()
        return vectors

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 (N, D), one per text; see `Encoder`."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        vectors: NDArray[np.float32] = self.encode_text(texts, normalize=True).cpu().numpy()
        return vectors

    def _uploaded(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> Tensor:
        """Resize tiles and upload them to the device, as uint8, because float32 would take four times the bandwidth."""
        if pixels.dtype != np.uint8 or pixels.ndim != 4:  # noqa: PLR2004
            raise ValueError(f"pixels: {pixels.dtype} {pixels.shape}; need uint8 (N, C, H, W)")
        check_wavelengths(wavelengths, pixels.shape[1])
        return self._transfer.upload(np.require(self._preprocess.resized(pixels), requirements=["C", "W"]))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16)
