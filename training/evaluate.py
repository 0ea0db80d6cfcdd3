"""Figures of a model folder on the held-out tenth: retrieval both ways and zero-shot classes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from training.captions import CaptionedImage
from training.prompts import class_prompts

RGB_UM = (0.665, 0.56, 0.49)


def evaluate(folder: Path, images: list[CaptionedImage]) -> dict[str, float]:
    """Return mean recall and zero-shot top-1, in percent, per data set, on the images given."""
    encoder = load_model(f"local-dir:{folder}", check=False)
    out: dict[str, float] = {}
    for dataset in ("rsicd", "ucm"):
        chosen = [image for image in images if image.dataset == dataset]
        vectors = embed(encoder, chosen)
        texts = sorted({caption for image in chosen for caption in image.captions})
        row = {text: i for i, text in enumerate(texts)}
        scores = vectors @ encoder.embed_texts(texts).T
        owners = [{row[caption] for caption in image.captions} for image in chosen]
        out[f"{dataset}_images"] = len(chosen)
        out |= {f"{dataset}_{name}": value for name, value in recalls(scores, owners).items()}
        out[f"{dataset}_zero_shot"] = zero_shot(encoder, vectors, [image.cls for image in chosen])
    return out


def embed(encoder: Encoder, images: list[CaptionedImage]) -> NDArray[np.float32]:
    """Return vectors of RGB images of any size."""
    side = encoder.image_size
    squares = [
        np.asarray(Image.fromarray(image.pixels.transpose(1, 2, 0)).resize((side, side), Image.Resampling.BICUBIC))
        for image in images
    ]
    stack = np.stack(squares).transpose(0, 3, 1, 2)
    return np.concatenate([encoder.embed_pixels(stack[i : i + 128], RGB_UM) for i in range(0, len(stack), 128)])


def recalls(scores: NDArray[np.float32], owners: list[set[int]]) -> dict[str, float]:
    """Return R@1, 5, 10 both ways and their mean, percent.

    Captions shared by several images count once as a query, answered when any of its images is found.

    Args:
        scores: Shape (images, distinct captions).
        owners: For each image the columns of its captions.
    """
    truth = np.zeros(scores.shape, bool)
    for image, columns in enumerate(owners):
        truth[image, list(columns)] = True
    out = {}
    for name, s, t in (("i2t", scores, truth), ("t2i", scores.T, truth.T)):
        ranked = np.take_along_axis(t, np.argsort(-s, axis=1)[:, :10], axis=1)
        for k in (1, 5, 10):
            out[f"{name}_r{k}"] = round(100 * float(ranked[:, :k].any(axis=1).mean()), 2)
    out["mean_recall"] = round(sum(out.values()) / 6, 2)
    return out


def zero_shot(encoder: Encoder, vectors: NDArray[np.float32], classes: list[str]) -> float:
    """Return top-1 accuracy in percent with the mean of all templates for each class."""
    names = sorted(set(classes))
    prompts = [encoder.embed_texts(class_prompts(name)).mean(axis=0) for name in names]
    weights = np.stack([prompt / np.linalg.norm(prompt) for prompt in prompts])
    best = (vectors @ weights.T).argmax(axis=1)
    return round(100 * float(np.mean([names[b] == c for b, c in zip(best, classes, strict=True)])), 2)
