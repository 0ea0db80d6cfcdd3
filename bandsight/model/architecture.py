"""Builds an open_clip model from its config, with a wavelength-conditioned input stage instead of the RGB one."""

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
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bandsight.errors import ModelError
from bandsight.model.folder import DOFA, INDICES, SEPARATOR, SPECTRAL
from bandsight.model.patch_embed import DofaPatchEmbed, SpectralStem, WavelengthInput
from bandsight.model.spectral_indices import SpectralIndices


class SideBySide(nn.Module):
    """Trunks that share an input image and a head. Their features are concatenated."""

    def __init__(self, trunks: Iterable[nn.Module]) -> None:
        super().__init__()
        parts: list[Any] = list(trunks)
        self.trunks = nn.ModuleList(parts)
        self.num_features = sum(int(trunk.num_features) for trunk in parts)

    def forward(self, x: Tensor) -> Tensor:
        """Return pooled features (N, num_features) for images (N, C, H, W)."""
        return torch.cat([trunk(x) for trunk in self.trunks], dim=1)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return features per cell (N, num_features, h, w)."""
        parts: Iterable[Any] = self.trunks
        return torch.cat([trunk.forward_features(x) for trunk in parts], dim=1)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return pooled features (N, num_features) of features per cell, as `forward` does of images."""
        sizes = [int(getattr(trunk, "num_features", 0)) for trunk in self.trunks]
        parts: Iterable[Any] = self.trunks
        split = zip(parts, torch.split(features, sizes, dim=1), strict=True)
        return torch.cat([trunk.forward_head(own) for trunk, own in split], dim=1)


def build_model(model_cfg: dict[str, Any], folder: Path, trunk_args: dict[str, Any]) -> CustomTextCLIP:
    """Build a model without loading weights.

    Args:
        model_cfg: The `model_cfg` of an open_clip_config.json.
        folder: Folder of the config. A text model named `./…` is a subfolder of it.
        trunk_args: Arguments of timm's VisionTransformer by trunk name, for trunks that timm does not know.

    Raises:
        ModelError: The trunk is neither known to timm nor described, or a section of the config is missing.
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
    kind = next((prefix for prefix in (DOFA, SPECTRAL) if name.startswith(prefix)), None)
    if kind is None:
        raise ModelError(
            f"{folder}: trunk {name!r} takes RGB only; need a name that starts with {DOFA!r} or {SPECTRAL!r}"
        )
    main, *others = name.removeprefix(kind).split(SEPARATOR)
    vision["timm_model_name"] = main
    vision["timm_model_pretrained"] = False
    args = trunk_args.get(name)
    known = {main} if args is not None else {INDICES}
    for unknown in [each for each in (main, *others) if each not in known and not timm.is_model(each)]:
        raise ModelError(
            f"{folder}: timm does not know the trunk {unknown!r}; put its dimensions under {name!r} in trunk_args.json"
        )
    if str(text.get("hf_model_name", "")).startswith("./"):
        text_folder = folder / text["hf_model_name"]
        # Without this check, the name would be looked up on the hub, where anyone may have registered it.
        if not text_folder.is_dir():
            raise ModelError(
                f"{folder}: no folder {text_folder.name}, which hf_model_name names; download the model again"
            )
        text["hf_model_name"] = str(text_folder)
    cfg.pop("custom_text", None)
    with _registered_trunk(main, args):
        model = CustomTextCLIP(**cfg)
    trunk = model.visual.trunk
    if kind == DOFA:
        patch = trunk.patch_embed.patch_size[0]
        trunk.patch_embed = DofaPatchEmbed(patch, trunk.embed_dim)
        return model
    trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
    if others:
        model.visual.trunk = SideBySide([trunk, *(_other_trunk(each) for each in others)])
        model.visual.head.proj = nn.Linear(model.visual.trunk.num_features, cfg["embed_dim"], bias=False)
    return model


def _other_trunk(name: str) -> nn.Module:
    """Return a trunk named after the first one."""
    if name == INDICES:
        return SpectralIndices()
    trunk: Any = timm.create_model(name, num_classes=0)
    trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
    return cast("nn.Module", trunk)


def dense_features(visual: TimmModel, image: Tensor) -> Tensor:
    """Return the embedding of each cell of images (N, C, H, W), shape (N, h, w, D), not normalised.

    A convolutional trunk averages its cells, and its head is linear, so the mean over the cells is the embedding of the
    image. A vision transformer pools its patches by attention. Here each patch is pooled separately, which leaves only
    the value path of the attention (source: Zhou et al., "Extract Free Dense Labels from CLIP", 2022, section 3.2).
    """
    return _cells_of(visual, visual.trunk.forward_features(image), image)


def embedding_and_cells(visual: TimmModel, image: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the embeddings (N, D) of images (N, C, H, W) and unit vectors (N, cells, cells, D) of their cells.

    The trunk runs once; the cells are means of `dense_features`. Where these are fewer, there are that many cells.
    """
    features = visual.trunk.forward_features(image)
    dense = functional.normalize(_cells_of(visual, features, image).float(), dim=-1)
    size = (min(cells, dense.shape[1]), min(cells, dense.shape[2]))
    pooled = functional.adaptive_avg_pool2d(dense.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)
    embedding: Tensor = visual.head(visual.trunk.forward_head(features))
    return embedding, functional.normalize(pooled, dim=-1)


def _cells_of(visual: TimmModel, features: Tensor, image: Tensor) -> Tensor:
    """Return the embedding of each cell from the trunk's features; see `dense_features`."""
    if features.ndim == 4:  # noqa: PLR2004
        cells: Tensor = visual.head(features.permute(0, 2, 3, 1))
        return cells
    count, patches, width = features.shape
    height = visual.trunk.patch_embed.rows(image)
    pooled = visual.head(visual.trunk.forward_head(features.reshape(count * patches, 1, width)))
    return torch.as_tensor(pooled.reshape(count, height, patches // height, -1))


def ignores_padding(model: CustomTextCLIP) -> bool:
    """Return whether the text tower masks padding, so that token ids without padding give the same vectors."""
    return isinstance(model.text, HFTextEncoder)


def fold_batch_norm(tower: nn.Module) -> None:
    """Fold every batch norm that follows a convolution into that convolution; the output stays the same.

    Works in place on a tower in eval mode. The activation inside timm's batch norm layers is kept.
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
    """Return the input stages of a model from `build_model`, one for each trunk."""
    return [part for part in model.modules() if isinstance(part, WavelengthInput)]


@contextmanager
def _registered_trunk(name: str, args: dict[str, Any] | None) -> Iterator[None]:
    """Register a VisionTransformer of these dimensions with timm, for the duration of the context."""
    if args is None:
        yield
        return

    def entry(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:  # noqa: ARG001  (timm passes it)
        for extra in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
            kwargs.pop(extra, None)
        return VisionTransformer(**{**args, **kwargs})

    # timm's register_model accepts only module-level functions.
    entrypoints = timm_registry._model_entrypoints  # noqa: SLF001
    previous = entrypoints.get(name)
    entrypoints[name] = entry
    try:
        yield
    finally:
        if previous is None:
            del entrypoints[name]
        else:
            entrypoints[name] = previous
