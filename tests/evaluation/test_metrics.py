import numpy as np
import pytest

from bandsight.evaluation.metrics import (
    average_precision,
    by_class,
    calibration_curve,
    nothing_here,
    overlap,
    precision_at,
    recalls,
    top1,
)


def test_recalls_count_a_query_once_any_of_its_answers_is_found():
    truth = np.zeros((12, 13), bool)
    truth[np.arange(12), np.arange(12)] = True
    truth[[0, 1], 12] = True  # a sentence that two images share
    scores = np.zeros(truth.shape, np.float32)
    scores[truth] = 1
    perfect = recalls(scores, truth)
    assert perfect["mean_recall"] == 100
    # The own sentence of image 0 becomes its worst; the shared one is still its best.
    scores[0, 0] = -1
    assert recalls(scores, truth)["image_to_text_r1"] == 100
    assert recalls(scores, truth)["text_to_image_r1"] == pytest.approx(100 * 12 / 13, abs=0.01)
    # Truth at rank 5 of 12 is found at 5 and at 10, not at 1.
    scores = np.tile(np.arange(13, 0, -1, dtype=np.float32), (12, 1))
    only = np.zeros((12, 13), bool)
    only[:, 4] = True
    found = recalls(scores, only)
    assert [found[f"image_to_text_r{k}"] for k in (1, 5, 10)] == [0, 100, 100]


def test_top1_and_each_class():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32)
    truth = np.array([[1, 0], [0, 1], [0, 1]], bool)
    assert top1(scores, truth) == pytest.approx(66.67)
    assert by_class(scores, truth, ["a", "b"]) == {"a": 100, "b": 50}


def test_precision_and_overlap():
    scores = np.array([5, 4, 3, 2, 1.0])
    assert precision_at(scores, np.array([1, 1, 0, 0, 1], bool), 4) == 0.5
    assert average_precision(scores, np.array([1, 1, 0, 0, 1], bool)) == pytest.approx((1 + 1 + 3 / 5) / 3)
    assert average_precision(scores, np.zeros(5, bool)) == 0
    assert overlap([np.array([1, 2, 3, 4]), np.array([1, 2, 7, 8]), np.array([1, 2, 3, 4])]) == pytest.approx(2 / 3)


def test_calibration_error_is_zero_where_words_and_truth_agree():
    p = np.array([0.25] * 4 + [0.75] * 4, np.float32)
    honest = calibration_curve(p, np.array([1, 0, 0, 0, 1, 1, 1, 0], bool))
    assert honest["expected_calibration_error"] == 0
    assert [row["pairs"] for row in honest["bins"]] == [4, 4]
    wrong = calibration_curve(p, np.array([1, 1, 1, 1, 0, 0, 0, 0], bool))
    assert wrong["expected_calibration_error"] == pytest.approx(0.75)


def test_nothing_here_asks_with_and_without_each_class():
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
    # Nothing is ever said to be there.
    assert nothing_here(sure, truth, 0.95)["archive_recall"] == 0
