"""Trains one-vs-rest linear heads with calibrated probabilities, cross-validated by place."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.evaluation.bootstrap import Interval, interval
from bandsight.evaluation.metrics import average_precision, calibration_curve
from bandsight.learning.folds import Groups, folds
from bandsight.learning.logistic import Floats, fit_logistic, sigmoid

# Candidate prior strengths, selected by cross-validated log loss; see bench/labels.py.
_PENALTIES = (0.1, 0.3, 1.0, 3.0)
_DEFAULT_PENALTY = 0.3
_SMALL = 1e-9
_Z95 = 1.959964
_RESAMPLES = 300
_CURVE = (0.25, 0.5, 0.75, 1.0)
# Minimum number of places with and without the class for meaningful metrics.
MIN_PLACES = 4
# Penalty that keeps the Platt scaling close to the identity.
_LINE_PENALTY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Training data of a head."""

    rows: Floats
    """Features, shape (n, d)."""
    positive: NDArray[np.bool_]
    """Whether each tile shows the class, shape (n,)."""
    groups: Groups
    """Place of each tile, shape (n,)."""
    likeness: Floats
    """For each tile, weights that score others by their cosine with it, shape (n, d)."""
    direction: Floats | None
    """Weights of the class's sentence in feature space, shape (d,); None without one."""
    spread: float = 1.0
    """Standard deviation of the sentence's scores over the archive."""

    def take(self, chosen: NDArray[np.bool_]) -> "Examples":
        """Return a subset."""
        return Examples(
            rows=self.rows[chosen],
            likeness=self.likeness[chosen],
            positive=self.positive[chosen],
            groups=self.groups[chosen],
            direction=self.direction,
            spread=self.spread,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedHead:
    """A trained head in feature space, with its evaluation."""

    weights: Floats
    """Weights, shape (d,)."""
    bias: float
    """The probability is sigmoid(weights · features + bias)."""
    calibrated: bool
    """Whether the probability was calibrated on places not used for training."""
    probabilities: Floats | None
    """Cross-validated probability of each label, shape (n,); None with too few places."""
    figures: dict[str, Any]
    """Cross-validated metrics with 95% intervals, the learning curve, and the prior strength."""


def train_head(examples: Examples) -> TrainedHead:
    """Train a head; needs at least one positive and one negative label."""
    split = folds(examples.groups, examples.positive)
    if split is None or min(_places(examples)) < MIN_PLACES:
        weights, bias = _fit(examples, _DEFAULT_PENALTY)
        figures = {"penalty": _DEFAULT_PENALTY, "places": _place_counts(examples)}
        return TrainedHead(weights=weights, bias=bias, calibrated=False, probabilities=None, figures=figures)
    tried = {penalty: _held_out(examples, split, penalty) for penalty in _PENALTIES}
    penalty = min(_PENALTIES, key=lambda one: (_log_loss(*_line(tried[one], examples), tried[one], examples), -one))
    logits = tried[penalty]
    slope, shift = _line(logits, examples)
    weights, bias = _fit(examples, penalty)
    known = np.empty(len(logits))
    for one in np.unique(split):
        # The calibration of each label's probability is cross-validated as well.
        here = split == one
        known[here] = _apply(_line(logits[~here], examples.take(~here)), logits[here])
    figures = {
        "penalty": penalty,
        "places": _place_counts(examples),
        "folds": int(split.max()) + 1,
        **_figures(examples, logits, known),
        "learning_curve": _learning_curve(examples, split, penalty),
    }
    return TrainedHead(
        weights=slope * weights, bias=slope * bias + shift, calibrated=True, probabilities=known, figures=figures
    )


def _fit(examples: Examples, penalty: float) -> tuple[Floats, float]:
    """Fit weights and bias, giving positives and negatives equal total weight."""
    truth = examples.positive.astype(np.float64)
    counts = np.where(examples.positive, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    centre = _prior(examples, truth, counts)
    return fit_logistic(examples.rows, truth, penalty=penalty, weights=counts, centre=centre)


def _prior(examples: Examples, truth: Floats, counts: Floats) -> Floats:
    """Return the prior weights: a mix of the sentence and the mean of the labels.

    The mean is 2·mean(positives) - mean(negatives), as in a search by examples. Each counts as far as the labels
    support it, and not at all if they contradict it.
    """
    like, positive = examples.likeness, examples.positive
    average = 2 * like[positive].mean(axis=0) - like[~positive].mean(axis=0)
    parts = [average / max(float((examples.rows @ average).std()), _SMALL)]
    if examples.direction is not None:
        parts.append(examples.direction / examples.spread)
    mix = np.stack(parts, axis=1)
    shares, _ = fit_logistic(examples.rows @ mix, truth, penalty=1.0, weights=counts)
    return np.asarray(mix @ np.maximum(shares, 0), np.float64)


def _held_out(examples: Examples, split: Groups, penalty: float) -> Floats:
    """Return the cross-validated logit of each label."""
    logits = np.empty(len(split))
    for one in np.unique(split):
        here = split == one
        weights, bias = _fit(examples.take(~here), penalty)
        logits[here] = examples.rows[here] @ weights + bias
    return logits


def _line(logits: Floats, examples: Examples) -> tuple[float, float]:
    """Return slope and shift of calibrated logits (Platt scaling, 1999).

    Targets are smoothed by the number of labels, half as much as Platt does (Jeffreys prior). The slope is regularised
    towards 1 for the same reason.
    """
    positives = int(examples.positive.sum())
    others = len(logits) - positives
    targets = np.where(examples.positive, (positives + 0.5) / (positives + 1), 0.5 / (others + 1))
    slope, shift = fit_logistic(logits[:, None], targets, penalty=_LINE_PENALTY, centre=np.ones(1))
    return max(float(slope[0]), 0.0), shift


def _apply(line: tuple[float, float], logits: Floats) -> Floats:
    return sigmoid(line[0] * logits + line[1])


def _log_loss(slope: float, shift: float, logits: Floats, examples: Examples) -> float:
    moved = slope * logits + shift
    return float((np.logaddexp(0, moved) - examples.positive * moved).mean())


def _figures(examples: Examples, logits: Floats, probabilities: Floats) -> dict[str, Any]:
    """Return metrics with 95% intervals from bootstrapping places."""
    names, at = np.unique(examples.groups, return_inverse=True)
    members = [np.flatnonzero(at == one) for one in range(len(names))]
    rng = np.random.default_rng(0)
    resampled: dict[str, list[float]] = {}
    for _ in range(_RESAMPLES):
        rows = np.concatenate([members[one] for one in rng.integers(0, len(names), len(names))])
        for name, value in _point(logits[rows], probabilities[rows], examples.positive[rows]).items():
            resampled.setdefault(name, []).append(value)
    points = _point(logits, probabilities, examples.positive)
    seen = {
        "average_precision": len(np.unique(examples.groups[examples.positive])),
        "recall": len(np.unique(examples.groups[examples.positive])),
        "precision": len(np.unique(examples.groups[probabilities >= 0.5])),  # noqa: PLR2004
        "accuracy": len(names),
    }
    made: dict[str, Any] = {
        name: {
            "value": round(value, 3),
            "interval": _widened(interval(np.array(resampled[name]), 3), value, seen[name]),
        }
        for name, value in points.items()
    }
    made["calibration"] = calibration_curve(probabilities.astype(np.float32), examples.positive, bins=5)
    return made


def _widened(resampled: Interval | None, value: float, places: int) -> Interval | None:
    """Return an interval that is at least as wide as Wilson's (1927) for a share of so many places.

    Labels that are separated without an error resample to 1.00 to 1.00, although a few places do not show that.
    """
    if resampled is None or not places or not np.isfinite(value):
        return resampled
    low, high = wilson(value, places)
    return round(min(resampled[0], low), 3), round(max(resampled[1], high), 3)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share that was observed `count` times."""
    spread = _Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * np.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _point(logits: Floats, probabilities: Floats, positive: NDArray[np.bool_]) -> dict[str, float]:
    yes = probabilities >= 0.5  # noqa: PLR2004
    hits = float((yes & positive).sum())
    nothing = float("nan")
    return {
        "average_precision": average_precision(logits.astype(np.float32), positive) if positive.any() else nothing,
        "precision": hits / int(yes.sum()) if yes.any() else nothing,
        "recall": hits / int(positive.sum()) if positive.any() else nothing,
        "accuracy": float((yes == positive).mean()),
    }


def _learning_curve(examples: Examples, split: Groups, penalty: float) -> list[dict[str, float]]:
    """Return the cross-validated average precision of heads trained on a fraction of the places."""
    names = np.unique(examples.groups)
    order = np.random.default_rng(0).permutation(names)
    rank = np.argsort(order)[np.searchsorted(names, examples.groups)]
    curve = []
    for share in _CURVE:
        kept = rank < max(2, round(share * len(names)))
        logits, used = np.full(len(split), np.nan), []
        for one in np.unique(split):
            here = split == one
            part = examples.take(kept & ~here)
            if not part.positive.any() or part.positive.all():
                continue
            weights, bias = _fit(part, penalty)
            logits[here] = examples.rows[here] @ weights + bias
            used.append(len(part.positive))
        known = np.isfinite(logits)
        if used and examples.positive[known].any():
            value = average_precision(logits[known].astype(np.float32), examples.positive[known])
            curve.append({"labels": round(float(np.mean(used))), "average_precision": round(value, 3)})
    return curve


def _places(examples: Examples) -> tuple[int, int]:
    groups, positive = examples.groups, examples.positive
    return len(np.unique(groups[positive])), len(np.unique(groups[~positive]))


def _place_counts(examples: Examples) -> dict[str, int]:
    with_class, without = _places(examples)
    return {"with": with_class, "without": without}
