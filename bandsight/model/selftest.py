"""Self-test of a model: simple queries that every intact model answers correctly."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.protocol import Encoder

RGB_UM = (0.665, 0.56, 0.49)
_PROMPTS = ("an aerial photo of the open sea", "an aerial photo of a dense green forest")
# Checkpoints without text weights yield cosines near 1 between any two prompts; intact models stay far below.
_COLLAPSED = 0.995


def self_test(encoder: Encoder) -> None:
    """Check that two prompts have different vectors, and that two simple images match the right prompt.

    Raises:
        ModelError: The test failed. The weights are damaged or do not belong to the config.
    """
    check_images(encoder.name, check_texts(encoder), encoder.embed_pixels)


def check_images(
    name: str,
    texts: NDArray[np.float32],
    embed: Callable[[NDArray[np.uint8], Sequence[float]], NDArray[np.float32]],
) -> None:
    """Check that two simple images match the right prompt.

    Args:
        name: Name of the model, for messages.
        texts: Vectors returned by `check_texts`.
        embed: The model's `embed_pixels`.

    Raises:
        ModelError: They do not. The weights are damaged or do not belong to the config.
    """
    images = embed(np.stack([_water(), _forest()]), RGB_UM)
    scores = images @ texts.T
    # Rows: water, forest. The difference of differences cancels a bias towards one prompt.
    margin = float(scores[0, 0] + scores[1, 1] - scores[0, 1] - scores[1, 0])
    if not margin > 0:
        raise ModelError(
            f"model {name}: it confuses water with forest (margin {margin:.3f}); "
            "the checkpoint is damaged or does not belong to its config"
        )


def check_texts(encoder: Encoder) -> NDArray[np.float32]:
    """Return the vectors of two prompts, shape (2, dim), after checking that they differ.

    Raises:
        ModelError: They are equal. The weights are damaged.
    """
    texts = encoder.embed_texts(list(_PROMPTS))
    if not np.isfinite(texts).all() or float(texts[0] @ texts[1]) > _COLLAPSED:
        raise ModelError(
            f"model {encoder.name}: its text tower gives the same vector for different prompts "
            f"(cosine {float(texts[0] @ texts[1]):.4f}); the checkpoint is damaged, download it again"
        )
    return texts


def _water(side: int = 224) -> NDArray[np.uint8]:
    """Return an image of calm water: dark blue, with almost no texture."""
    noise = np.random.default_rng(0).normal(0, 3, (side, side))
    return _rgb(28 + noise, 62 + noise, 96 + noise)


def _forest(side: int = 224) -> NDArray[np.uint8]:
    """Return an image of a forest canopy: green crowns of a few pixels, with dark gaps."""
    coarse = np.random.default_rng(1).random((side // 4, side // 4))
    crowns = np.kron(coarse, np.ones((4, 4)))
    crowns = (crowns + np.roll(crowns, 2, 0) + np.roll(crowns, 2, 1) + np.roll(crowns, 1, 0)) / 4
    return _rgb(20 + 50 * crowns, 40 + 80 * crowns, 22 + 40 * crowns)


def _rgb(*bands: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.stack(bands), 0, 255).astype(np.uint8)
