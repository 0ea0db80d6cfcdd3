"""The figures themselves: plain functions of scores and truths."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Truth = NDArray[np.bool_]


def recalls(scores: Scores, truth: Truth) -> dict[str, float]:
    """Return recall at 1, 5 and 10 both ways and their mean, percent.

    A sentence shared by several images is one query, answered when any of its images is found.

    Args:
        scores: Cosines, shape (images, distinct sentences).
        truth: Which sentence is of which image, same shape.
    """
    out = {}
    for name, s, t in (("image_to_text", scores, truth), ("text_to_image", scores.T, truth.T)):
        ranked = np.take_along_axis(t, np.argsort(-s, axis=1)[:, :10], axis=1)
        for k in (1, 5, 10):
            out[f"{name}_r{k}"] = _percent(ranked[:, :k].any(axis=1))
    return {**out, "mean_recall": round(sum(out.values()) / 6, 2)}


def top1(scores: Scores, truth: Truth) -> float:
    """Return the share of images whose best class is a true one, percent; shape (images, classes)."""
    return _percent(truth[np.arange(len(scores)), scores.argmax(axis=1)])


def by_class(scores: Scores, truth: Truth, names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class's images that were given it, percent."""
    best = scores.argmax(axis=1)
    return {name: _percent(best[truth[:, c]] == c) for c, name in enumerate(names) if truth[:, c].any()}


def precision_at(scores: Scores, relevant: NDArray[np.bool_], k: int = 10) -> float:
    """Return the share of the k best rows that are relevant; both of shape (rows,)."""
    return float(relevant[np.argsort(-scores)[:k]].mean())


def average_precision(scores: Scores, relevant: NDArray[np.bool_]) -> float:
    """Return the mean precision at the rank of each relevant row; both of shape (rows,), 0 where none is relevant.

    Unlike precision at 10 it sees the whole ranking, so it still tells rankings apart where many rows are relevant; one
    by chance comes to about the share of relevant rows.
    """
    hits = relevant[np.argsort(-scores)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else 0.0


def overlap(rankings: Sequence[NDArray[np.int64]]) -> float:
    """Return the mean share that two of several top lists have in common."""
    shared = [len(np.intersect1d(a, b)) / len(a) for a, b in combinations(rankings, 2)]
    return float(np.mean(shared))


def calibration_curve(probabilities: Scores, truth: Truth, bins: int = 10) -> dict[str, Any]:
    """Return the mean probability and the share of true pairs by bin, and the expected calibration error.

    Args:
        probabilities: Of pairs of image and sentence, any shape.
        truth: Which pairs hold, same shape.
        bins: How many bins of equal width.
    """
    p, t = probabilities.ravel(), truth.ravel()
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
    """Return precision and recall of "something here matches", asked of archives with and without each class.

    Each class is asked once of all images, and once of the images that do not show it; the answer is yes where any
    probability reaches the threshold.

    Args:
        probabilities: Shape (images, classes).
        truth: Same shape.
        threshold: Least probability of a match; shape (images, 1) where it differs.
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


def _percent(hits: Any) -> float:
    return round(100 * float(np.mean(hits)), 2)
