"""Fits calibrations: probabilities and match thresholds for each family of imagery."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import QueryError
from bandsight.evaluation.bootstrap import interval
from bandsight.evaluation.datasets import LabelledImage, share_of
from bandsight.evaluation.evaluate import PROMPTS, resampled_calibration_error
from bandsight.evaluation.metrics import calibration_curve, nothing_here
from bandsight.model.calibration import questions_entry
from bandsight.model.scoring import Platt

_LEVELS = tuple(round(float(level), 2) for level in np.arange(0.02, 0.98, 0.01))
# Fraction of the images used to check a calibration.
_HELD_OUT = 0.3
# A calibration fitted on at least this many classes is considered valid for any query.
_MANY_CLASSES = 30
# Minimum number of images of a family for meaningful metrics.
_MIN_IMAGES = 20
_TOLERANCE, _MAX_STEPS = 1e-9, 100
# Weak ridge penalty that keeps the scale finite if scores separate all pairs.
_RIDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScores:
    """Cosines between the images of a data set and sentences, and which pairs match."""

    cosines: NDArray[np.float32]
    """Shape (images, sentences)."""
    truth: NDArray[np.bool_]
    """Whether each pair matches, same shape."""

    def rows(self, chosen: NDArray[np.bool_]) -> "LabelledScores":
        """Return a subset of the images."""
        return LabelledScores(cosines=self.cosines[chosen], truth=self.truth[chosen])


Embed = Callable[[Sequence[LabelledImage]], NDArray[np.float32]]
"""Returns unit vectors of images, shape (n, dim)."""
EmbedTexts = Callable[[list[str]], NDArray[np.float32]]
"""Returns unit vectors of sentences, shape (n, dim)."""


def class_scores(
    embed_texts: EmbedTexts,
    vectors: NDArray[np.float32],
    images: Sequence[LabelledImage],
    prompts: Sequence[str] = PROMPTS,
) -> LabelledScores:
    """Return the cosines between images and the sentences of all classes.

    Prompts are not averaged; each is a separate sentence, as in a search.

    Args:
        embed_texts: Embeds sentences as searches do.
        vectors: Vectors of the images, shape (n, dim).
        images: Images of at least two classes.
        prompts: Format strings with a placeholder for the class.
    """
    classes = sorted({image.cls for image in images if image.cls is not None})
    texts = embed_texts([one.format(name) for name in classes for one in prompts])
    truth = np.array([[image.cls == name for name in classes for _ in prompts] for image in images])
    return LabelledScores(cosines=np.asarray(vectors @ texts.T, np.float32), truth=truth)


def fit(sets: Sequence[LabelledScores]) -> Platt:
    """Fit scale and bias by logistic regression on all pairs, and the best match threshold.

    The level balances precision and recall of "something here matches" (their harmonic mean), averaged over the data
    sets: whole or in thirds, whichever is worse. The more images an archive has, the more likely one of them reaches a
    level, rightly or wrongly, and archives come in all sizes.

    Raises:
        QueryError: All pairs match or none does, or matches do not have higher scores.
    """
    cosines = np.concatenate([one.cosines.ravel() for one in sets]).astype(np.float64)
    truths = np.concatenate([one.truth.ravel() for one in sets]).astype(np.float64)
    if not 0 < truths.sum() < len(truths):
        raise QueryError("calibration: need images of at least two classes, so that some pairs match and some do not")
    scale, bias = _logistic(cosines, truths)
    if scale <= 0:
        raise QueryError(
            "calibration: images do not score higher with their own class than with others, so scores mean nothing for "
            "these images; check the class names and the wavelengths"
        )
    line = Platt(scale=scale, bias=bias)
    thirds = [one.rows(np.arange(len(one.truth)) % 3 == part) for one in sets for part in range(3)]

    def worse(level: float) -> float:
        return min(_balance(line, sets, level), _balance(line, thirds, level))

    best = max(_LEVELS, key=lambda level: (worse(level), -abs(level - 0.5)))
    return Platt(scale=scale, bias=bias, threshold=best)


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the maximum-likelihood scale and bias of sigmoid(x × scale + bias), by Newton's method."""
    spread = float(x.std()) or 1.0
    inputs = np.stack([(x - x.mean()) / spread, np.ones_like(x)], axis=1)
    share = float(y.mean())
    line = np.array([1.0, np.log(share / (1 - share))])

    def loss(at: NDArray[np.float64]) -> float:
        logits = inputs @ at
        return float(np.mean(np.logaddexp(0, logits) - y * logits) + _RIDGE * at[0] ** 2 / 2)

    for _ in range(_MAX_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(inputs @ line, -500, 500)))
        slope = inputs.T @ (chances - y) / len(y) + [_RIDGE * line[0], 0]
        weighted = inputs * (chances * (1 - chances))[:, None]
        curve = inputs.T @ weighted / len(y) + np.diag([_RIDGE, 1e-12])
        step = np.linalg.solve(curve, slope)
        # Halve the step until the loss decreases, because a full step may overshoot far from the optimum.
        size = 1.0
        while size > _TOLERANCE and loss(line - size * step) > loss(line):
            size /= 2
        line = line - size * step
        if np.abs(size * step).max() < _TOLERANCE:
            break
    scale = float(line[0]) / spread
    return scale, float(line[1]) - scale * float(x.mean())


