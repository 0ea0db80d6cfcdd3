"""Computes all metrics that a data set allows, following published protocols.

Retrieval uses up to five captions per image, treats equal captions as distinct, and takes the rank of the first
matching caption. Zero-shot classification uses the mean of three prompts and averages over classes. All metrics have
95% intervals.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.evaluation.bootstrap import Bootstrap, interval
from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.metrics import (
    calibration_curve,
    macro,
    nothing_here,
    overlap,
    own_ranks,
    precision_at,
)
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import Imagery, ImageryLike, as_imagery, family, sentence_vectors
from bandsight.model.wavelengths import nearest_bands
from bandsight.progress import report

PROMPTS = ("a satellite image of {}", "an aerial photo of {}", "{}")
"""Prompts for a class name; a class is represented by their mean."""

_BATCH = 64
_TOP = 10
_RECALLS = (1, 5, 10)
# Number of captions per image in published sets; further ones are ignored.
_CAPTIONS = 5
# Fewer resamples, because this metric is slow to compute.
_NOTHING_RESAMPLES = 200
_MEDIANS = 1000
_VISIBLE_UM = (0.66, 0.56, 0.485)
# Maximum distance of a band's centre from red, green or blue.
_NEAR_UM = 0.04


def evaluate(encoder: Encoder, images: Sequence[LabelledImage]) -> dict[str, Any]:
    """Compute every metric that the labels allow.

    Args:
        encoder: The model.
        images: Labelled images; all of them are used.

    Returns:
        `images`; `retrieval` if there are captions; `zero_shot`, `calibration` and `nothing_matches` if there are at
        least two classes; `bands` if images have more than red, green and blue; `paraphrases` if there are more than
        ten images.
    """
    vectors = embed(encoder, images)
    out: dict[str, Any] = {"images": len(images)}
    if captioned := [row for row, image in enumerate(images) if image.captions]:
        out["retrieval"] = retrieval(encoder, vectors[captioned], [images[row] for row in captioned])
    classes = sorted({image.cls for image in images if image.cls is not None})
    if len(classes) > 1:
        rows = [row for row, image in enumerate(images) if image.cls is not None]
        truth = np.array([[images[row].cls == name for name in classes] for row in rows])
        out |= classification(encoder, vectors[rows], truth, classes, [imagery_of(images[row]) for row in rows])
    if (bands := band_agreement(encoder, images, vectors)) is not None:
        out["bands"] = bands
    if len(images) > _TOP:
        out["paraphrases"] = paraphrases(encoder, vectors)
    return out


def imagery_of(image: LabelledImage) -> Imagery:
    """Return the imagery of a labelled image, with its ground sample distance if that is not a range."""
    low, high = image.gsd_m or (None, None)
    return Imagery(family=family(image.wavelengths), gsd_m=low if low == high else None)


def embed(encoder: Encoder, images: Sequence[LabelledImage]) -> NDArray[np.float32]:
    """Return unit vectors of images with any sizes and bands, shape (n, dim), in order.

    The encoder resizes them, as in searches. Images of the same size and bands are batched.
    """
    out = np.empty((len(images), encoder.dim), np.float32)
    alike: dict[tuple[tuple[float, ...], tuple[int, ...]], list[int]] = {}
    for row, image in enumerate(images):
        alike.setdefault((image.wavelengths, image.pixels.shape), []).append(row)
    done = 0
    for (wavelengths, _), rows in alike.items():
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            out[batch] = encoder.embed_pixels(np.stack([images[row].pixels for row in batch]), wavelengths)
            done += len(batch)
            report(done / len(images))
    return out


def retrieval(encoder: Encoder, vectors: NDArray[np.float32], images: Sequence[LabelledImage]) -> dict[str, Any]:
    """Return recalls in percent between images and captions; every image must have captions.

    Equal captions of two images count as distinct, and only its own is correct for each image.
    """
    captions = [image.captions[:_CAPTIONS] for image in images]
    sizes = np.array([len(own) for own in captions])
    texts = sorted({caption for own in captions for caption in own})
    at = {text: row for row, text in enumerate(texts)}
    # Equal captions have equal scores, so they rank in the order of the data set.
    scores = (vectors @ encoder.embed_texts(texts).T)[:, [at[caption] for own in captions for caption in own]]
    owner = np.repeat(np.arange(len(images)), sizes)
    by_image, by_caption = own_ranks(scores, owner)
    figures: dict[str, float] = {}
    resampled: dict[str, NDArray[np.float64]] = {}
    bootstrap = Bootstrap(len(images))
    for k in _RECALLS:
        figures[f"image_to_text_r{k}"] = round(100 * float((by_image < k).mean()), 2)
        resampled[f"image_to_text_r{k}"] = 100 * bootstrap.mean(by_image < k)
    for k in _RECALLS:
        found = np.bincount(owner, by_caption < k, len(images))
        figures[f"text_to_image_r{k}"] = round(100 * float(found.sum() / sizes.sum()), 2)
        resampled[f"text_to_image_r{k}"] = 100 * bootstrap.mean(found, sizes)
    figures["mean_recall"] = round(sum(figures.values()) / len(figures), 2)
    resampled["mean_recall"] = np.mean(list(resampled.values()), axis=0)
    return {
        "images": len(images),
        "captions": int(sizes.sum()),
        "captions_per_image": [int(sizes.min()), int(sizes.max())],
        **figures,
        "intervals": {name: interval(values) for name, values in resampled.items()},
    }


def classification(
    encoder: Encoder,
    vectors: NDArray[np.float32],
    truth: NDArray[np.bool_],
    classes: Sequence[str],
    imagery: Sequence[ImageryLike],
) -> dict[str, Any]:
    """Return metrics for zero-shot classification with mean prompts, calibration, and "nothing matches"."""
    weights = class_vectors(encoder.embed_texts, classes)
    scores = vectors @ weights.T
    out: dict[str, Any] = {"zero_shot": zero_shot(scores, truth, classes)}
    plain = (vectors @ encoder.embed_texts(list(classes)).T).argmax(axis=1)
    own = truth.argmax(axis=1)
    out["zero_shot"]["top1_name_alone"] = macro(plain == own, own)
    out["zero_shot"]["intervals"]["top1_name_alone"] = interval(_macro_of(Bootstrap(len(own)), plain == own, own))
    asked = class_vectors(partial(sentence_vectors, encoder), classes)
    chances = encoder.probabilities.of(vectors @ asked.T, asked, imagery)
    out |= calibration(encoder, chances, truth, imagery)
    if (nothing := nothing_matches(encoder, chances, truth, imagery)) is not None:
        out["nothing_matches"] = nothing
    return out


def calibration(
    encoder: Encoder, chances: NDArray[np.float32], truth: NDArray[np.bool_], imagery: Sequence[ImageryLike]
) -> dict[str, Any]:
    """Return calibration errors overall and by family, and why imagery has no probabilities, with counts."""
    kinds = [as_imagery(one) for one in imagery]
    reasons = Counter(reason for one in kinds if (reason := encoder.probabilities.reason(one)) is not None)
    out: dict[str, Any] = {"not_calibrated": dict(reasons)} if reasons else {}
    known: NDArray[np.bool_] = np.isfinite(chances[:, 0])
    if not known.any():
        return out

    def curve(rows: NDArray[np.bool_]) -> dict[str, Any]:
        figures = calibration_curve(chances[rows], truth[rows])
        return {**figures, "interval": interval(resampled_calibration_error(chances[rows], truth[rows]), 4)}

    families = sorted({one.family for one, there in zip(kinds, known, strict=True) if there})
    by_family = {name: curve(known & np.array([one.family == name for one in kinds])) for name in families}
    return {**out, "calibration": {**curve(known), "by_family": by_family}}


def zero_shot(scores: NDArray[np.float32], truth: NDArray[np.bool_], classes: Sequence[str]) -> dict[str, Any]:
    """Return top-1 accuracy: averaged over classes, over images, and per class.

    Args:
        scores: Cosines, shape (images, classes).
        truth: Correct pairs, same shape; each image has one class.
        classes: Class names.
    """
    own = truth.argmax(axis=1)
    hits = scores.argmax(axis=1) == own
    bootstrap = Bootstrap(len(own))
    # A class with fewer images limits k.
    tops = [min(_TOP, int(truth[:, c].sum())) for c in range(len(classes))]
    return {
        "classes": len(classes),
        "prompts": list(PROMPTS),
        "top1": macro(hits, own),
        "top1_of_all_images": round(100 * float(hits.mean()), 2),
        "by_class": {name: round(100 * float(hits[own == c].mean()), 2) for c, name in enumerate(classes)},
        "precision_at_10": {
            name: round(precision_at(scores[:, c], truth[:, c], tops[c]), 2) for c, name in enumerate(classes)
        },
        "intervals": {
            "top1": interval(_macro_of(bootstrap, hits, own)),
            "top1_of_all_images": interval(100 * bootstrap.mean(hits)),
            "by_class": {
                name: interval(100 * bootstrap.mean(hits & (own == c), own == c)) for c, name in enumerate(classes)
            },
            "precision_at_10": {
                name: interval(bootstrap.precision_at(scores[:, c], truth[:, c], tops[c]))
                for c, name in enumerate(classes)
            },
        },
    }


def _macro_of(bootstrap: Bootstrap, hits: NDArray[np.bool_], own: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the class-averaged accuracy of each resample, percent; ignores classes missing from it."""
    each = [bootstrap.mean(hits & (own == c), own == c) for c in np.unique(own)]
    return np.asarray(100 * np.nanmean(each, axis=0), np.float64)


