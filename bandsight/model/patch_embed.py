"""Input stages with kernels generated from the wavelengths of the bands."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bandsight.model.spectra import ANCHORS, BLUE, GATE_WIDTH, GREEN, RED, REGRESSION_WIDTH

# Cached kernels per module. An archive has few distinct lists of bands.
_CACHE_SIZE = 64


class WavelengthInput(nn.Module):
    """A convolution whose kernel depends on the wavelengths. Kernels are cached while gradients are disabled."""

    def __init__(self) -> None:
        super().__init__()
        self._wavelengths: tuple[float, ...] = ()
        self._cache: dict[tuple[tuple[float, ...], torch.device], tuple[Tensor, Tensor | None]] = {}

    def use(self, wavelengths: Sequence[float]) -> None:
        """Set the bands of the next images (centre wavelengths, µm)."""
        self._wavelengths = tuple(wavelengths)

    def generate(self, wavelengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return kernel (out, C, height, width) and bias (out,) for wavelengths (C,) in µm, float32."""
        raise NotImplementedError

    def kernel(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Return the kernel and bias for the current wavelengths, cached while gradients are disabled."""
        key = (self._wavelengths, device)
        if not torch.is_grad_enabled() and key in self._cache:
            return self._cache[key]
        with torch.autocast(device.type, enabled=False):
            generated = self.generate(torch.tensor(self._wavelengths, dtype=torch.float32, device=device))
        if not torch.is_grad_enabled():
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[key] = generated
        return generated

    def train(self, mode: bool = True) -> "WavelengthInput":
        """Switch mode and clear the cache, because training changes the weights."""
        self._cache.clear()
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._cache.clear()
        super()._load_from_state_dict(*args, **kwargs)


class _ResidualMlp(nn.Module):
    """x + relu(w2(relu(w1(x)))); `fclayer` in the original code."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, dim)
        self.w2 = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + functional.relu(self.w2(functional.relu(self.w1(x))))
        return out


class _WeightGenerator(nn.Module):
    """One post-norm transformer layer over [weight tokens, band tokens, bias token] → kernel and bias."""

    def __init__(self, dim: int, weight_tokens: int, patch: int, embed_dim: int) -> None:
        super().__init__()
        self.patch, self.embed_dim = patch, embed_dim
        layer = nn.TransformerEncoderLayer(dim, nhead=4, activation="gelu", dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.weight_tokens = nn.Parameter(torch.randn(weight_tokens, dim) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, dim) * 0.02)
        self.fc_weight = nn.Linear(dim, patch * patch * embed_dim)
        self.fc_bias = nn.Linear(dim, embed_dim)

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        tokens = torch.cat([self.weight_tokens, waves, self.bias_token])
        out = self.transformer_encoder(tokens.unsqueeze(0)).squeeze(0)
        bands = out[len(self.weight_tokens) : -1] + waves
        kernel = self.fc_weight(bands).view(len(waves), self.patch, self.patch, self.embed_dim)
        return kernel.permute(3, 0, 1, 2), self.fc_bias(out[-1])


class DofaPatchEmbed(WavelengthInput):
    """Patch embedding of DOFA-CLIP. Parameters have the original names, so original checkpoints load unchanged.

    Source: Xiong et al., "DOFA-CLIP: Multimodal Vision-Language Foundation Models for Earth Observation" (2025),
    and the wavelength embedding of "Neural Plasticity-Inspired Multimodal Foundation Model" (DOFA, 2024), section 3.
    """

    # Scale factor of kernel and bias in the original code.
    scale = 0.01

    def __init__(self, patch: int, embed_dim: int, wave_dim: int = 128) -> None:
        super().__init__()
        self.patch, self.wave_dim = patch, wave_dim
        self.fclayer = _ResidualMlp(wave_dim)
        self.weight_generator = _WeightGenerator(wave_dim, 128, patch, embed_dim)

    def wave_code(self, wavelengths: Tensor) -> Tensor:
        """Return the sin-cos code (C, 128) of wavelengths (C,) in µm.

        Computed in float32 throughout: in float64, the sines of these large arguments differ by 1.7e-4.
        """
        half = self.wave_dim // 2
        steps = torch.arange(half, dtype=torch.float32, device=wavelengths.device) / half
        angles = torch.outer(wavelengths * 1000, 1.0 / 10000**steps)
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def generate(self, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return kernel (D, C, p, p) and bias (D,) for wavelengths (C,) in µm."""
        kernel, bias = self.weight_generator(self.fclayer(self.wave_code(wavelengths)))
        return kernel * self.scale, bias * self.scale

    def rows(self, x: Tensor) -> int:
        """Return the number of rows of patches in images (N, C, H, W)."""
        return x.shape[2] // self.patch

    def forward(self, x: Tensor) -> Tensor:
        """Return patch tokens (N, patches, D), row by row. Pixels beyond the last whole patch are dropped."""
        kernel, bias = self.kernel(x.device)
        return functional.conv2d(x, kernel, bias, stride=self.patch).flatten(2).transpose(1, 2)


class SpectralStem(WavelengthInput):
    """First convolution of a small convolutional trunk, for any list of bands.

    The bands are samples of a spectrum. Kernel regression in log-wavelength estimates the spectrum at a fixed set of
    anchor wavelengths, gated by the distance of the nearest band. Each anchor has a learned kernel. If the bands do not
    cover the visible anchors, a panchromatic kernel on the mean of all bands fills in. The map is linear in the pixels,
    so it reduces to one kernel (out, C, k, k) per list of wavelengths. It does not depend on band order, and 200 narrow
    bands have the same weight as 10 broad ones. For red, green and blue, it is initialised to the given RGB kernels.
    """

    def __init__(self, rgb_kernel: Tensor, stride: int) -> None:
        super().__init__()
        self.stride = stride
        out, _, height, width = rgb_kernel.shape
        kernels = torch.zeros(len(ANCHORS), out, height, width)
        for position, anchor in enumerate((RED, GREEN, BLUE)):
            kernels[anchor] = rgb_kernel[:, position].detach()
        self.anchor_kernels = nn.Parameter(kernels)
        self.pan_kernel = nn.Parameter(rgb_kernel.detach().sum(dim=1))
        self._bias: Tensor | None = None

    def fold(self, norm: nn.BatchNorm2d) -> None:
        """Fold in the batch norm that follows.

        Scaling the learned kernels suffices, because kernels are linear in them.
        """
        assert norm.running_var is not None
        assert norm.running_mean is not None
        with torch.no_grad():
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            self.anchor_kernels.mul_(scale[None, :, None, None])
            self.pan_kernel.mul_(scale[:, None, None])
            self._bias = norm.bias - norm.running_mean * scale
        self._cache.clear()

    def generate(self, wavelengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return kernel (out, C, k, k) for wavelengths (C,) in µm, and a bias (out,) if a batch norm was folded in."""
        anchors = torch.tensor(ANCHORS, dtype=torch.float32, device=wavelengths.device).log()
        squared = (anchors[:, None] - wavelengths.log()[None, :]) ** 2
        share = torch.softmax(-squared / (2 * REGRESSION_WIDTH**2), dim=1)
        gate = torch.exp(-squared.amin(dim=1) / (2 * GATE_WIDTH**2))
        kernel = torch.einsum("mohw,mc->ochw", self.anchor_kernels, gate[:, None] * share)
        visible = (gate[RED] + gate[GREEN] + gate[BLUE]) / 3
        pan = self.pan_kernel[:, None] / len(wavelengths) * (1 - visible)
        return kernel + pan, None if self._bias is None else self._bias.to(wavelengths.device)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, out, ceil(H / stride), ceil(W / stride)), with TensorFlow's SAME padding."""
        kernel, bias = self.kernel(x.device)
        pads = []
        for size, k in ((x.shape[3], kernel.shape[3]), (x.shape[2], kernel.shape[2])):
            total = max((math.ceil(size / self.stride) - 1) * self.stride + k - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(x, pads), kernel, bias, stride=self.stride)
