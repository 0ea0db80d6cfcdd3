"""Adds clouds, snow and a radar-like appearance to captioned images, and generates elevation from noise.

All of this is simulated: clouds and terrain from fractal noise, radar backscatter from brightness and roughness. It
teaches only what such images have in common with real ones, as the model card states.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def fractal(n: int, size: int, rng: np.random.Generator, slope: tuple[float, float]) -> NDArray[np.float32]:
    """Return n fields of 1/f^slope noise, each scaled to 0..1, shape (n, size, size)."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    radius = np.sqrt(fy**2 + fx**2)
    radius[0, 0] = 1
    out = np.empty((n, size, size), np.float32)
    for row in range(n):
        phases = np.exp(2j * np.pi * rng.random(radius.shape))
        spectrum = phases * radius ** -rng.uniform(*slope)
        spectrum[0, 0] = 0
        field = np.fft.irfft2(spectrum, s=(size, size))
        out[row] = (field - field.min()) / (np.ptp(field) + 1e-9)
    return out


def covering(field: NDArray[np.float32], share: float, edge: float) -> NDArray[np.floating]:
    """Return a mask 0..1 of the highest share of a field's pixels, fading out over a range of `edge`."""
    mask: NDArray[np.floating] = np.clip((field - np.quantile(field, 1 - share)) / edge + 0.5, 0, 1)
    return mask


def add_clouds(views: Tensor, share: NDArray[np.float64], rng: np.random.Generator, *, thin: bool = False) -> Tensor:
    """Add clouds with shadows to views (0..1), so that about `share` (n,) of each is covered.

    Args:
        views: Shape (n, bands, H, W).
        share: Covered share of each view, shape (n,).
        rng: Random number generator.
        thin: Whether some clouds are greyer, smaller and translucent.
    """
    n, _, size, _ = views.shape
    fields = fractal(n, size, rng, (0.9, 2.2) if thin else (1.1, 2.2))
    masks = np.empty_like(fields)
    for row in range(n):
        masks[row] = covering(fields[row], share[row], rng.uniform(0.04, 0.25))
    mask = torch.from_numpy(masks).unsqueeze(1)
    texture = torch.from_numpy(fractal(n, size, rng, (0.8, 1.6))).unsqueeze(1)
    white = torch.from_numpy(rng.uniform(0.45 if thin else 0.75, 1.0, (n, 1, 1, 1)).astype(np.float32))
    if thin:
        mask = mask * torch.from_numpy(rng.uniform(0.55, 1.0, (n, 1, 1, 1)).astype(np.float32))
    shift = int(rng.integers(3, 12))
    shadow = torch.roll(mask, (shift, shift), (2, 3)) * torch.from_numpy(
        rng.uniform(0, 0.5, (n, 1, 1, 1)).astype(np.float32)
    )
    ground = views * (1 - shadow)
    return (ground * (1 - mask) + mask * (white - 0.25 * texture * white)).clamp(0, 1)


def add_snow(views: Tensor, rng: np.random.Generator) -> Tensor:
    """Cover open ground with snow: bright or smooth pixels turn white, dark ones (woods, water) stay."""
    grey = views.mean(dim=1, keepdim=True)
    smooth = functional.avg_pool2d(grey, 5, stride=1, padding=2)
    dark = torch.from_numpy(rng.uniform(0.12, 0.28, (len(views), 1, 1, 1)).astype(np.float32))
    cover = ((0.6 * smooth + 0.4 * grey - dark) / 0.15).clamp(0, 1)
    cold = torch.tensor([0.9, 0.95, 1.0]).view(1, 3, 1, 1)[:, : views.shape[1]]
    white = (0.72 + 0.28 * grey) * cold
    return (views * (1 - cover) * 0.8 + white * cover).clamp(0, 1)


def radar_look(views: Tensor, rng: np.random.Generator, channels: int) -> Tensor:
    """Return radar-like views of views (n, C, H, W): rough is bright, smooth is dark, with speckle, in decibels."""
    grey = views.mean(dim=1, keepdim=True)
    mean = functional.avg_pool2d(grey, 5, stride=1, padding=2)
    rough = (functional.avg_pool2d(grey**2, 5, stride=1, padding=2) - mean**2).clamp_min(0).sqrt()
    out = []
    for _ in range(channels):
        weight = rng.uniform(0.1, 0.5)
        power = (weight * grey + rng.uniform(2, 5) * rough) ** rng.uniform(1.2, 2.2) + 1e-3
        looks = rng.integers(1, 9)
        speckle = torch.from_numpy(rng.gamma(looks, 1 / looks, grey.shape).astype(np.float32))
        decibels = 10 * torch.log10(power * speckle + 1e-4)
        out.append(((decibels + rng.uniform(26, 34)) / rng.uniform(26, 34)).clamp(0, 1))
    return torch.cat(out, dim=1)


def relief(n: int, size: int, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
    """Return simulated elevation tiles (n, 3, size, size), with the height in all three channels, and their labels."""
    fields = fractal(n, size, rng, (1.4, 2.6))
    labels = []
    for row in range(n):
        kind = ("mountains_relief", "hills_relief", "flat_relief")[int(rng.integers(3))]
        if kind == "mountains_relief" and rng.random() < 0.5:
            # Ridges: noise folded at its mean.
            fields[row] = 1 - 2 * np.abs(fields[row] - 0.5)
        span = {"mountains_relief": (0.6, 1.0), "hills_relief": (0.15, 0.4), "flat_relief": (0.0, 0.06)}[kind]
        height = rng.uniform(*span)
        fields[row] = fields[row] * height + rng.uniform(0, 1 - height)
        labels.append(kind)
    return torch.from_numpy(fields).unsqueeze(1).repeat(1, 3, 1, 1), labels
