"""Writes what was trained as an open_clip model folder that the product's loader reads."""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from training.text import shipped_minilm, write_tokenizer

if TYPE_CHECKING:
    import torch

    from training.student import Projections

WEIGHTS, _TRUNK = "open_clip_model.safetensors", "visual.trunk."
TEXT = "text.transformer."
# The parameters of `Projections`, as they are called in a model folder.
HEAD = {
    "image_proj.weight": "visual.head.proj.weight",
    "text_proj.weight": "text.proj.weight",
    "logit_scale": "logit_scale",
    "logit_bias": "logit_bias",
}
# A trunk that stands beside others has its number before its names.
_NUMBERED = re.compile(r"(?:trunks\.(\d+)\.)?(.+)")
_BACKBONE = "tf_efficientnet_lite0"
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 384,
        "init_logit_bias": -5,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 128,
            "timm_model_name": f"spectral_{_BACKBONE}",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
        },
        "text_cfg": {
            "context_length": 64,
            "hf_model_name": "./text",
            "hf_tokenizer_name": "./text",
            "hf_model_pretrained": False,
            "hf_pooler_type": "mean_pooler",
            "hf_proj_type": "linear",
            "tokenizer_kwargs": {"clean": "lower"},
        },
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "resize_mode": "squash",
    },
    "bandsight": {"license": "LicenseRef-research-only"},
}


def export(
    folder: Path,
    trunks: Sequence[Mapping[str, "torch.Tensor"]],
    projections: "Projections",
    *,
    indices: bool = False,
    text: Mapping[str, "torch.Tensor"] | None = None,
) -> None:
    """Write config, tokenizer and weights into a folder: float16, the sentence encoder's matrices int8 by rows.

    Args:
        folder: The model's.
        trunks: The state of each trunk, in the order in which `projections` reads their features.
        projections: What lies behind them.
        indices: The spectral indices stand beside the trunks, last.
        text: Tuned weights of the sentence encoder, in place of published ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, torch.Tensor] = {}
    for number, trunk in enumerate(trunks):
        where = _TRUNK if len(trunks) == 1 and not indices else f"{_TRUNK}trunks.{number}."
        state |= {where + name: value for name, value in trunk.items()}
    state |= {HEAD[name]: value for name, value in projections.state_dict().items() if name in HEAD}
    half = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in state.items()
    }
    half |= {TEXT + name: value for name, value in shipped_minilm(text).items()}
    save_file(half, folder / WEIGHTS)
    config = copy.deepcopy(CONFIG)
    config["model_cfg"]["vision_cfg"]["timm_model_name"] = "spectral_" + "+".join(
        [*[_BACKBONE] * len(trunks), *["indices"] * indices]
    )
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_tokenizer(folder / "text")


def read_trunks(folder: Path) -> list[dict[str, "torch.Tensor"]]:
    """Return the state of each learned trunk of an exported model, in the order in which its head reads them."""
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in load_file(folder / WEIGHTS).items():
        if name.startswith(_TRUNK):
            number, rest = _NUMBERED.fullmatch(name.removeprefix(_TRUNK)).groups()  # type: ignore[union-attr]
            states.setdefault(int(number or 0), {})[rest] = value
    return [states[number] for number in sorted(states)]
