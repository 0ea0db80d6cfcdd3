"""Test doubles that implement the real protocols: small, deterministic, with records of their calls."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.model.cells import check_cells
from bandsight.model.pending import Ready
from bandsight.model.scoring import ImageryLike, Platt, ScoreScale


class FakeEmbedder:
    """An `Encoder` of 16 dimensions: brightness by part of the tile for images, a hash for texts."""

    name = "fake"
    digest = "f" * 64
    license = "Apache-2.0"
    dim = 16
    image_size = 32

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        assert pixels.dtype == np.uint8
        assert pixels.shape[1] == len(wavelengths)
        self.batches.append(pixels.shape)
        n = len(pixels)
        flat = pixels.astype(np.float32).mean(axis=1).reshape(n, -1)
        if flat.shape[1] < self.dim:
            flat = np.repeat(flat, self.dim, axis=1)
        parts = np.stack([part.mean(axis=1) for part in np.array_split(flat, self.dim, axis=1)], axis=1)
        return _unit(parts + np.linspace(1, 2, self.dim, dtype=np.float32))

    def begin_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0) -> Ready:
        vectors = self.embed_pixels(pixels, wavelengths)
        if not cells:
            return Ready(vectors)
        check_cells(self.name, (2, 2), cells)
        return Ready(vectors, parts=self.dense(pixels, wavelengths))

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:
        return None

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return 2 × 2 cells, each embedded like a tile."""
        n = len(pixels)
        halves = [np.array_split(row, 2, axis=3) for row in np.array_split(pixels, 2, axis=2)]
        cells = [self.embed_pixels(np.ascontiguousarray(cell), wavelengths) for row in halves for cell in row]
        return np.stack(cells, axis=1).reshape(n, 2, 2, self.dim)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        return _unit(np.stack([np.random.default_rng(s).normal(size=self.dim) for s in seeds]))

    gsd_m = None
    background = None

    @property
    def probabilities(self) -> "FakeEmbedder":
        """Itself: it says what its scores mean."""
        return self

    def of(
        self, cosines: NDArray[np.float32], texts: NDArray[np.float32], imagery: Sequence[ImageryLike]
    ) -> NDArray[np.float32]:
        return (1 / (1 + np.exp(-10 * cosines))).astype(np.float32)

    def families(self, text: NDArray[np.float32]) -> dict[str, Platt]:
        return {"multispectral": Platt(scale=10.0, bias=0.0, gsd_m=(5.0, 100.0)), "rgb": Platt(scale=20.0, bias=-1.0)}

    def threshold(self, imagery: ImageryLike) -> float | None:
        return 0.9

    @property
    def sure(self) -> float | None:
        return self.threshold((0.66, 0.56, 0.48))

    def scales(self, texts: NDArray[np.float32]) -> dict[str, ScoreScale]:
        return {}

    def reason(self, imagery: ImageryLike, text: NDArray[np.float32] | None = None) -> str | None:
        return None


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
