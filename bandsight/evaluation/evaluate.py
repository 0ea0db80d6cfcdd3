"""Puts a model through all figures that a data set allows."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.metrics import (
    by_class,
    calibration_curve,
    nothing_here,
    overlap,
    precision_at,
    recalls,
    top1,
)
from bandsight.model.protocol import Encoder
from bandsight.model.wavelengths import nearest_bands
from bandsight.search.prompt_templates import class_sentences

_BATCH = 64
_TOP = 10
_VISIBLE_UM = (0.66, 0.56, 0.485)
# A band stands for red, green or blue when its centre is no farther off than this.
_NEAR_UM = 0.04


def evaluate(encoder: Encoder, images: Sequence[LabelledImage]) -> dict[str, Any]:
    """Return every figure that the images allow; what they do not allow is left out.

    Args:
        encoder: The model.
        images: Labelled images; all of them count.

    Returns:
        `images`; `retrieval` where there are captions; `zero_shot`, `calibration` and `nothing_matches` where there
        are two classes or more; `bands` where images have more than red, green and blue; `paraphrases` where there
        are more than ten images.
    """
    vectors = embed(encoder, images)
    out: dict[str, Any] = {"images": len(images)}
    if captioned := [row for row, image in enumerate(images) if image.captions]:
        out["retrieval"] = retrieval(encoder, vectors[captioned], [images[row] for row in captioned])
    classes = sorted({image.cls for image in images if image.cls is not None})
    if len(classes) > 1:
        rows = [row for row, image in enumerate(images) if image.cls is not None]
        truth = np.array([[images[row].cls == name for name in classes] for row in rows])
        waves = [images[row].wavelengths for row in rows]
        out |= classification(encoder, vectors[rows], truth, classes, waves)
    if (bands := band_agreement(encoder, images, vectors)) is not None:
        out["bands"] = bands
    if len(images) > _TOP:
        out["paraphrases"] = paraphrases(encoder, vectors)
    return out


def embed(encoder: Encoder, images: Sequence[LabelledImage]) -> NDArray[np.float32]:
    """Return unit vectors of images of any size and bands, shape (n, dim), in their order.

    The encoder resizes them, as it does for searches; images of one size and list of bands go together.
    """
    out = np.empty((len(images), encoder.dim), np.float32)
    alike: dict[tuple[tuple[float, ...], tuple[int, ...]], list[int]] = {}
    for row, image in enumerate(images):
        alike.setdefault((image.wavelengths, image.pixels.shape), []).append(row)
    for (wavelengths, _), rows in alike.items():
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            out[batch] = encoder.embed_pixels(np.stack([images[row].pixels for row in batch]), wavelengths)
    return out


def retrieval(encoder: Encoder, vectors: NDArray[np.float32], images: Sequence[LabelledImage]) -> dict[str, Any]:
    """Return recalls between images, all of which have captions, and those."""
    texts = sorted({caption for image in images for caption in image.captions})
    truth = np.array([[text in captions for text in texts] for captions in (set(i.captions) for i in images)])
    scores = vectors @ encoder.embed_texts(texts).T
    return {"images": len(images), "sentences": len(texts), **recalls(scores, truth)}


def classification(
    encoder: Encoder,
    vectors: NDArray[np.float32],
    truth: NDArray[np.bool_],
    classes: Sequence[str],
    wavelengths: Sequence[Sequence[float]],
) -> dict[str, Any]:
    """Return zero-shot figures with the mean of all templates, calibration, and "nothing matches"."""
    weights = class_vectors(encoder, classes)
    scores = vectors @ weights.T
    plain = vectors @ encoder.embed_texts(list(classes)).T
    out: dict[str, Any] = {
        "zero_shot": {
            "classes": len(classes),
            "top1": top1(scores, truth),
            "top1_name_alone": top1(plain, truth),
            # Of a class with fewer images no more can be found than it has.
            "precision_at_10": {
                name: round(precision_at(scores[:, c], truth[:, c], min(_TOP, int(truth[:, c].sum()))), 2)
                for c, name in enumerate(classes)
            },
            "by_class": by_class(scores, truth, classes),
        }
    }
    chances = encoder.probabilities(vectors, weights, wavelengths)
    out["calibration"] = calibration_curve(chances, truth)
    if (nothing := nothing_matches(encoder, chances, truth, wavelengths)) is not None:
        out["nothing_matches"] = nothing
    return out


def nothing_matches(
    encoder: Encoder, chances: NDArray[np.float32], truth: NDArray[np.bool_], wavelengths: Sequence[Sequence[float]]
) -> dict[str, Any] | None:
    """Return how often "something here matches" is right, each image judged by the level of its own bands.

    Args:
        encoder: Whose levels.
        chances: Probabilities, shape (images, classes).
        truth: Same shape.
        wavelengths: The bands of each image, µm.

    Returns:
        `threshold`, a list where bands have levels of their own; the figures of `nothing_here`; None where some bands
        have no level.
    """
    levels = [encoder.threshold(bands) for bands in wavelengths]
    known = [level for level in levels if level is not None]
    if len(known) < len(levels):
        return None
    each = sorted(set(known))
    figures = nothing_here(chances, truth, np.array(known, np.float32)[:, None])
    return {"threshold": each[0] if len(each) == 1 else each, **figures}


def class_vectors(encoder: Encoder, classes: Sequence[str]) -> NDArray[np.float32]:
    """Return one unit vector per class: the mean over all templates, shape (classes, dim)."""
    means = np.stack([encoder.embed_texts(class_sentences(name)).mean(axis=0) for name in classes])
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def band_agreement(
    encoder: Encoder, images: Sequence[LabelledImage], vectors: NDArray[np.float32]
) -> dict[str, Any] | None:
    """Return how alike the vectors of one place are: all its bands against red, green, blue, and against fewer.

    Beside each median stands that of different places, all bands each: agreement means little where everything agrees.
    """
    rng = np.random.default_rng(0)
    rows, rgb_images, some = [], [], []
    for row, image in enumerate(images):
        waves = np.array(image.wavelengths)
        rgb = nearest_bands(image.wavelengths, _VISIBLE_UM)
        if len(waves) <= 3 or np.abs(waves[rgb] - _VISIBLE_UM).max() > _NEAR_UM:  # noqa: PLR2004
            continue
        rows.append(row)
        rgb_images.append(_bands(image, rgb))
        some.append(_bands(image, sorted(rng.permutation(len(waves))[: rng.integers(2, len(waves))].tolist())))
    if len(rows) < 2:  # noqa: PLR2004
        return None
    everything = vectors[rows]
    # Each beside the next in some order, so none beside itself.
    order = rng.permutation(len(rows))
    apart = (everything[order] * everything[np.roll(order, 1)]).sum(axis=1)
    same = {
        "rgb_with_all": (embed(encoder, rgb_images) * everything).sum(axis=1),
        "some_with_all": (embed(encoder, some) * everything).sum(axis=1),
        "different_places": apart,
    }
    return {"images": len(rows), **{name: round(float(np.median(values)), 4) for name, values in same.items()}}


def _bands(image: LabelledImage, keep: list[int]) -> LabelledImage:
    waves = tuple(image.wavelengths[band] for band in keep)
    return LabelledImage(key=image.key, pixels=image.pixels[keep], wavelengths=waves, cls=image.cls)


def paraphrases(encoder: Encoder, vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return how far the ten best of five wordings of a wish agree (share in common, mean over pairs and wishes)."""
    said = tomllib.loads((Path(__file__).parent / "paraphrases.toml").read_text(encoding="utf-8"))
    wishes: list[list[str]] = said["wishes"]
    shares = {}
    for wordings in wishes:
        best = np.argsort(-(encoder.embed_texts(wordings) @ vectors.T), axis=1)[:, :_TOP]
        shares[wordings[0]] = round(overlap(list(best)), 3)
    return {"wishes": len(wishes), "top10_overlap": round(float(np.mean(list(shares.values()))), 4), "each": shares}
