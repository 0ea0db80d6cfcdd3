"""Odd vectors, filters and moments: right answers, or one sentence."""

import threading

import numpy as np
import pytest

from bandsight.attributes.filters import Filter, Property
from bandsight.errors import ArchiveError
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local import recall_probes
from bandsight.vectors.local import recall_tuning as tuning
from bandsight.vectors.local import search as answering
from bandsight.vectors.port import Snapshot
from tests.vectors.planning import always_by_index
from tests.vectors.test_stores import DIM, VALID_FRACTION, columns, local, opened, scenes, unit

ROWS, COPIES, SCENES = 6000, 2500, 20
NOTHING = Filter(properties=(Property(name=VALID_FRACTION, op=">", value=2),))
EVERYTHING = Filter(properties=(Property(name=VALID_FRACTION, op=">=", value=0),))


@pytest.fixture(scope="module")
def values():
    """Clusters, and one vector that comes thousands of times."""
    rng = np.random.default_rng(1)
    made = unit(30, 2)[rng.integers(30, size=ROWS)] + rng.normal(0, 0.15, (ROWS, DIM))
    made[1000 : 1000 + COPIES] = made[1000]
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def indexed(values, tmp_path_factory):
    """A store that answers by its index whatever the filter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "WORTH_IT", 100)
        patch.setattr(tuning, "FEW", 0)
        patch.setattr(tuning, "SHARES", (1.0, 0.1, 0.0))
        patch.setattr(recall_probes, "EACH", 10)
        patch.setattr(answering, "plan", always_by_index)
        store = opened(local, tmp_path_factory.mktemp("bad") / "store")
        segment = store.upsert(values, columns(1, ROWS))
        store.show(Snapshot(generation=1, newest=ROWS, segments=(segment,), scenes=scenes(SCENES)))
        store.optimize(unit(20, 3))
        yield store


def exact(store, query, k, where):
    return store.search(query, k, where, exact=True)[0]


@pytest.mark.parametrize("spoil", [np.nan, np.inf, 0.0])
def test_vectors_that_are_not_finite_or_of_no_length_are_refused(spoil, values, tmp_path):
    store = opened(local, tmp_path / "s")
    rows = values[:10].copy()
    rows[3] = spoil
    with pytest.raises(ArchiveError, match=r"need finite values of shape|row 3 has length 0"):
        store.upsert(rows, columns(1, 10))


@pytest.mark.parametrize("k", [1, 10, 100, COPIES + 200])
def test_thousands_of_equal_vectors_are_found_as_the_exact_scan_finds_them(indexed, values, k):
    query = values[1000:1001] + unit(1, 9) * np.float32(0.01)
    (ids, scores), (_, true) = indexed.search(query, k, Filter())[0], exact(indexed, query, k, Filter())
    assert len(set(ids.tolist())) == k
    np.testing.assert_allclose(scores, true, atol=1e-6)


def test_a_filter_that_nothing_passes_finds_nothing(indexed):
    assert len(indexed.search(unit(1, 1), 10, NOTHING)[0][0]) == 0
    assert indexed.choose(NOTHING).count == 0


def test_a_filter_that_everything_passes_changes_nothing(indexed):
    for seed in range(5):
        free, filtered = indexed.search(unit(1, seed), 20, Filter()), indexed.search(unit(1, seed), 20, EVERYTHING)
        np.testing.assert_array_equal(free[0][0], filtered[0][0])


def test_more_hits_than_there_are_tiles_are_all_tiles(indexed):
    ids, scores = indexed.search(unit(1, 1), 10 * ROWS, Filter())[0]
    np.testing.assert_array_equal(ids, exact(indexed, unit(1, 1), 10 * ROWS, Filter())[0])
    assert (np.diff(scores) <= 0).all()


def test_a_query_of_no_length_finds_tiles_in_order_of_their_ids(indexed):
    ids, scores = exact(indexed, np.zeros((1, DIM), np.float32), 5, Filter())
    np.testing.assert_array_equal(scores, 0)
    found, found_scores = indexed.search(np.zeros((1, DIM), np.float32), 5, Filter())[0]
    np.testing.assert_array_equal(found_scores, 0)
    assert len(set(found.tolist())) == len(ids) == 5


def test_searches_are_answered_while_the_index_is_replaced(indexed, values):
    expected = {seed: exact(indexed, unit(1, seed), 10, Filter())[1] for seed in range(6)}
    stop, wrong, answered = threading.Event(), [], []

    def search() -> None:
        while not stop.is_set():
            for seed, scores in expected.items():
                found = indexed.search(unit(1, seed), 10, Filter())[0]
                answered.append(seed)
                if np.mean(found[1] >= scores[-1] - 1e-5) < 0.9:
                    wrong.append(seed)

    thread = threading.Thread(target=search)
    thread.start()
    try:
        for _ in range(3):
            indexed.optimize(unit(20, 3))
    finally:
        stop.set()
        thread.join(timeout=60)
    assert answered
    assert not wrong
