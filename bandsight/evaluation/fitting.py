"""Fits what a cosine is worth: probabilities and the level of a match, for each family of imagery."""

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
from bandsight.model.calibration import Platt, questions_entry

_LEVELS = tuple(round(float(level), 2) for level in np.arange(0.02, 0.98, 0.01))
# Share of the images that a calibration is checked on.
_HELD_OUT = 0.3
# A calibration that was fitted on so many classes is taken to hold for any question.
_MANY_CLASSES = 30
# With fewer images, the figures of a family say little.
_MIN_IMAGES = 20
_TOLERANCE, _MAX_STEPS = 1e-9, 100
# Keeps the line finite where scores separate all pairs: a weak pull of the scale to 0.
_RIDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScores:
    """Cosines of the images of one data set with sentences, and which of them hold."""

    cosines: NDArray[np.float32]
    """Shape (images, sentences)."""
    truth: NDArray[np.bool_]
    """Same shape."""

    def rows(self, chosen: NDArray[np.bool_]) -> "LabelledScores":
        """Return some of the images."""
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
    """Return the cosines of images with the sentences of all their classes.

    Each prompt is a sentence of its own, as in a search, and not averaged with others.

    Args:
        embed_texts: Embeds sentences as searches do.
        vectors: Of the images, shape (n, dim).
        images: Images with classes, two or more.
        prompts: Sentences with a place for the class.
    """
    classes = sorted({image.cls for image in images if image.cls is not None})
    texts = embed_texts([one.format(name) for name in classes for one in prompts])
    truth = np.array([[image.cls == name for name in classes for _ in prompts] for image in images])
    return LabelledScores(cosines=np.asarray(vectors @ texts.T, np.float32), truth=truth)


def fit(sets: Sequence[LabelledScores]) -> Platt:
    """Return scale and bias by logistic regression on all pairs, and the level that tells best what is there.

    The level balances precision and recall of "something here matches" (their harmonic mean), averaged over the data
    sets: whole or in thirds, whichever is worse. The more images an archive has, the more likely one of them reaches a
    level, rightly or wrongly, and archives come in all sizes.

    Raises:
        QueryError: There is no pair that holds or none that does not, or higher scores are not truer.
    """
    cosines = np.concatenate([one.cosines.ravel() for one in sets]).astype(np.float64)
    truths = np.concatenate([one.truth.ravel() for one in sets]).astype(np.float64)
    if not 0 < truths.sum() < len(truths):
        raise QueryError(
            "calibration: need images of at least two classes, so that some sentences hold and some do not"
        )
    scale, bias = _logistic(cosines, truths)
    if scale <= 0:
        raise QueryError(
            "calibration: images score no higher with their own class than with others, so scores say nothing about "
            "these images; check the class names and the wavelengths"
        )
    line = Platt(scale=scale, bias=bias)
    thirds = [one.rows(np.arange(len(one.truth)) % 3 == part) for one in sets for part in range(3)]

    def worse(level: float) -> float:
        return min(_balance(line, sets, level), _balance(line, thirds, level))

    best = max(_LEVELS, key=lambda level: (worse(level), -abs(level - 0.5)))
    return Platt(scale=scale, bias=bias, threshold=best)


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return scale and bias of the most likely sigmoid(x × scale + bias), by Newton's method."""
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
        # Halved until it helps: far from the optimum, a whole step may overshoot.
        size = 1.0
        while size > _TOLERANCE and loss(line - size * step) > loss(line):
            size /= 2
        line = line - size * step
        if np.abs(size * step).max() < _TOLERANCE:
            break
    scale = float(line[0]) / spread
    return scale, float(line[1]) - scale * float(x.mean())


def _balance(line: Platt, sets: Sequence[LabelledScores], level: float) -> float:
    """Return the harmonic mean of the precision and the recall of "something here matches", over data sets."""
    found = [nothing_here(line.probability(one.cosines), one.truth, level) for one in sets]
    precision = float(np.mean([figures["archive_precision"] for figures in found]))
    recall = float(np.mean([figures["archive_recall"] for figures in found]))
    return 2 * precision * recall / max(precision + recall, 1e-9)


KeyedScores = tuple[LabelledScores, Sequence[str]]
"""Scores of a data set, and the key of each image, whose hash decides whether the image is held back."""


def fit_and_check(families: Mapping[str, Sequence[KeyedScores]]) -> dict[str, dict[str, Any]]:
    """Return entries of calibration.json by family: fitted on 70% of the images, with figures on the other 30%.

    Each family has a line of its own: equal scores of different sensors are not equally likely to be right.

    Args:
        families: The data sets of each family.

    Raises:
        QueryError: There are too few images, or nothing can be fitted on them.
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
    """Return what is fitted on and what is held back, without empty data sets."""
    count = sum(len(keys) for _, keys in sets)
    if count < _MIN_IMAGES:
        raise QueryError(f"calibration: {count} images of {family}; need at least {_MIN_IMAGES} of a family")
    fitted, held = [], []
    for scores, keys in sets:
        out = np.array([share_of(f"calibration/{key}") < _HELD_OUT for key in keys])
        fitted.append(scores.rows(~out))
        held.append(scores.rows(out))
    return [one for one in fitted if len(one.truth)], [one for one in held if len(one.truth)]


def checked(line: Platt, sets: Sequence[LabelledScores]) -> dict[str, Any]:
    """Return how well a calibration holds on images that it was not fitted on; figures are means over data sets."""
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
    """Return what a family's entry says of the questions that it holds for; empty where it was fitted on many classes.

    A question is of their kind if it is as near to one of the sentences as no two sentences of different classes are
    to each other.

    Args:
        embed_texts: Embeds sentences as searches do.
        sentences: Of each class, two classes or more.
    """
    if len(sentences) >= _MANY_CLASSES:
        return {}
    texts = [text for own in sentences.values() for text in own]
    of = np.repeat(np.arange(len(sentences)), [len(own) for own in sentences.values()])
    vectors = embed_texts(texts)
    apart = (vectors @ vectors.T)[of[:, None] != of]
    return {"questions": questions_entry(texts, vectors, float(apart.max()))}


def gsd_range(images: Sequence[LabelledImage]) -> list[float] | None:
    """Return the least and the greatest ground sample distance of images, m; None where not all of them state it."""
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
    """Return entries of calibration.json for the families of imagery in data sets, by name.

    Args:
        embed: Embeds images.
        embed_texts: Embeds sentences as searches do.
        data: Images by name of the data set; those without a class are left out.
        family_of: Returns the family of an image.

    Raises:
        QueryError: No family has images of two classes, or one cannot be fitted.
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
