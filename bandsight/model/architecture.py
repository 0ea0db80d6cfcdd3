"""Builds the open_clip model that a config names, with a wavelength input in place of the RGB one."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import timm
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CustomTextCLIP
from open_clip.timm_model import TimmModel
from timm.models import _registry as timm_registry
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bandsight.errors import ModelError
from bandsight.model.checkpoint import DOFA
from bandsight.model.indices import SpectralIndices
from bandsight.model.patch_embed import DofaPatchEmbed, SpectralStem, WavelengthInput

# A timm name with this in front, or `DOFA`, is that trunk with its input stage generated from wavelengths.
_SPECTRAL = "spectral_"
# Between the names of trunks that see the same image side by side; one of them may be what is not learned.
_BESIDE, _INDICES = "+", "indices"


class SideBySide(nn.Module):
    """Trunks that see the same image; what they find is laid end to end, and one head reads it."""

    def __init__(self, trunks: Iterable[nn.Module]) -> None:
        super().__init__()
        parts: list[Any] = list(trunks)
        self.trunks = nn.ModuleList(parts)
        self.num_features = sum(int(trunk.num_features) for trunk in parts)

    def forward(self, x: Tensor) -> Tensor:
        """Return pooled features (N, num_features) of images (N, C, H, W)."""
        return torch.cat([trunk(x) for trunk in self.trunks], dim=1)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return features by cell (N, num_features, h, w)."""
        parts: Iterable[Any] = self.trunks
        return torch.cat([trunk.forward_features(x) for trunk in parts], dim=1)


def build_model(model_cfg: dict[str, Any], folder: Path, trunk_args: dict[str, Any]) -> CustomTextCLIP:
    """Return the model, weights not yet loaded.

    Args:
        model_cfg: The `model_cfg` of an open_clip_config.json.
        folder: Where the config lies; a text model named `./…` is looked up in it.
        trunk_args: Arguments of timm's VisionTransformer for trunk names that timm does not know, by name.

    Raises:
        ModelError: The config names a trunk that is neither known nor described, or lacks a section.
    """
    cfg = copy.deepcopy(model_cfg)
    try:
        vision, text = cfg["vision_cfg"], cfg["text_cfg"]
        name = str(vision["timm_model_name"])
    except KeyError as error:
        raise ModelError(
            f"{folder}: the config has no {error}; need model_cfg with vision_cfg.timm_model_name and text_cfg, "
            "as DOFA-CLIP's open_clip_config.json has"
        ) from error
    kind = next((prefix for prefix in (DOFA, _SPECTRAL) if name.startswith(prefix)), None)
    if kind is None:
        raise ModelError(
            f"{folder}: trunk {name!r} takes RGB only; need a name that begins with {DOFA!r} or {_SPECTRAL!r}"
        )
    plain, *beside = name.removeprefix(kind).split(_BESIDE)
    vision["timm_model_name"] = plain
    vision["timm_model_pretrained"] = False
    described = trunk_args.get(name)
    known = {plain} if described is not None else {_INDICES}
    for unknown in [each for each in (plain, *beside) if each not in known and not timm.is_model(each)]:
        raise ModelError(
            f"{folder}: timm does not know the trunk {unknown!r}; put its dimensions under {name!r} in trunk_args.json"
        )
    if str(text.get("hf_model_name", "")).startswith("./"):
        own = folder / text["hf_model_name"]
        # What is no folder would be looked for under this name on the hub, where anybody may have put it.
        if not own.is_dir():
            raise ModelError(f"{folder}: no folder {own.name}, which hf_model_name names; get the model again")
        text["hf_model_name"] = str(own)
    cfg.pop("custom_text", None)
    with _described_trunk(plain, described):
        model = CustomTextCLIP(**cfg)
    trunk = model.visual.trunk
    if kind == DOFA:
        patch = trunk.patch_embed.patch_size[0]
        trunk.patch_embed = DofaPatchEmbed(patch, trunk.embed_dim)
        return model
    trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
    if beside:
        model.visual.trunk = SideBySide([trunk, *(_beside(each) for each in beside)])
        model.visual.head.proj = nn.Linear(model.visual.trunk.num_features, cfg["embed_dim"], bias=False)
    return model


def _beside(name: str) -> nn.Module:
    """Return what a name stands for that follows the first trunk's."""
    if name == _INDICES:
        return SpectralIndices()
    trunk: Any = timm.create_model(name, num_classes=0)
    trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
    return cast("nn.Module", trunk)


def dense_features(visual: TimmModel, image: Tensor) -> Tensor:
    """Return what an image tower says of each cell of images (N, C, H, W), shape (N, h, w, D), not normalised.

    A convolutional trunk averages its cells, and its head is linear: the mean over the cells is the image's vector. A
    vision transformer pools its patches by attention; each patch is pooled as if attention saw it alone, which leaves
    the path of its value (source: Zhou et al., "Extract Free Dense Labels from CLIP", 2022, section 3.2).
    """
    found = visual.trunk.forward_features(image)
    if found.ndim == 4:  # noqa: PLR2004
        cells: Tensor = visual.head(found.permute(0, 2, 3, 1))
        return cells
    count, patches, width = found.shape
    height = visual.trunk.patch_embed.rows(image)
    alone = visual.head(visual.trunk.forward_head(found.reshape(count * patches, 1, width)))
    return torch.as_tensor(alone.reshape(count, height, patches // height, -1))


def ignores_padding(model: CustomTextCLIP) -> bool:
    """Say whether a model's text tower masks padding, so that shorter rows of ids give the same vectors."""
    return isinstance(model.text, HFTextEncoder)


def fold_batch_norm(tower: nn.Module) -> None:
    """Fold every batch norm that follows a convolution into it; what the tower computes stays the same.

    Works in place on a tower in eval mode; the activation that timm keeps inside its batch norms stays behind.
    """
    for parent in list(tower.modules()):
        children = list(parent.named_children())
        for (first, conv), (second, norm) in pairwise(children):
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            if isinstance(conv, SpectralStem):
                conv.fold(norm)
            elif isinstance(conv, nn.Conv2d):
                setattr(parent, first, fuse_conv_bn_eval(conv.eval(), norm.eval()))
            else:
                continue
            setattr(parent, second, getattr(norm, "act", nn.Identity()))


def wavelength_inputs(model: nn.Module) -> list[WavelengthInput]:
    """Return the input stages of a model that `build_model` made, one for each trunk."""
    return [part for part in model.modules() if isinstance(part, WavelengthInput)]


@contextmanager
def _described_trunk(name: str, args: dict[str, Any] | None) -> Iterator[None]:
    """Make a VisionTransformer of these dimensions known to timm under this name, for as long as it is needed."""
    if args is None:
        yield
        return

    def entry(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:  # noqa: ARG001  (timm passes it)
        for extra in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
            kwargs.pop(extra, None)
        return VisionTransformer(**{**args, **kwargs})

    # register_model insists on a module-level function.
    known = timm_registry._model_entrypoints  # noqa: SLF001
    before = known.get(name)
    known[name] = entry
    try:
        yield
    finally:
        if before is None:
            del known[name]
        else:
            known[name] = before
