import numpy as np
import pytest

from bandsight.learning.features import FeatureSpace
from bandsight.learning.logistic import fit_logistic


def loss(x, y, counts, penalty, weights, bias):
    logits = x @ weights + bias
    return counts @ (np.logaddexp(0, logits) - y * logits) + penalty / 2 * weights @ weights


@pytest.mark.parametrize(("rows", "features"), [(200, 6), (20, 60)])
def test_no_other_weights_have_a_lower_loss(rows, features):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features))
    y = (x[:, 0] + rng.normal(size=rows) > 0).astype(float)
    counts = rng.uniform(0.5, 2, rows)
    weights, bias = fit_logistic(x, y, penalty=0.5, weights=counts)
    best = loss(x, y, counts, 0.5, weights, bias)
    for size in (1e-3, 1e-2, 0.1, 1):
        for _ in range(20):
            moved = loss(x, y, counts, 0.5, weights + size * rng.normal(size=features), bias + size * rng.normal())
            assert moved > best


def test_a_strong_prior_keeps_the_weights_where_they_are_and_a_weak_one_does_not():
    rng = np.random.default_rng(1)
    x, centre = rng.normal(size=(30, 50)), rng.normal(size=50)
    y = (x[:, 0] > 0).astype(float)
    assert fit_logistic(x, y, penalty=1e9, centre=centre)[0] == pytest.approx(centre, abs=1e-3)
    assert not np.allclose(fit_logistic(x, y, penalty=0.1, centre=centre)[0], centre, atol=0.1)


def test_separable_labels_give_finite_weights():
    x = np.array([[-1.0], [1.0]])
    weights, bias = fit_logistic(x, np.array([0.0, 1.0]), penalty=1e-3)
    assert np.isfinite([*weights, bias]).all()
    assert weights[0] > 1


def test_weights_on_features_score_raw_vectors_alike():
    rng = np.random.default_rng(2)
    vectors = (rng.normal(size=(300, 12)) * np.linspace(0.1, 3, 12) + 1).astype(np.float32)
    space = FeatureSpace.of(vectors)
    rows = space.features(vectors)
    assert rows.mean(axis=0) == pytest.approx(np.zeros(12), abs=1e-6)
    assert (rows**2).sum(axis=1).mean() == pytest.approx(1)
    weights, bias = rng.normal(size=12), 0.3
    raw, shift = space.on_vectors(weights, bias)
    assert vectors.astype(np.float64) @ raw + shift == pytest.approx(rows @ weights + bias)
    sentence = rng.normal(size=12).astype(np.float32)
    assert np.corrcoef(rows @ space.direction(sentence), vectors @ sentence)[0, 1] == pytest.approx(1)
