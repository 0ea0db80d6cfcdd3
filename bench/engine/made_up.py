"""Synthetic vectors with a distribution like that of a large image-text model.

Measured on 20,000 real crops of aerial images with the embedded model (384 numbers): the mean vector has length 0.53 (a
cone); the spectrum falls quickly (16 directions have 84% of the variance, participation ratio 14); the nearest
neighbour has cosine 0.96, the tenth 0.94, the hundredth 0.89. Synthetic images are harder: a cone of 0.58, a spectrum
proportional to 1/(i + 4), so that 64 directions have 58% of the variance (participation ratio 100), clusters of very
uneven size (Pareto) and spread around their centres, and the tenth neighbour at 0.79. Sentences are on another cone,
with half of a cluster's centre and as much noise: the best image has cosine 0.33, the tenth 0.22, all others 0.0 ±
0.05. Everything is rotated randomly, so that the axes have no meaning.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

_CHUNK = 50_000
_CONE, _FALL, _FIRST = 0.8, 1.0, 4.0
_SPREAD = (0.3, 0.8)
_ROWS_A_CLUSTER = 200
_QUERIES_SEED = 99_999_999


class MadeUp:
    """Draws image and sentence vectors of one synthetic model."""

    def __init__(self, dim: int, rows: int, axes: NDArray[np.float32] | None = None) -> None:
        """Draw cones, clusters and spectrum for an archive of some size.

        Args:
            dim: Length of a vector.
            rows: Size of the archive.
            axes: Orthogonal directions of decreasing variance, shape (dim, dim), instead of random ones.
        """
        rng = np.random.default_rng(0)
        clusters = max(50, rows // _ROWS_A_CLUSTER)
        spectrum = (np.arange(dim) + _FIRST) ** -_FALL
        self._dim = dim
        self._deviation = np.sqrt(spectrum / spectrum.sum()).astype(np.float32)
        self._cones = _unit(rng.normal(size=(2, dim))).astype(np.float32) * np.float32(_CONE)
        self._centres = rng.standard_normal((clusters, dim), np.float32) * self._deviation
        share = rng.pareto(1.2, clusters) + 0.1
        self._share = share / share.sum()
        self._spread = rng.uniform(*_SPREAD, clusters).astype(np.float32)
        turn, _ = np.linalg.qr(np.random.default_rng(9).standard_normal((dim, dim)))
        self._turn = turn.astype(np.float32) if axes is None else axes

    def images(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return unit vectors, shape (count, dim)."""
        rng = np.random.default_rng(seed)
        own = rng.choice(len(self._centres), count, p=self._share)
        noise = rng.standard_normal((count, self._dim), np.float32) * self._deviation * self._spread[own, None]
        return _unit(self._cones[0] + self._centres[own] + noise) @ self._turn

    def texts(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return unit vectors on the other cone, shape (count, dim)."""
        rng = np.random.default_rng(seed)
        own = rng.integers(len(self._centres), size=count)
        noise = rng.standard_normal((count, self._dim), np.float32) * self._deviation
        return _unit(self._cones[1] + 0.5 * self._centres[own] + 0.5 * noise) @ self._turn

    def queries(self, count: int) -> dict[str, NDArray[np.float32]]:
        """Return queries of each kind, none of which is a row."""
        return {"image": self.images(count, _QUERIES_SEED), "text": self.texts(count, _QUERIES_SEED)}


def chunks(dim: int, rows: int) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of an archive in chunks."""
    made = MadeUp(dim, rows)
    for start in range(0, rows, _CHUNK):
        yield made.images(min(_CHUNK, rows - start), start + 1)


def write(path: Path, dim: int, rows: int) -> None:
    """Write the rows as float16 (.npy), unless the file exists."""
    if path.exists():
        return
    unfinished = path.with_suffix(".part")
    out = open_memmap(unfinished, "w+", "<f2", (rows, dim))
    start = 0
    for values in chunks(dim, rows):
        out[start : start + len(values)] = values
        start += len(values)
    out.flush()
    unfinished.rename(path)


def _unit(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)
