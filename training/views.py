"""Random views of images, on tensors: crops, rotations, light, haze and blur."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def random_view(image: NDArray[np.uint8], size: int, rng: np.random.Generator, area: tuple[float, float]) -> Tensor:
    """Return a random square crop in any of eight orientations, float 0..1, shape (1, bands, size, size).

    Args:
        image: uint8 (bands, height, width).
        size: Side of the view, pixels.
        rng: Random number generator.
        area: Minimum and maximum share of the image's area.
    """
    _, height, width = image.shape
    side = max(8, round(math.sqrt(rng.uniform(*area)) * min(height, width)))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = np.rot90(image[:, top : top + side, left : left + side], int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        crop = crop[:, :, ::-1]
    return resized(torch.from_numpy(np.ascontiguousarray(crop))[None].float() / 255, size)


def resized(views: Tensor, size: int) -> Tensor:
    """Resize views (n, bands, H, W) to a square, bilinear with antialiasing, like the product does."""
    if views.shape[-2:] == (size, size):
        return views
    return functional.interpolate(views, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def mosaic(views: Tensor) -> Tensor:
    """Return a mosaic of four or sixteen smaller views, like the same kind of place from a greater height.

    Args:
        views: Shape (4 or 16, bands, size, size).
    """
    across = math.isqrt(len(views))
    small = resized(views, views.shape[-1] // across)
    return torch.cat([torch.cat([*row], dim=2) for row in torch.split(small, across)], dim=1)


def random_light(views: Tensor, rng: torch.Generator) -> Tensor:
    """Vary contrast, brightness, colour balance, gamma and sharpness; 0..1 in and out."""
    n, bands = views.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    def some(share: float) -> Tensor:
        return (torch.rand(n, 1, 1, 1, generator=rng) < share).float()

    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    out = (views - mean) * uniform(0.75, 1.25, n, 1, 1, 1) + mean + uniform(-0.08, 0.08, n, 1, 1, 1)
    out = out * (1 + uniform(-1, 1, n, bands, 1, 1) * (0.06 + 0.16 * some(0.25)))
    gamma = 1 + some(0.4) * uniform(-0.3, 0.4, n, 1, 1, 1)
    out = out.clamp(1e-4, 1) ** gamma
    haze = uniform(0, 0.35, n, 1, 1, 1) * some(0.15)
    out = out * (1 - haze) + haze * uniform(0.4, 0.95, n, 1, 1, 1)
    # With a fixed stretch, reflectance often uses only part of the range.
    share = 1 - (1 - uniform(0.3, 0.7, n, 1, 1, 1)) * some(0.15)
    out = out * share
    size = views.shape[-1]
    for row in torch.nonzero(torch.rand(n, generator=rng) < 0.12).flatten().tolist():
        coarse = functional.interpolate(out[row : row + 1], size=int(size / uniform(1.5, 3.5, 1).item()), mode="area")
        out[row] = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)[0]
    return out.clamp(0, 1)
