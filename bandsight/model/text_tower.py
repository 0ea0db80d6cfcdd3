"""Text tower of the embedded model on a CPU without PyTorch: ONNX Runtime for the encoder, NumPy for the words.

Implements the BERT encoder of open_clip's `HFTextEncoder` with a mean pooler and a linear projection. Its vectors equal
PyTorch's to about 1e-6. Word vectors stay in 8 bits, as in the checkpoint. For the few rows of a sentence, a product
takes half the time that it takes in NumPy, which arranges the weights anew each time.
"""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.model.folder import ModelFolder
from bandsight.model.onnx_graph import Graph

# Texts per forward pass.
_BATCH = 64
_PREFIX, _EMBEDDINGS, _PROJECTION_WEIGHT = "text.transformer.", "embeddings.", "proj.weight"
# Inputs and output of the graph.
_WORDS, _THERE, _VECTORS = "words", "there", "vectors"
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
        """Build the graph.

        Raises:
            KeyError: An array is missing.
        """
        self._words = weights.pop(f"{_EMBEDDINGS}word_embeddings.weight")
        self._word_scales = weights.pop(f"{_EMBEDDINGS}word_embeddings.weight{_ROW_SCALE}", None)
        dense = {name: _dense(weights, name) for name in weights if not name.endswith(_ROW_SCALE)}
        types = dense.pop(f"{_EMBEDDINGS}token_type_embeddings.weight")
        self._positions = dense.pop(f"{_EMBEDDINGS}position_embeddings.weight") + types[0]
        self._dim = len(dense[_PROJECTION_WEIGHT])
        self._session = _session(dense, config)
        self._tokenizer = tokenizer
        tokenizer.enable_truncation(context)
        tokenizer.enable_padding(pad_id=int(config["pad_token_id"]), pad_token="[PAD]")  # noqa: S106  (name of a token)

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, dim)."""
        parts = [self._embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return np.concatenate([np.empty((0, self._dim), np.float32), *parts])

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch([_clean(text) for text in texts])
        ids = np.array([one.ids for one in encoded], np.int64)
        there = np.array([one.attention_mask for one in encoded], np.float32)
        words = self._words[ids].astype(np.float32)
        if self._word_scales is not None:
            words *= self._word_scales[ids].astype(np.float32)
        words += self._positions[: ids.shape[1]]
        vectors: NDArray[np.float32] = self._session.run([_VECTORS], {_WORDS: words, _THERE: there})[0]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _session(dense: Weights, config: dict[str, Any]) -> Any:
    """Return the encoder, pooler and projection as an ONNX Runtime session.

    `_VECTORS` (n, dim), not of unit length, of `_WORDS` (n, tokens, width) and `_THERE` (n, tokens), 0 for padding.

    Args:
        dense: Arrays by their name in the checkpoint, without the word embeddings.
        config: Of the BERT model.

    Raises:
        KeyError: An array is missing.
    """
    layers = _Layers(dense, int(config["num_attention_heads"]), float(config["layer_norm_eps"]))
    x = layers.normed(f"{_EMBEDDINGS}LayerNorm", _WORDS)
    for number in range(int(config["num_hidden_layers"])):
        x = layers.layer(f"encoder.layer.{number}.", x)
    counted = layers.node("Mul", [x, layers.shaped(_THERE, (0, 0, 1))])
    tokens = layers.constant(np.array([1], np.int64))
    total = layers.node("ReduceSum", [counted, tokens], keepdims=0)
    pooled = layers.node("Div", [total, layers.node("ReduceSum", [_THERE, tokens], keepdims=1)])
    return layers.session(
        {_VECTORS: layers.node("MatMul", [pooled, layers.constant(dense[_PROJECTION_WEIGHT].T)])}, [_WORDS, _THERE]
    )


class _Layers(Graph):
    """Builds the graph layer by layer."""

    def __init__(self, arrays: Weights, heads: int, epsilon: float) -> None:
        super().__init__()
        self._arrays, self._heads, self._epsilon = arrays, heads, epsilon
        width = arrays[f"{_EMBEDDINGS}LayerNorm.weight"].shape[0]
        self._size = width // heads
        # Added to the scores of tokens: 0, or much less than any score where there is padding.
        less = self.node("Mul", [self.node("Sub", [self.constant(np.float32(1)), _THERE]), self.constant(_MASKED)])
        self._hidden = self.shaped(less, (0, 1, 1, -1))

    def layer(self, name: str, x: str) -> str:
        """Append one transformer layer."""
        attended = self.linear(f"{name}attention.output.dense", self._attention(f"{name}attention.self.", x))
        x = self.normed(f"{name}attention.output.LayerNorm", self.node("Add", [x, attended]))
        wide = self._gelu(self.linear(f"{name}intermediate.dense", x))
        return self.normed(f"{name}output.LayerNorm", self.node("Add", [x, self.linear(f"{name}output.dense", wide)]))

    def linear(self, name: str, x: str) -> str:
        """Append a linear layer."""
        return self._affine(x, self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"])

    def normed(self, name: str, x: str) -> str:
        """Append a layer norm."""
        factor, bias = (self.constant(self._arrays[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.node("LayerNormalization", [x, factor, bias], axis=-1, epsilon=self._epsilon)

    def shaped(self, x: str, shape: Sequence[int]) -> str:
        """Append a change of shape; 0 keeps a side, -1 is what remains."""
        return self.node("Reshape", [x, self.constant(np.array(shape, np.int64))])

    def _attention(self, name: str, x: str) -> str:
        weights, biases = (
            np.concatenate([self._arrays[f"{name}{part}.{kind}"] for part in _PARTS]) for kind in ("weight", "bias")
        )
        together = self.shaped(self._affine(x, weights, biases), (0, 0, len(_PARTS), self._heads, self._size))
        parts = self.node("Transpose", [together], perm=[2, 0, 3, 1, 4])
        query, key, value = (
            self.node("Gather", [parts, self.constant(np.int64(number))], axis=0) for number in range(len(_PARTS))
        )
        scores = self.node("MatMul", [query, self.node("Transpose", [key], perm=[0, 1, 3, 2])])
        scaled = self.node("Mul", [scores, self.constant(np.float32(self._size**-0.5))])
        shares = self.node("Softmax", [self.node("Add", [scaled, self._hidden])], axis=-1)
        mixed = self.node("Transpose", [self.node("MatMul", [shares, value])], perm=[0, 2, 1, 3])
        return self.shaped(mixed, (0, 0, self._heads * self._size))

    def _affine(self, x: str, weights: NDArray[np.float32], biases: NDArray[np.float32]) -> str:
        product = self.node("MatMul", [x, self.constant(np.ascontiguousarray(weights.T))])
        return self.node("Add", [product, self.constant(biases)])

    def _gelu(self, x: str) -> str:
        error = self.node("Erf", [self.node("Div", [x, self.constant(np.float32(2**0.5))])])
        share = self.node("Add", [error, self.constant(np.float32(1))])
        return self.node("Mul", [self.node("Mul", [x, share]), self.constant(np.float32(0.5))])


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
            weights[_PROJECTION_WEIGHT] = file.get_tensor("text.proj.weight")
            logits = {key: float(file.get_tensor(key)) for key in file.keys() if key.startswith("logit_")}  # noqa: SIM118
        # The libraries raise a plain Exception for an unreadable file.
        tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    except Exception:  # noqa: BLE001
        return None
    return TextTower(weights, config, tokenizer, context), logits


def _dense(weights: Weights, name: str) -> NDArray[np.float32]:
    value = weights[name].astype(np.float32)
    scale = weights.get(name + _ROW_SCALE)
    return value if scale is None else np.asarray(value * scale.astype(np.float32), np.float32)


def _clean(text: str) -> str:
    """Clean a text like open_clip's `clean="lower"` (open_clip/tokenizer.py)."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()
