"""Converts uint8 tiles of any size to the input of an image tower, according to its preprocess_cfg."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandsight.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """Resizing, then (x / 255 - mean) / std, the same for every band."""

    size: int
    """Width and height of the model's input, pixels."""
    mean: float
    """Subtracted from values in 0..1."""
    std: float
    """Divisor after the subtraction."""
    interpolation: str
    """`bicubic` or `bilinear`, as in Pillow (antialiased)."""
    resize_mode: str
    """`squash` ignores the aspect ratio; `shortest` keeps it and crops the centre."""

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise ModelError(f"preprocess_cfg: interpolation {self.interpolation!r}; need one of {sorted(_FILTERS)}")
        if self.resize_mode not in {"squash", "shortest"}:
            raise ModelError(f"preprocess_cfg: resize_mode {self.resize_mode!r}; need 'squash' or 'shortest'")

    @classmethod
    def from_config(cls, cfg: dict[str, Any], size: int) -> "Preprocess":
        """Return the preprocessing of an open_clip `preprocess_cfg`. Mean and std must be the same for all channels."""
        mean, std = cfg.get("mean", 0.5), cfg.get("std", 0.5)
        for name, value in (("mean", mean), ("std", std)):
            if isinstance(value, list) and len(set(value)) != 1:
                raise ModelError(
                    f"preprocess_cfg: {name} {value} differs by channel; a model for arbitrary bands needs a single "
                    "value"
                )
        return cls(
            size=size,
            mean=float(mean[0] if isinstance(mean, list) else mean),
            std=float(std[0] if isinstance(std, list) else std),
            interpolation=cfg.get("interpolation", "bicubic"),
            resize_mode=cfg.get("resize_mode", "squash"),
        )

    def resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return tiles (N, C, H, W) resized to the input size."""
        return pixels if pixels.shape[2:] == (self.size, self.size) else self._resize(pixels)

    def scaled(self, pixels: "Tensor") -> "Tensor":
        """Return uint8 values scaled and normalised to float32, on the same device."""
        return pixels.float().div_(255).sub_(self.mean).div_(self.std)

    def _resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        n, bands, height, width = pixels.shape
        to_h = to_w = self.size
        if self.resize_mode == "shortest":
            # As in torchvision's Resize: the short side becomes `size`, the long side is truncated.
            short = min(height, width)
            to_h, to_w = int(self.size * height / short), int(self.size * width / short)
        top, left = round((to_h - self.size) / 2), round((to_w - self.size) / 2)
        out = np.empty((n * bands, self.size, self.size), np.uint8)
        for row, band in enumerate(pixels.reshape(n * bands, height, width)):
            resized = Image.fromarray(band).resize((to_w, to_h), _FILTERS[self.interpolation])
            out[row] = np.asarray(resized)[top : top + self.size, left : left + self.size]
        return out.reshape(n, bands, self.size, self.size)
