"""Background subtraction: keeps tiles that score well with any sentence from ranking first."""

import tomllib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.model.protocol import Encoder

# Below this norm, a sentence does not differ from the background and keeps its vector.
_LEAST_NORM = 1e-6


def background_sentences() -> list[str]:
    """Return sentences about ordinary things seen from above."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    concepts: list[str] = tomllib.loads(text)["concepts"]
    return concepts


def background_mean(encoder: Encoder) -> NDArray[np.float32]:
    """Return the mean vector of the background sentences, shape (dim,)."""
    return np.asarray(encoder.embed_texts(background_sentences()).mean(axis=0), np.float32)


def sentence_vectors(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    """Return the unit vectors of sentences for ranking tiles, shape (n, dim).

    If the model's calibration was fitted without a background, these are the vectors of `Encoder.embed_texts`.
    """
    return less_background(encoder.embed_texts(texts), encoder.background)


def less_background(vectors: NDArray[np.float32], mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Subtract the background mean (dim,) from unit vectors (n, dim) and renormalise."""
    if mean is None or not len(vectors):
        return vectors
    apart = vectors - mean
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    return np.where(lengths > _LEAST_NORM, apart / np.maximum(lengths, _LEAST_NORM), vectors).astype(np.float32)
