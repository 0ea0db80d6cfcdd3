"""Exports the trained model as an open_clip model folder for the product's loader."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bandsight.model.checkpoint import expand_int8
from training.student import BACKBONE, Student
from training.text import TunedLayers, shipped_minilm, write_tokenizer

WEIGHTS, _TRUNK = "open_clip_model.safetensors", "visual.trunk.trunks.0."
TEXT = "text.transformer."
# Names in a model folder for the parameters of `Student` outside its trunk.
_HEAD = {
    "image_proj.weight": "visual.head.proj.weight",
    "text_proj.weight": "text.proj.weight",
    "logit_scale": "logit_scale",
    "logit_bias": "logit_bias",
}
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 384,
        "init_logit_bias": -5,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 128,
            "timm_model_name": f"spectral_{BACKBONE}+indices",
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
        "interpolation": "bilinear",
        "resize_mode": "squash",
    },
    "bandsight": {"license": "LicenseRef-research-only", "gsd_m": [0.3, 30.0]},
}


def load_exported(folder: Path, student: Student, layers: TunedLayers) -> None:
    """Load the weights of an exported folder into a student and the tuned layers."""
    weights = expand_int8(load_file(folder / WEIGHTS))
    state = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    trunk = {name.removeprefix(_TRUNK): value for name, value in state.items() if name.startswith(_TRUNK)}
    student.trunk.load_state_dict(trunk)
    student.load_state_dict({name: state[shipped] for name, shipped in _HEAD.items()}, strict=False)
    text = {name.removeprefix(TEXT): value for name, value in state.items() if name.startswith(TEXT)}
    layers.load_encoder_state(text)


def export(folder: Path, student: Student, text: Mapping[str, torch.Tensor]) -> None:
    """Write config, tokenizer and weights into a folder: float16, but the sentence encoder's matrices as int8 by rows.

    Args:
        folder: The model folder.
        student: Trunk, projections, scale and bias.
        text: Trained weights of the sentence encoder, by their names in the whole encoder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {_TRUNK + name: value for name, value in student.trunk.state_dict().items()}
    state |= {_HEAD[name]: value for name, value in student.state_dict().items() if name in _HEAD}
    half = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in state.items()
    }
    half |= {TEXT + name: value for name, value in shipped_minilm(text).items()}
    save_file(half, folder / WEIGHTS)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    write_tokenizer(folder / "text")
