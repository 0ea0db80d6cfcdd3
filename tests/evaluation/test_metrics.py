import numpy as np
import pytest

from bandsight.evaluation.bootstrap import Bootstrap, interval
from bandsight.evaluation.metrics import (
    average_precision,
    calibration_curve,
    macro,
    nothing_here,
    overlap,
    own_ranks,
    precision_at,
)


def test_an_image_is_ranked_by_its_best_own_caption_and_equal_captions_do_not_help():
    # Captions 0 and 1 are of image 0, 2 and 3 of image 1; captions 0 and 2 have the same words.
    owner = np.array([0, 0, 1, 1])
    scores = np.array([[0.9, 0.1, 0.9, 0.2], [0.8, 0.3, 0.8, 0.4]], np.float32)
    by_image, by_caption = own_ranks(scores, owner)
    # Image 1 scores the words highest too, but the first of the equal captions belongs to image 0.
    assert by_image.tolist() == [0, 1]
    # Image 1 is second for caption 2, whose words are as right for image 0.
    assert by_caption.tolist() == [0, 1, 1, 0]


def test_ranks_are_those_of_a_full_sort():
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(30), 5)
    scores = rng.normal(size=(30, 150)).astype(np.float32)
    by_image, by_caption = own_ranks(scores, owner)
    order = np.argsort(-scores, axis=1, kind="stable")
    assert by_image.tolist() == [int(np.flatnonzero(owner[row] == image)[0]) for image, row in enumerate(order)]
    columns = np.argsort(-scores, axis=0, kind="stable")
    assert by_caption.tolist() == [int(np.flatnonzero(columns[:, c] == owner[c])[0]) for c in range(150)]


def test_a_large_class_does_not_outweigh_a_small_one():
    classes = np.array([0] * 8 + [1] * 2)
    assert macro(classes == 0, classes) == 50
    assert macro(np.array([True] * 9 + [False]), classes) == 75


def test_intervals_contain_the_figure_narrow_with_more_images_and_are_reproducible():
    widths = []
    for n in (40, 4000):
        hits = np.arange(n) % 4 == 0
        low, high = interval(Bootstrap(n).mean(hits), 4)
        assert low < 0.25 < high
        assert (low, high) == interval(Bootstrap(n).mean(hits), 4)
        widths.append(high - low)
    # The normal approximation: 2 x 1.96 x sqrt(0.25 x 0.75 / n).
    assert widths[0] == pytest.approx(0.268, abs=0.03)
    assert widths[1] == pytest.approx(0.0268, abs=0.005)


def test_resampled_precision_counts_an_image_as_often_as_it_was_drawn():
    bootstrap = Bootstrap(3)
    bootstrap.counts = np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1], [2, 1, 0]], np.float32)
    found = bootstrap.precision_at(np.array([0.9, 0.5, 0.1], np.float32), np.array([True, False, True]), 2)
    assert found.tolist() == [0.5, 1, 0, 1]
    assert interval(np.array([np.nan])) is None


def test_precision_and_overlap():
    scores = np.array([5, 4, 3, 2, 1.0])
    assert precision_at(scores, np.array([1, 1, 0, 0, 1], bool), 4) == 0.5
    assert average_precision(scores, np.array([1, 1, 0, 0, 1], bool)) == pytest.approx((1 + 1 + 3 / 5) / 3)
    assert average_precision(scores, np.zeros(5, bool)) == 0
    assert overlap([np.array([1, 2, 3, 4]), np.array([1, 2, 7, 8]), np.array([1, 2, 3, 4])]) == pytest.approx(2 / 3)


def test_calibration_error_is_zero_if_probabilities_are_true():
    p = np.array([0.25] * 4 + [0.75] * 4, np.float32)
    honest = calibration_curve(p, np.array([1, 0, 0, 0, 1, 1, 1, 0], bool))
    assert honest["expected_calibration_error"] == 0
    assert [row["pairs"] for row in honest["bins"]] == [4, 4]
    wrong = calibration_curve(p, np.array([1, 1, 1, 1, 0, 0, 0, 0], bool))
    assert wrong["expected_calibration_error"] == pytest.approx(0.75)


def test_nothing_matches_is_tested_with_and_without_each_class():
    truth = np.array([[1, 0], [1, 0], [0, 1]], bool)
    sure = np.array([[0.9, 0.1], [0.8, 0.1], [0.1, 0.9]], np.float32)
    assert set(nothing_here(sure, truth, 0.5).values()) == {1.0}
    # One false alarm: something else looks like the first class.
    alarm = sure.copy()
    alarm[2, 0] = 0.6
    found = nothing_here(alarm, truth, 0.5)
    assert found["archive_precision"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["archive_recall"] == 1
    assert found["hit_precision"] == 0.75
    # At this threshold, nothing ever matches.
    assert nothing_here(sure, truth, 0.95)["archive_recall"] == 0
