"""One in n searches is repeated exactly, to measure recall."""

import threading

import numpy as np
import pytest

from bandsight.errors import NotFoundError
from bandsight.search.recall_check import MeasuredRecall, RecallCheck


def ranked(*scores: float):
    return np.arange(len(scores), dtype=np.int64), np.array(scores, np.float32)


def test_one_search_in_n_is_compared():
    check, asked = RecallCheck(3), []

    def repeat(count):
        asked.append(count)
        return ranked(0.9, 0.8, 0.7, 0.6)

    assert check.measured == MeasuredRecall(queries=0, recall=None, lowest=None)
    for _ in range(7):
        check.offer(ranked(0.9, 0.7, 0.6, 0.5), repeat)
        check.wait()
    assert asked == [4, 4]
    assert check.measured == MeasuredRecall(queries=2, recall=0.75, lowest=0.75)


def test_equal_tiles_count_as_found():
    check = RecallCheck(1)
    check.offer((np.array([7, 8, 9]), np.array([0.5, 0.5, 0.5], np.float32)), lambda _: ranked(0.5, 0.5, 0.5))
    check.wait()
    assert check.measured.recall == 1.0


def test_searches_continue_while_one_is_repeated_and_only_one_is_repeated_at_a_time():
    check, go = RecallCheck(1), threading.Event()
    asked = []

    def slow(count):
        asked.append(count)
        assert go.wait(20)
        return ranked(1.0)

    for _ in range(5):
        check.offer(ranked(1.0), slow)
    go.set()
    check.wait()
    assert asked == [1]
    assert check.measured.queries == 1


@pytest.mark.parametrize("every", [0, 1])
def test_searches_that_cannot_be_repeated_do_not_count(every):
    check = RecallCheck(every)

    def gone(_):
        raise NotFoundError("tile 3: gone")

    check.offer(ranked(1.0), gone)
    check.offer(ranked(), gone)
    check.wait()
    assert check.measured.queries == 0


def test_the_result_is_reported_after_each_comparison():
    told = []
    check = RecallCheck(1, told.append)
    for _ in range(2):
        check.offer(ranked(1.0, 0.5), lambda _: ranked(1.0, 0.9))
        check.wait()
    assert [one.queries for one in told] == [1, 2]
    assert told[-1] == MeasuredRecall(queries=2, recall=0.5, lowest=0.5)
