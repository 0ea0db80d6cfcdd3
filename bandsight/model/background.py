"""What any sentence scores: it is subtracted, so that tiles which score well with anything do not rank first."""

import tomllib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.model.protocol import Encoder

# A sentence that says no more than the background has no direction of its own.
_LEAST_NORM = 1e-6


def background_sentences() -> list[str]:
    """Return ordinary things seen from above, in words."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    concepts: list[str] = tomllib.loads(text)["concepts"]
    return concepts


def background_mean(encoder: Encoder) -> NDArray[np.float32]:
    """Return the mean vector of the background's sentences, shape (dim,)."""
    return np.asarray(encoder.embed_texts(background_sentences()).mean(axis=0), np.float32)


def sentence_vectors(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    """Return the unit vectors that tiles are ranked by for sentences, shape (n, dim).

    A model whose calibration was fitted without the background ranks by the vectors of `Encoder.embed_texts`.
    """
    return less_background(encoder.embed_texts(texts), encoder.background)


def less_background(vectors: NDArray[np.float32], mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return unit vectors (n, dim) of sentences with the background's mean (dim,) subtracted, again of length 1."""
    if mean is None or not len(vectors):
        return vectors
    apart = vectors - mean
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    return np.where(lengths > _LEAST_NORM, apart / np.maximum(lengths, _LEAST_NORM), vectors).astype(np.float32)
