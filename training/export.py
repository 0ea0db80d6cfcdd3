"""Writes a trained student as an open_clip model folder that the product's loader reads."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

from training.text import shipped_minilm, write_tokenizer

if TYPE_CHECKING:
    import torch

    from training.student import Student

CONFIG = {
    "model_cfg": {
        "embed_dim": 384,
        "init_logit_bias": -5,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 128,
            "timm_model_name": "spectral_tf_efficientnet_lite0",
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


def export(student: "Student", folder: Path) -> None:
    """Write config, tokenizer and weights (float16) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, torch.Tensor] = {}
    for name, value in student.trunk.state_dict().items():
        state[f"visual.trunk.{name}"] = value
    state["visual.head.proj.weight"] = student.image_proj.weight
    state["text.proj.weight"] = student.text_proj.weight
    state["logit_scale"], state["logit_bias"] = student.logit_scale, student.logit_bias
    half = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in state.items()
    }
    half |= {f"text.transformer.{name}": value for name, value in shipped_minilm().items()}
    save_file(half, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    write_tokenizer(folder / "text")
