"""Text tower of the embedded model in NumPy, so that embedding a text does not import PyTorch.

Implements the BERT encoder of open_clip's `HFTextEncoder` with a mean pooler and a linear projection. Its vectors equal
PyTorch's to about 1e-6. Word vectors stay in 8 bits, as in the checkpoint.
"""

import html
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.model.folder import ModelFolder

# Texts per forward pass.
_BATCH = 64
_PREFIX = "text.transformer."
# Suffix of the row factors of an int8 matrix. Equals `checkpoint.ROW_SCALE`, whose module imports torch.
_ROW_SCALE = ":row_scale"
# The only supported configuration.
_POOLER, _PROJECTION, _CLEAN = "mean_pooler", "linear", "lower"
# Parts of an attention layer.
_PARTS = ("query", "key", "value")
# Attention score of padding tokens.
_MASKED = np.float32(-1e9)

Weights = dict[str, NDArray[Any]]


class TextTower:
    """Embeds texts; safe to share between threads."""

    def __init__(self, weights: Weights, config: dict[str, Any], tokenizer: Any, context: int) -> None:
        self._words = weights.pop("embeddings.word_embeddings.weight")
        self._word_scales = weights.pop(f"embeddings.word_embeddings.weight{_ROW_SCALE}", None)
        self._heads, self._layers = int(config["num_attention_heads"]), int(config["num_hidden_layers"])
        dense = {name: _dense(weights, name) for name in weights if not name.endswith(_ROW_SCALE)}
        self._weights = _laid_out(dense, self._layers)
        self._epsilon = np.float32(config["layer_norm_eps"])
        self._tokenizer = tokenizer
        tokenizer.enable_truncation(context)
        tokenizer.enable_padding(pad_id=int(config["pad_token_id"]), pad_token="[PAD]")  # noqa: S106  (name of a token)

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, dim)."""
        dim = self._weights["proj.weight"].shape[1]
        parts = [self._embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return np.concatenate([np.empty((0, dim), np.float32), *parts])

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch([_clean(text) for text in texts])
        ids = np.array([one.ids for one in encoded], np.int64)
        there = np.array([one.attention_mask for one in encoded], np.float32)
        x = self._embedded(ids)
        hidden = np.where(there > 0, np.float32(0), _MASKED)[:, None, None, :]
        for number in range(self._layers):
            x = self._layer(f"encoder.layer.{number}.", x, hidden)
        pooled = (x * there[:, :, None]).sum(axis=1) / there.sum(axis=1, keepdims=True)
        vectors = pooled @ self._weights["proj.weight"]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def _embedded(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        words = self._words[ids].astype(np.float32)
        if self._word_scales is not None:
            words *= self._word_scales[ids].astype(np.float32)
        positions = self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = words + positions + self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._normed("embeddings.LayerNorm", x)

    def _layer(self, name: str, x: NDArray[np.float32], hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        count, length, width = x.shape
        size = width // self._heads

        parts = self._linear(f"{name}attention.self", x).reshape(count, length, len(_PARTS), self._heads, size)
        query, key, value = parts.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(size**0.5) + hidden
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value).transpose(0, 2, 1, 3).reshape(count, length, width)
        x = self._normed(f"{name}attention.output.LayerNorm", x + self._linear(f"{name}attention.output.dense", mixed))
        inner = _gelu(self._linear(f"{name}intermediate.dense", x))
        return self._normed(f"{name}output.LayerNorm", x + self._linear(f"{name}output.dense", inner))

    def _linear(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = x.reshape(-1, x.shape[-1]) @ self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return np.asarray(flat.reshape(*x.shape[:-1], -1), np.float32)

    def _normed(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._epsilon)
        return np.asarray(centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])


def text_tower(folder: ModelFolder) -> tuple[TextTower, dict[str, float]] | None:
    """Return a model's text tower, and its logit scale and bias by name, or None if the tower is unsupported.

    Also returns None if a file is damaged; loading the whole model reports that.
    """
    try:
        text = folder.config["model_cfg"]["text_cfg"]
        kind = (text["hf_pooler_type"], text["hf_proj_type"], (text.get("tokenizer_kwargs") or {}).get("clean"))
        name, tokenizer_name = str(text["hf_model_name"]), str(text["hf_tokenizer_name"])
        if kind != (_POOLER, _PROJECTION, _CLEAN) or not name.startswith("./") or tokenizer_name != name:
            return None
        return _opened(folder, name.removeprefix("./"), int(text.get("context_length", 77)))
    except (KeyError, TypeError, ValueError, OSError):
        return None


def _opened(folder: ModelFolder, name: str, context: int) -> tuple[TextTower, dict[str, float]] | None:
    import json

    from safetensors import safe_open
    from tokenizers import Tokenizer

    place = folder.path / name
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    if (config["model_type"], config["hidden_act"]) != ("bert", "gelu") or folder.weights.suffix != ".safetensors":
        return None
    try:
        with safe_open(folder.weights, "np") as file:
            names = [key for key in file.keys() if key.startswith(_PREFIX)]  # noqa: SIM118  (not a dictionary)
            weights = {key.removeprefix(_PREFIX): file.get_tensor(key) for key in names}
            weights["proj.weight"] = file.get_tensor("text.proj.weight")
            logits = {key: float(file.get_tensor(key)) for key in file.keys() if key.startswith("logit_")}  # noqa: SIM118
        # The libraries raise a plain Exception for an unreadable file.
        tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    except Exception:  # noqa: BLE001
        return None
    return TextTower(weights, config, tokenizer, context), logits


def _laid_out(dense: dict[str, NDArray[np.float32]], layers: int) -> dict[str, NDArray[np.float32]]:
    """Concatenate the weights of query, key and value, and transpose matrices to (inputs, outputs).

    For the few rows of a sentence, products with the other memory layout take 50% longer.
    """
    for layer in range(layers):
        own = f"encoder.layer.{layer}.attention.self"
        for kind in ("weight", "bias"):
            dense[f"{own}.{kind}"] = np.concatenate([dense.pop(f"{own}.{part}.{kind}") for part in _PARTS])
    return {
        name: np.ascontiguousarray(value.T) if value.ndim == 2 and "embeddings" not in name else value  # noqa: PLR2004
        for name, value in dense.items()
    }


def _dense(weights: Weights, name: str) -> NDArray[np.float32]:
    value = weights[name].astype(np.float32)
    scale = weights.get(name + _ROW_SCALE)
    return value if scale is None else np.asarray(value * scale.astype(np.float32), np.float32)


def _clean(text: str) -> str:
    """Clean a text like open_clip's `clean="lower"` (open_clip/tokenizer.py)."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return GELU(x); its error function is accurate to 1.5e-7.

    Uses formula 7.1.26 of Abramowitz and Stegun, because NumPy has no error function.
    """
    size = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * size)
    powers = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429))))
    )
    below = np.float32(0.5) * powers * np.exp(-size * size)
    return np.asarray(x * np.where(x >= 0, 1 - below, below), np.float32)
