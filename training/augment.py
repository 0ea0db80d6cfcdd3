"""Random views of tiles: scale, turn, colour, haze, blur, weather; all on tensors, a batch at a time."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def random_views(
    images: list[NDArray[np.uint8]], size: int, rng: torch.Generator, *, area: tuple[float, float]
) -> Tensor:
    """Return random square crops, flipped and turned, as float 0..1, shape (n, bands, size, size).

    Args:
        images: uint8 (bands, height, width), each of its own size.
        size: Side of a view, pixels.
        rng: Source of chance.
        area: Least and greatest share of the image's area in a crop.
    """
    views = []
    for image in images:
        tensor = torch.from_numpy(image).unsqueeze(0).float().div_(255)
        share, angle, x, y, stretch, flip = torch.rand(6, generator=rng).tolist()
        side = math.sqrt(area[0] + (area[1] - area[0]) * share)
        # Any quarter turn, and a little of any angle on half of the views.
        turn = math.pi / 2 * math.floor(angle * 4) + (0.35 * (stretch - 0.5) if flip > 0.5 else 0)
        cos, sin = side * math.cos(turn), side * math.sin(turn)
        mirror = -1 if (angle * 8) % 2 > 1 else 1
        room = max(0.0, 1 - side)
        theta = torch.tensor([[mirror * cos, -sin, (2 * x - 1) * room], [mirror * sin, cos, (2 * y - 1) * room]])
        crop = round(side * min(image.shape[1:]))
        if crop > 1.5 * size:
            # Shrink first where sampling would skip pixels.
            tensor = functional.interpolate(tensor, scale_factor=1.2 * size / crop, mode="area")
        grid = functional.affine_grid(theta.unsqueeze(0), [1, image.shape[0], size, size], align_corners=False)
        views.append(functional.grid_sample(tensor, grid, padding_mode="reflection", align_corners=False))
    return torch.cat(views)


def mosaic(views: Tensor) -> Tensor:
    """Return one view made of 4 or 16, each at a half or a quarter of its size: the same kind of place from higher up.

    Args:
        views: Shape (4 or 16, bands, size, size).
    """
    across = math.isqrt(len(views))
    small = functional.interpolate(views, scale_factor=1 / across, mode="area")
    return torch.cat([torch.cat([*row], dim=2) for row in torch.split(small, across)], dim=1)


def random_air(views: Tensor, wavelengths: tuple[float, ...], rng: torch.Generator) -> Tensor:
    """Lay air between ground and sensor on a third of the views, and stretch many of them badly; 0..1 in and out.

    Scattered light is added, more the shorter the wavelength; and the picture may fill a small part of its range, as
    reflectance does under a fixed stretch.
    """
    n, bands = views.shape[:2]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)

    def some(share: float) -> Tensor:
        return (torch.rand(n, 1, 1, 1, generator=rng) < share).float()

    waves = torch.tensor(wavelengths).view(1, bands, 1, 1)
    light = uniform(0, 0.3) * some(0.35) * (0.49 / waves.clamp_min(0.4)) ** uniform(1, 4)
    out = views * (1 - light.clamp_max(0.8)) + light
    share = 1 - (1 - uniform(0.2, 0.6)) * some(0.4)
    return (out * share + (1 - share) * uniform(0, 0.4)).clamp(0, 1)


def random_light(views: Tensor, rng: torch.Generator) -> Tensor:
    """Change contrast, brightness, gamma, colour balance, haze and sharpness as sensors and air do; 0..1 in and out."""
    n, bands = views.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    out = (views - mean) * uniform(0.6, 1.4, n, 1, 1, 1) + mean * uniform(0.7, 1.3, n, 1, 1, 1)
    # Sensors and atmospheres differ most in colour balance; on some views strongly.
    strong = (torch.rand(n, 1, 1, 1, generator=rng) < 0.3).float()
    out = out * (1 + uniform(-1, 1, n, bands, 1, 1) * (0.12 + 0.2 * strong))
    out = out.clamp(1e-4, 1) ** uniform(0.65, 1.5, n, 1, 1, 1)
    haze = uniform(0, 0.45, n, 1, 1, 1) * (torch.rand(n, 1, 1, 1, generator=rng) < 0.3)
    out = out * (1 - haze) + haze * uniform(0.4, 0.95, n, 1, 1, 1)
    for row in torch.nonzero(torch.rand(n, generator=rng) < 0.2).flatten().tolist():
        # A sensor of two to four times the ground resolution.
        side = views.shape[-1]
        small = functional.interpolate(out[row : row + 1], size=side // int(uniform(2, 4.99, 1).item()), mode="area")
        out[row] = functional.interpolate(small, size=side, mode="bilinear", align_corners=False)[0]
    return out.clamp(0, 1)
