"""A search goes on until the lists left out are expected to hold almost no hit, whatever kind of query it is."""

import numpy as np
import pytest

from bandsight.vectors.local.stopping import Outlook, upper_tail

LISTS, ROWS = 400, 300


def outlook_of(scale: float, seed: int = 0) -> tuple[Outlook, np.ndarray]:
    """An outlook whose spreads are a factor too small, and the scores that the lists' rows really have."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 0.04, LISTS).astype(np.float32)
    spreads = rng.uniform(0.02, 0.05, LISTS).astype(np.float32)
    scores = centres[:, None] + scale * spreads[:, None] * rng.laplace(0, 0.5**0.5, (LISTS, ROWS))
    return Outlook.of(np.full(LISTS, ROWS, np.float32), centres, spreads), scores


def test_the_tail_is_that_of_the_laplace_distribution():
    drawn = np.random.default_rng(0).laplace(0, 0.5**0.5, 400_000)
    for value in (-2.0, -0.5, 0.0, 0.5, 1.0, 2.0):
        tail = float(upper_tail(np.array([value], np.float32))[0])
        assert tail == pytest.approx((drawn > value).mean(), rel=0.03)
    assert upper_tail(np.array([1e9, -1e9], np.float32)).tolist() == pytest.approx([0, 1], abs=1e-30)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_scale_is_fitted_to_what_the_visited_lists_hold(scale):
    outlook, scores = outlook_of(scale)
    visited = np.zeros(LISTS, bool)
    visited[outlook.first_lists(60, 0)] = True
    floor = float(np.sort(scores[visited].ravel())[-500])
    assert outlook.scale(visited, floor, 500) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_what_is_left_out_holds_as_much_as_was_accepted(scale):
    missed = []
    for seed in range(40):
        outlook, scores = outlook_of(scale, seed)
        floor = float(np.sort(scores.ravel())[-100])
        visited = np.zeros(LISTS, bool)
        visited[outlook.next_lists(visited, floor, scale, 5.0)] = True
        assert visited.sum() < LISTS
        missed.append(int((scores[~visited] > floor).sum()))
    assert 1 < np.mean(missed) <= 6


def test_lists_without_rows_that_count_are_not_visited():
    outlook, _ = outlook_of(1.0)
    rows = outlook.rows.copy()
    rows[::2] = 0
    lists = Outlook.of(rows, outlook.centres, outlook.spreads).next_lists(np.zeros(LISTS, bool), 0.0, 1.0, 0.01)
    assert len(lists)
    assert (lists % 2 == 1).all()


def test_lists_of_equal_rows_have_an_outlook():
    outlook = Outlook.of(np.full(3, 9, np.float32), np.array([0.5, 0.4, 0.1], np.float32), np.zeros(3, np.float32))
    assert outlook.next_lists(np.zeros(3, bool), 0.45, 1.0, 0.1).tolist() == [0]
    assert np.isfinite(outlook.scale(np.array([True, False, False]), 0.5, 9))


def test_the_first_lists_are_as_many_as_hold_enough_rows():
    outlook, _ = outlook_of(1.0)
    assert len(outlook.first_lists(5, 0)) == 5
    assert len(outlook.first_lists(5, 20 * ROWS)) == 20
    assert len(outlook.first_lists(5, 10**9)) == LISTS


def test_lists_whose_centres_score_as_high_as_their_best_rows_do_not_end_a_search():
    # The lists visited first hold no row above the floor, though half of them should; hits lie in the tails of others.
    centres = np.concatenate([np.full(12, 0.10), np.full(LISTS - 12, 0.02)]).astype(np.float32)
    outlook = Outlook.of(np.full(LISTS, ROWS, np.float32), centres, np.full(LISTS, 0.02, np.float32))
    visited = np.arange(LISTS) < 12
    scale = outlook.scale(visited, 0.09, 10)
    assert scale == 1
    assert len(outlook.next_lists(visited, 0.09, scale, 0.1))