def resampled_calibration_error(
    chances: NDArray[np.float32], truth: NDArray[np.bool_], bins: int = 10
) -> NDArray[np.float64]:
    """Return the expected calibration error of each resample, for probabilities of shape (images, sentences)."""
    which = np.minimum((chances * bins).astype(int), bins - 1)
    bootstrap, sizes = Bootstrap(len(chances)), np.full(len(chances), truth.shape[1])
    gaps = [bootstrap.mean(np.where(which == one, chances - truth, 0).sum(axis=1), sizes) for one in range(bins)]
    return np.asarray(np.abs(gaps).sum(axis=0), np.float64)


def nothing_matches(
    encoder: Encoder, chances: NDArray[np.float32], truth: NDArray[np.bool_], imagery: Sequence[ImageryLike]
) -> dict[str, Any] | None:
    """Return how often "something here matches" is correct, with the threshold of each image's family.

    Args:
        encoder: Model that provides the thresholds.
        chances: Probabilities, shape (images, classes).
        truth: Correct pairs, same shape.
        imagery: Imagery of each image.

    Returns:
        `threshold` (a list if it differs by family) and the metrics of `nothing_here`, or None if some images have no
        threshold.
    """
    levels = [encoder.probabilities.threshold(one) for one in imagery]
    known = [level for level in levels if level is not None]
    if len(known) < len(levels):
        return None
    each = sorted(set(known))
    levels_of = np.array(known, np.float32)[:, None]
    figures = nothing_here(chances, truth, levels_of)
    draws = np.random.default_rng(0).integers(0, len(chances), (_NOTHING_RESAMPLES, len(chances)))
    resampled = [nothing_here(chances[rows], truth[rows], levels_of[rows]) for rows in draws]
    intervals = {name: interval(np.array([one[name] for one in resampled]), 4) for name in figures}
    return {"threshold": each[0] if len(each) == 1 else each, **figures, "intervals": intervals}