def _balance(line: Platt, sets: Sequence[LabelledScores], level: float) -> float:
    """Return the harmonic mean of precision and recall of "something here matches", averaged over data sets."""
    found = [nothing_here(line.probability(one.cosines), one.truth, level) for one in sets]
    precision = float(np.mean([figures["archive_precision"] for figures in found]))
    recall = float(np.mean([figures["archive_recall"] for figures in found]))
    return 2 * precision * recall / max(precision + recall, 1e-9)


KeyedScores = tuple[LabelledScores, Sequence[str]]
"""Scores of a data set, and the key of each image, whose hash decides whether the image is held out."""


def fit_and_check(families: Mapping[str, Sequence[KeyedScores]]) -> dict[str, dict[str, Any]]:
    """Return entries of calibration.json by family, fitted on 70% of the images and checked on the other 30%.

    Families are fitted separately, because the same score means different probabilities for different sensors.

    Args:
        families: The data sets of each family.

    Raises:
        QueryError: There are too few images, or the fit fails.
    """
    out = {}
    for name, sets in families.items():
        fitted, held = _split(name, sets)
        line = fit(fitted)
        out[name] = {
            "scale": round(line.scale, 4),
            "bias": round(line.bias, 4),
            "threshold": line.threshold,
            "images": sum(len(one.truth) for one in fitted),
            "pairs": sum(one.truth.size for one in fitted),
            "true_pairs": int(sum(one.truth.sum() for one in fitted)),
            "held_out": checked(line, held),
            "all": something_here(line, [*fitted, *held]),
        }
    return out


def _split(family: str, sets: Sequence[KeyedScores]) -> tuple[list[LabelledScores], list[LabelledScores]]:
    """Split into training and held-out scores, without empty data sets."""
    count = sum(len(keys) for _, keys in sets)
    if count < _MIN_IMAGES:
        raise QueryError(f"calibration: {count} images of {family}; need at least {_MIN_IMAGES} per family")
    fitted, held = [], []
    for scores, keys in sets:
        out = np.array([share_of(f"calibration/{key}") < _HELD_OUT for key in keys])
        fitted.append(scores.rows(~out))
        held.append(scores.rows(out))
    return [one for one in fitted if len(one.truth)], [one for one in held if len(one.truth)]


