"""Image tower of the embedded model on a CPU without PyTorch: ONNX Runtime for the trunks, NumPy for the rest.

Its vectors equal PyTorch's to about 1e-6 (tests/model/test_image_tower.py).
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.model import spectra
from bandsight.model.cells import averages, check_cells, pooled_cells, pooling, unit
from bandsight.model.efficientnet import (
    BIAS,
    CELLS,
    KERNEL,
    PIXELS,
    POOLED,
    STEM,
    folded,
    is_efficientnet_lite,
    stem_session,
    trunk_session,
)
from bandsight.model.folder import INDICES, SEPARATOR, SPECTRAL, ModelFolder
from bandsight.model.preprocess import Preprocess
from bandsight.model.wavelengths import check_wavelengths

# Tiles per forward pass.
_BATCH = 64
# Cached first convolutions. An archive has few distinct lists of bands.
_KEPT = 64
_PREFIX, _HEAD = "visual.trunk.", "visual.head.proj.weight"

Waves = tuple[float, ...]


class ImageTower:
    """Embeds uint8 tiles of any size and list of bands; safe to share between threads."""

    def __init__(
        self, trunks: Sequence["Trunk | IndexFeatures"], head: NDArray[np.float32], preprocess: Preprocess
    ) -> None:
        self._trunks, self._head, self._preprocess = trunks, head, preprocess

    def embed(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return unit vectors (n, dim) of tiles (n, bands, height, width).

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """
        tiles, waves = self._prepared(pixels, wavelengths)
        parts = [self._pooled(tiles[start : start + _BATCH], waves) for start in range(0, len(tiles), _BATCH)]
        return np.concatenate([np.empty((0, len(self._head)), np.float32), *parts])

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return unit vectors (n, h, w, dim) of the cells of tiles (n, bands, height, width), n at least 1.

        Raises:
            WavelengthError: The counts differ, or a value is not a wavelength in µm.
        """
        tiles, waves = self._prepared(pixels, wavelengths)
        if not len(tiles):
            raise ValueError("pixels: found no tiles; need at least one, because the number of cells depends on it")
        return np.concatenate(
            [self._cells(tiles[start : start + _BATCH], waves) for start in range(0, len(tiles), _BATCH)]
        )

    def with_cells(
        self, name: str, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return unit vectors of tiles, as in `embed`, and of their cells, shape (n, cells, cells, dim), in one pass.

        Raises:
            ModelError: There are more cells than the model `name` can distinguish.
            WavelengthError: See `embed`.
        """
        tiles, waves = self._prepared(pixels, wavelengths)
        vectors = [np.empty((0, len(self._head)), np.float32)]
        parts = [np.empty((0, cells, cells, len(self._head)), np.float32)]
        for start in range(0, len(tiles), _BATCH):
            x = self._scaled(tiles[start : start + _BATCH])
            found = [trunk.both(x, waves) for trunk in self._trunks]
            vectors.append(unit(np.concatenate([pooled for pooled, _ in found], axis=1) @ self._head.T))
            dense = self._dense([features for _, features in found])
            check_cells(name, (dense.shape[1], dense.shape[2]), cells)
            parts.append(pooled_cells(dense, cells))
        return np.concatenate(vectors), np.concatenate(parts)

    def resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return tiles resized to the tower's input. This does not change their vectors."""
        return self._preprocess.resized(pixels)

    def _prepared(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> tuple[NDArray[np.uint8], Waves]:
        if pixels.dtype != np.uint8 or pixels.ndim != 4:  # noqa: PLR2004
            raise ValueError(f"pixels: {pixels.dtype} {pixels.shape}; need uint8 (N, C, H, W)")
        return self._preprocess.resized(pixels), check_wavelengths(wavelengths, pixels.shape[1])

    def _scaled(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = tiles.astype(np.float32)
        x /= np.float32(255)
        x -= np.float32(self._preprocess.mean)
        x /= np.float32(self._preprocess.std)
        return x

    def _pooled(self, tiles: NDArray[np.uint8], waves: Waves) -> NDArray[np.float32]:
        x = self._scaled(tiles)
        return unit(np.concatenate([trunk.pooled(x, waves) for trunk in self._trunks], axis=1) @ self._head.T)

    def _cells(self, tiles: NDArray[np.uint8], waves: Waves) -> NDArray[np.float32]:
        x = self._scaled(tiles)
        return self._dense([trunk.cells(x, waves) for trunk in self._trunks])

    def _dense(self, features: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return unit vectors (n, h, w, dim) from each trunk's features per cell."""
        together = np.concatenate(features, axis=1)
        return unit(np.ascontiguousarray(together.transpose(0, 2, 3, 1)) @ self._head.T)


class Trunk:
    """A learned trunk with a first convolution for any list of bands; see `patch_embed.SpectralStem`."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        """Build the trunk. Removes the arrays it uses from `weights`.

        Raises:
            KeyError: An array is missing.
        """
        factor, self._bias = folded(weights, "bn1")
        self._anchors = weights.pop("conv_stem.anchor_kernels").astype(np.float32) * factor[None, :, None, None]
        self._pan = weights.pop("conv_stem.pan_kernel").astype(np.float32) * factor[:, None, None]
        self._stem, self._session = stem_session(), trunk_session(weights)
        self._kernels: dict[Waves, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def pooled(self, x: NDArray[np.float32], waves: Waves) -> NDArray[np.float32]:
        """Return features (n, features) of images (n, bands, h, w)."""
        return self._run([POOLED], x, waves)[0]

    def cells(self, x: NDArray[np.float32], waves: Waves) -> NDArray[np.float32]:
        """Return features (n, features, h / 32, w / 32) of images (n, bands, h, w)."""
        return self._run([CELLS], x, waves)[0]

    def both(self, x: NDArray[np.float32], waves: Waves) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what `pooled` and `cells` return, in one pass."""
        pooled, cells = self._run([POOLED, CELLS], x, waves)
        return pooled, cells

    def _run(self, outputs: list[str], x: NDArray[np.float32], waves: Waves) -> list[NDArray[np.float32]]:
        with self._lock:
            kernel = self._kernels.get(waves)
            if kernel is None:
                if len(self._kernels) >= _KEPT:
                    self._kernels.clear()
                kernel = self._kernels[waves] = self._kernel(waves)
        stem = self._stem.run(None, {PIXELS: x, KERNEL: kernel, BIAS: self._bias})[0]
        found: list[NDArray[np.float32]] = self._session.run(outputs, {STEM: stem})
        return found

    def _kernel(self, waves: Waves) -> NDArray[np.float32]:
        """Return the kernel of the first convolution, shape (out, bands, 3, 3)."""
        squared = _squared_distances(spectra.ANCHORS, waves)
        share = _softmax(-squared / (2 * np.float32(spectra.REGRESSION_WIDTH) ** 2))
        gate = np.exp(-squared.min(axis=1) / (2 * np.float32(spectra.GATE_WIDTH) ** 2))
        kernel = np.einsum("mohw,mc->ochw", self._anchors, gate[:, None] * share)
        visible = (gate[spectra.RED] + gate[spectra.GREEN] + gate[spectra.BLUE]) / 3
        kernel = kernel + self._pan[:, None] / np.float32(len(waves)) * (1 - visible)
        return np.ascontiguousarray(kernel, np.float32)


@dataclass(frozen=True, slots=True)
class IndexFeatures:
    """The spectral indices as features; see `spectral_indices.SpectralIndices`."""

    @property
    def num_features(self) -> int:
        """Number of features."""
        return len(spectra.PAIRS) * len(spectra.LEVELS) + len(spectra.BRIGHT) * len(spectra.BRIGHT_LEVELS)

    def pooled(self, x: NDArray[np.float32], waves: Waves) -> NDArray[np.float32]:
        """Return features (n, features) of images (n, bands, h, w): the mean over the cells."""
        return self.both(x, waves)[0]

    def both(self, x: NDArray[np.float32], waves: Waves) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what `pooled` and `cells` return, in one pass."""
        cells = self.cells(x, waves)
        return np.asarray(cells.mean(axis=(2, 3)), np.float32), cells

    def cells(self, x: NDArray[np.float32], waves: Waves) -> NDArray[np.float32]:
        """Return features (n, features, h / 32, w / 32) of images (n, bands, h, w)."""
        size = (math.ceil(x.shape[2] / spectra.CELL_PX), math.ceil(x.shape[3] / spectra.CELL_PX))
        out = np.zeros((len(x), self.num_features, *size), np.float32)
        squared = _squared_distances(spectra.INDEX_ANCHORS, waves) / (2 * np.float32(spectra.INDEX_WIDTH) ** 2)
        presence = np.exp(-squared.min(axis=1))
        gates = [float(presence[a] * presence[b]) for a, b in (*spectra.PAIRS, *spectra.BRIGHT)]
        if max(gates) < spectra.ABSENT:
            return out
        # Half the resolution is accurate enough and takes a quarter of the time.
        chosen = _softmax(-squared) @ x.reshape(*x.shape[:2], -1) * np.float32(0.5) + np.float32(0.5)
        bands = _halved(chosen.reshape(len(x), -1, *x.shape[2:]))
        number = 0
        for (a, b), gate in zip(spectra.PAIRS, gates, strict=False):
            index = (bands[:, a] - bands[:, b]) / (bands[:, a] + bands[:, b] + np.float32(spectra.DARK))
            for level in spectra.LEVELS:
                out[:, number] = gate * averages(_step(index, level, spectra.INDEX_STEP), *size)
                number += 1
        for (a, _), gate in zip(spectra.BRIGHT, gates[len(spectra.PAIRS) :], strict=True):
            for level in spectra.BRIGHT_LEVELS:
                out[:, number] = gate * averages(_step(bands[:, a], level, spectra.BRIGHT_STEP), *size)
                number += 1
        return out


def image_tower(folder: ModelFolder) -> ImageTower | None:
    """Return a model's image tower, or None if it is unsupported or damaged. Loading the whole model reports damage."""
    try:
        vision = folder.config["model_cfg"]["vision_cfg"]
        name, kind = str(vision["timm_model_name"]), (vision["timm_pool"], vision["timm_proj"])
        names = name.removeprefix(SPECTRAL).split(SEPARATOR)
        learned = [one for one in names if one != INDICES]
        if kind != ("avg", "linear") or not name.startswith(SPECTRAL) or not all(map(is_efficientnet_lite, learned)):
            return None
        preprocess = Preprocess.from_config(folder.config.get("preprocess_cfg", {}), int(vision["image_size"]))
        weights = _weights(folder)
        head = weights.pop(_HEAD).astype(np.float32)
        prefixes = [_PREFIX] if len(names) == 1 else [f"{_PREFIX}trunks.{place}." for place in range(len(names))]
        trunks = [_trunk(weights, prefix, one) for prefix, one in zip(prefixes, names, strict=True)]
    except (KeyError, TypeError, ValueError, OSError):
        return None
    return None if weights else ImageTower(trunks, head, preprocess)


def _weights(folder: ModelFolder) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError, safe_open

    if folder.weights.suffix != ".safetensors":
        raise ValueError(folder.weights)
    try:
        with safe_open(folder.weights, "np") as file:
            names = [name for name in file.keys() if name.startswith("visual.")]  # noqa: SIM118  (not a dictionary)
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _trunk(weights: dict[str, NDArray[Any]], prefix: str, name: str) -> "Trunk | IndexFeatures":
    if name == INDICES:
        return IndexFeatures()
    own = {key: weights.pop(key) for key in [key for key in weights if key.startswith(prefix)]}
    rest = {key.removeprefix(prefix): value for key, value in own.items()}
    trunk = Trunk(rest)
    if rest:
        raise ValueError(f"{name}: unknown arrays {sorted(rest)}")
    return trunk


def _squared_distances(anchors: Sequence[float], waves: Waves) -> NDArray[np.float32]:
    """Return squared distances in log-wavelength, shape (anchors, bands)."""
    logs = np.log(np.asarray(anchors, np.float32))[:, None] - np.log(np.asarray(waves, np.float32))[None, :]
    return np.asarray(logs * logs, np.float32)


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _step(values: NDArray[np.float32], level: float, width: float) -> NDArray[np.float32]:
    return np.asarray(np.clip((values - np.float32(level)) / np.float32(width) + np.float32(0.5), 0, 1), np.float32)


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average 2 × 2 pixels; the last row or column may have only one."""
    height, width = values.shape[-2:]
    return np.asarray(pooling(height, _pairs(height)) @ values @ pooling(width, _pairs(width)).T, np.float32)


def _pairs(pixels: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + 2, pixels)) for begin in range(0, pixels, 2)]
