"""Logistic regression with a Gaussian prior, by Newton's method."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 50
_SMALL = 1e-8
_MAX_LOGIT = 60.0


def sigmoid(logits: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) for each logit."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT))), np.float64)


def fit_logistic(
    rows: Floats, targets: Floats, *, penalty: float, weights: Floats | None = None, centre: Floats | None = None
) -> tuple[Floats, float]:
    """Return the weights and bias that minimise Σ weights·log loss + penalty/2·‖w - centre‖².

    The bias is not penalised. With fewer rows than features, the problem is solved in the space of the rows, which
    contains the solution.

    Args:
        rows: Features, shape (n, d).
        targets: Between 0 and 1, shape (n,).
        penalty: Strength of the regularisation towards `centre`, above 0.
        weights: Weight of each row, shape (n,); None for equal weights.
        centre: Prior mean of the weights, shape (d,); None for zeros.
    """
    counts = np.ones(len(rows)) if weights is None else weights
    offset = np.zeros(len(rows)) if centre is None else rows @ centre
    basis = None
    if len(rows) < rows.shape[1]:
        basis, upper = np.linalg.qr(rows.T)
        rows = upper.T
    inputs = np.column_stack([rows, np.ones(len(rows))])
    ridge = np.full(inputs.shape[1], penalty)
    ridge[-1] = _SMALL
    found = np.zeros(inputs.shape[1])
    loss = _loss(inputs, targets, counts, ridge, offset, found)
    for _ in range(_STEPS):
        chance = sigmoid(inputs @ found + offset)
        gradient = inputs.T @ (counts * (chance - targets)) + ridge * found
        curvature = (inputs.T * (counts * np.maximum(chance * (1 - chance), _SMALL))) @ inputs + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        while scale > _SMALL:
            moved = _loss(inputs, targets, counts, ridge, offset, found - scale * step)
            if moved <= loss:
                break
            scale /= 2
        found = found - scale * step
        gain, loss = loss - moved, moved
        if gain < _SMALL * (1 + abs(loss)):
            break
    moved_by = found[:-1] if basis is None else basis @ found[:-1]
    return (moved_by if centre is None else moved_by + centre), float(found[-1])


def _loss(inputs: Floats, targets: Floats, counts: Floats, ridge: Floats, offset: Floats, found: Floats) -> float:
    logits = inputs @ found + offset
    return float(counts @ (np.logaddexp(0, logits) - targets * logits) + 0.5 * (ridge * found**2).sum())