def class_vectors(
    embed_texts: Callable[[list[str]], NDArray[np.float32]], classes: Sequence[str]
) -> NDArray[np.float32]:
    """Return one unit vector per class, the mean over the prompts, shape (classes, dim)."""
    means = np.stack([embed_texts([one.format(name) for one in PROMPTS]).mean(axis=0) for name in classes])
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def band_agreement(
    encoder: Encoder, images: Sequence[LabelledImage], vectors: NDArray[np.float32]
) -> dict[str, Any] | None:
    """Return the similarity of vectors of the same place: all bands versus RGB, and versus fewer bands.

    Each median comes with that of different places (all bands), as a baseline.
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
    # Pair each image with the next in a random order, so that none is paired with itself.
    order = rng.permutation(len(rows))
    apart = (everything[order] * everything[np.roll(order, 1)]).sum(axis=1)
    same = {
        "rgb_with_all": (embed(encoder, rgb_images) * everything).sum(axis=1),
        "some_with_all": (embed(encoder, some) * everything).sum(axis=1),
        "different_places": apart,
    }
    draws = np.random.default_rng(0).integers(0, len(rows), (_MEDIANS, len(rows)))
    return {
        "images": len(rows),
        **{name: round(float(np.median(values)), 4) for name, values in same.items()},
        "intervals": {name: interval(np.median(values[draws], axis=1), 4) for name, values in same.items()},
    }


def _bands(image: LabelledImage, keep: list[int]) -> LabelledImage:
    waves = tuple(image.wavelengths[band] for band in keep)
    return LabelledImage(key=image.key, pixels=image.pixels[keep], wavelengths=waves, cls=image.cls)


def paraphrases(encoder: Encoder, vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return the overlap of the top ten results for five paraphrases (mean over pairs and queries)."""
    said = tomllib.loads((Path(__file__).parent / "paraphrases.toml").read_text(encoding="utf-8"))
    wishes: list[list[str]] = said["wishes"]
    shares = {}
    for wordings in wishes:
        best = np.argsort(-(sentence_vectors(encoder, wordings) @ vectors.T), axis=1)[:, :_TOP]
        shares[wordings[0]] = round(overlap(list(best)), 3)
    each = np.array(list(shares.values()))
    return {
        "wishes": len(wishes),
        "top10_overlap": round(float(each.mean()), 4),
        # Resample queries, not images.
        "interval": interval(Bootstrap(len(each)).mean(each), 4),
        "each": shares,
    }
