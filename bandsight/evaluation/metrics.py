"""Metrics, as pure functions of scores and ground truth."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Truth = NDArray[np.bool_]


def own_ranks(scores: Scores, owner: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rank of each image's first own caption, and of each caption's own image; 0 is best.

    Captions with the same words count as distinct, each belonging to one image. Equal scores rank in the order of the
    data set.

    Args:
        scores: Cosines, shape (images, captions).
        owner: Image of each caption, shape (captions,); every image has at least one.
    """
    by_image = np.empty(len(scores), np.int64)
    for image, row in enumerate(scores):
        own = np.flatnonzero(owner == image)
        first = own[row[own].argmax()]
        by_image[image] = (row > row[first]).sum() + (row[:first] == row[first]).sum()
    by_caption = np.empty(len(owner), np.int64)
    for caption, image in enumerate(owner.tolist()):
        column = scores[:, caption]
        by_caption[caption] = (column > column[image]).sum() + (column[:image] == column[image]).sum()
    return by_image, by_caption


def macro(hits: NDArray[np.bool_], classes: NDArray[np.intp]) -> float:
    """Return the hit rate averaged over classes, percent; both inputs have shape (images,)."""
    return round(100 * float(np.mean([hits[classes == one].mean() for one in np.unique(classes)])), 2)


def precision_at(scores: Scores, relevant: NDArray[np.bool_], k: int = 10) -> float:
    """Return the fraction of the top k rows that are relevant; both inputs have shape (rows,)."""
    return float(relevant[np.argsort(-scores)[:k]].mean())


def average_precision(scores: Scores, relevant: NDArray[np.bool_]) -> float:
    """Return the mean precision at the rank of each relevant row, 0 if none is; inputs have shape (rows,).

    Unlike precision at 10, it covers the whole ranking, so it still discriminates if many rows are relevant. A random
    ranking scores about the fraction of relevant rows.
    """
    hits = relevant[np.argsort(-scores)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else 0.0


def overlap(rankings: Sequence[NDArray[np.int64]]) -> float:
    """Return the mean overlap between pairs of top-k lists."""
    shared = [len(np.intersect1d(a, b)) / len(a) for a, b in combinations(rankings, 2)]
    return float(np.mean(shared))


def calibration_curve(probabilities: Scores, truth: Truth, bins: int = 10) -> dict[str, Any]:
    """Return the mean probability and the fraction of true pairs by bin, and the expected calibration error.

    Args:
        probabilities: Probabilities of image-sentence pairs, any shape; NaN pairs are ignored.
        truth: Whether each pair matches, same shape.
        bins: Number of bins of equal width.
    """
    known = np.isfinite(probabilities)
    p, t = probabilities[known], truth[known]
    which = np.minimum((p * bins).astype(int), bins - 1)
    rows, error = [], 0.0
    for index in range(bins):
        here = which == index
        if here.any():
            said, seen = float(p[here].mean()), float(t[here].mean())
            rows.append({"said": round(said, 4), "true": round(seen, 4), "pairs": int(here.sum())})
            error += abs(said - seen) * here.mean()
    return {"expected_calibration_error": round(float(error), 4), "pairs": len(p), "bins": rows}


def nothing_here(probabilities: Scores, truth: Truth, threshold: float | Scores) -> dict[str, float]:
    """Return precision and recall of "something here matches", for archives with and without each class.

    Each class is queried once over all images, and once over the images that do not show it. The answer is yes if any
    probability reaches the threshold.

    Args:
        probabilities: Shape (images, classes).
        truth: Correct pairs, same shape.
        threshold: Minimum probability of a match; shape (images, 1) if it differs by image.
    """
    yes = probabilities >= threshold
    classes = [c for c in range(truth.shape[1]) if truth[:, c].any() and not truth[:, c].all()]
    there = sum(bool(yes[:, c].any()) for c in classes)
    absent = sum(bool(yes[~truth[:, c], c].any()) for c in classes)
    tiles = yes[:, classes]
    true_tiles = truth[:, classes]
    return {
        "archive_precision": _ratio(there, there + absent),
        "archive_recall": _ratio(there, len(classes)),
        "hit_precision": _ratio(int((tiles & true_tiles).sum()), int(tiles.sum())),
        "hit_recall": _ratio(int((tiles & true_tiles).sum()), int(true_tiles.sum())),
    }


def _ratio(a: int, b: int) -> float:
    return round(a / b, 4) if b else 0.0