def checked(line: Platt, sets: Sequence[LabelledScores]) -> dict[str, Any]:
    """Return metrics of a calibration on held-out images, averaged over data sets."""
    if not sets:
        return {"images": 0}
    curves = [calibration_curve(line.probability(one.cosines), one.truth) for one in sets]
    errors = [resampled_calibration_error(line.probability(one.cosines), one.truth) for one in sets]
    return {
        "images": sum(len(one.truth) for one in sets),
        "expected_calibration_error": round(float(np.mean([c["expected_calibration_error"] for c in curves])), 4),
        "interval": interval(np.mean(errors, axis=0), 4),
        **something_here(line, sets),
        "bins": calibration_curve(
            np.concatenate([line.probability(one.cosines).ravel() for one in sets]),
            np.concatenate([one.truth.ravel() for one in sets]),
        )["bins"],
    }


def something_here(line: Platt, sets: Sequence[LabelledScores]) -> dict[str, float]:
    """Return precision and recall of "something here matches" and of matching images, means over data sets."""
    found = [nothing_here(line.probability(one.cosines), one.truth, line.threshold or 0.5) for one in sets]
    return {name: round(float(np.mean([one[name] for one in found])), 4) for name in found[0]}


def questions(embed_texts: EmbedTexts, sentences: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the entry `questions` of a family; empty if it was fitted on many classes.

    A query is covered if it is nearer to one of the sentences than any two sentences of different classes are to each
    other.

    Args:
        embed_texts: Embeds sentences as searches do.
        sentences: Sentences of each class, for at least two classes.
    """
    if len(sentences) >= _MANY_CLASSES:
        return {}
    texts = [text for own in sentences.values() for text in own]
    of = np.repeat(np.arange(len(sentences)), [len(own) for own in sentences.values()])
    vectors = embed_texts(texts)
    apart = (vectors @ vectors.T)[of[:, None] != of]
    return {"questions": questions_entry(texts, vectors, float(apart.max()))}


def gsd_range(images: Sequence[LabelledImage]) -> list[float] | None:
    """Return the range of ground sample distances, m, or None unless all images state it."""
    stated = [image.gsd_m for image in images if image.gsd_m is not None]
    if not stated or len(stated) < len(images):
        return None
    return [min(low for low, _ in stated), max(high for _, high in stated)]


def fit_families(
    embed: Embed,
    embed_texts: EmbedTexts,
    data: Mapping[str, Sequence[LabelledImage]],
    family_of: Callable[[LabelledImage], str],
) -> dict[str, dict[str, Any]]:
    """Return entries of calibration.json for the families of imagery in data sets, by family.

    Args:
        embed: Embeds images.
        embed_texts: Embeds sentences as searches do.
        data: Images by data set; those without a class are ignored.
        family_of: Returns the family of an image.

    Raises:
        QueryError: No family has images of two classes, or a fit fails.
    """
    parts: dict[str, dict[str, list[LabelledImage]]] = {}
    for name, images in data.items():
        for image in images:
            if image.cls is not None:
                parts.setdefault(family_of(image), {}).setdefault(name, []).append(image)
    families: dict[str, list[KeyedScores]] = {}
    more: dict[str, dict[str, Any]] = {}
    for family, by_set in sorted(parts.items()):
        sets: list[KeyedScores] = []
        used: list[LabelledImage] = []
        for name, images in by_set.items():
            if len({image.cls for image in images}) > 1:
                keys = [f"{name}/{image.key}" for image in images]
                sets.append((class_scores(embed_texts, embed(images), images), keys))
                used += images
        if not sets:
            continue
        gsd = gsd_range(used)
        families[family] = sets
        asked = {image.cls: [one.format(image.cls) for one in PROMPTS] for image in used if image.cls is not None}
        more[family] = {
            **({} if gsd is None else {"gsd_m": gsd}),
            **questions(embed_texts, asked),
            "data": sorted(by_set),
        }
    if not families:
        raise QueryError("calibration: no data set has images of two classes; need class folders or classes in the tar")
    return {family: entry | more[family] for family, entry in fit_and_check(families).items()}
