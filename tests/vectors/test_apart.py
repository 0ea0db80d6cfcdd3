"""Rows that codes tell too little of are scored by their raw vectors in every search of an index."""

import numpy as np

from bandsight.vectors.local import apart as module
from bandsight.vectors.local.apart import Apart, far_rows

DIM = 16


def kept(*ids: int) -> Apart:
    """Rows along the axes, kept apart."""
    return Apart(np.array(ids, np.int64), np.eye(len(ids), DIM, dtype=np.float16), 1.0)


def bits(*ids: int, first_id: int) -> np.ndarray:
    allowed = np.zeros(64, bool)
    allowed[np.array(ids) - first_id] = True
    return np.packbits(allowed, bitorder="little")


def test_the_best_of_those_that_count_are_found():
    some = kept(12, 15, 40)
    query = np.arange(DIM, 0, -1).astype(np.float32)
    ids, scores = some.best(query, 5, bits(12, 15, 40, 50, first_id=10), 10)
    assert ids.tolist() == [12, 15, 40]
    assert scores.tolist() == [16, 15, 14]
    ids, scores = some.best(query, 1, bits(15, 40, first_id=10), 10)
    assert (ids.tolist(), scores.tolist()) == ([15], [15])
    for none in (
        some.best(query, 5, bits(11, first_id=10), 10),
        Apart.empty(DIM).best(query, 5, bits(11, first_id=10), 10),
    ):
        assert [len(part) for part in none] == [0, 0]


def test_they_are_left_out_of_what_codes_propose():
    assert kept(12, 15).others(np.array([11, 15, 12, 99])).tolist() == [True, False, False, True]
    assert Apart.empty(DIM).others(np.array([3, 4])).tolist() == [True, True]


def test_rows_much_further_away_than_most_are_kept_apart_and_no_others(monkeypatch):
    near = np.full(1000, 0.4, np.float32)
    far, floor = far_rows(near, Apart.empty(DIM))
    assert len(far) == 0
    near[[7, 300]] = 0.9
    far, floor = far_rows(near, Apart.empty(DIM))
    assert far.tolist() == [7, 300]
    later, same = far_rows(
        np.array([0.1, 2.0, floor + 0.1], np.float32),
        Apart(np.zeros(2, np.int64), np.zeros((2, DIM), np.float16), floor),
    )
    assert (later.tolist(), same) == ([1, 2], floor)
    monkeypatch.setattr(module, "_MOST", 1)
    near[7] = 1.5
    assert far_rows(near, Apart.empty(DIM))[0].tolist() == [7]


def test_rows_kept_apart_take_no_more_than_their_share_of_memory():
    rng = np.random.default_rng(0)
    distances = rng.exponential(1, 20_000).astype(np.float32)
    far, _ = far_rows(distances, Apart.empty(384))
    assert 0.005 < len(far) / len(distances) < 0.012
    assert distances[far].min() > np.sort(distances)[-len(far) - 1]
