"""Tolerances are those at which searches of each kind reach the target, and the cheaper way is taken."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bandsight.vectors.local import recall_tuning as tuning
from bandsight.vectors.local.ivf import SearchParams
from bandsight.vectors.local.ivf_build import build, held_out
from bandsight.vectors.local.ivf_search import Found, nearest_by_index
from bandsight.vectors.local.recall_probes import draw, true_neighbours
from bandsight.vectors.local.search import plan

DIM, ROWS, TEXTS = 24, 3000, 60
# As after an archive was made anew with another model.
FIRST = 3 * 10**9
SHARES = (1.0, 0.3, 0.1)


def unit(rows: int, seed: int, clusters: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(clusters, DIM))
    values = centres[rng.integers(clusters, size=rows)] + rng.normal(size=(rows, DIM)) * 0.6 + 1
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def parts():
    """Two segments, a third of whose rows are gone, ids with gaps."""
    rows = unit(ROWS, 1).astype(np.float16)
    ids = np.arange(FIRST, FIRST + 2 * ROWS, 2)
    alive = np.random.default_rng(2).random(ROWS) < 0.67
    half = ROWS // 2
    return [(ids[:half], rows[:half], alive[:half]), (ids[half:], rows[half:], alive[half:])]


def ids_there(parts) -> int:
    return int(parts[-1][0][-1]) + 1 - FIRST


@pytest.fixture(scope="module")
def texts():
    return -unit(TEXTS, 3) * 0.3 + unit(TEXTS, 4)


@pytest.fixture(scope="module")
def index(parts):
    return build(parts, DIM, 200)


def brute(parts, sample, share: int, k: int) -> list[list[int]]:
    """The true neighbours, the obvious way."""
    ids = np.concatenate([ids[alive] for ids, _, alive in parts])
    rows = np.concatenate([rows[alive] for _, rows, alive in parts]).astype(np.float64)
    among = sample.allowed[share]
    passing = np.ones(len(ids), bool) if among is None else among[ids - FIRST]
    found = []
    for query, own in zip(sample.queries, sample.own, strict=True):
        scores = np.where(passing & (ids != own), rows @ query, -np.inf)
        found.append(ids[np.argsort(-scores)[:k]].tolist())
    return found


def test_true_neighbours_are_those_of_brute_force(parts, texts):
    sample = draw(parts, texts, SHARES, FIRST, ids_there(parts))
    truths = true_neighbours(parts, sample, 20)
    for number, (truth, scores) in enumerate(truths):
        assert (np.diff(scores) <= 0).all()
        for row, expected in zip(truth.tolist(), brute(parts, sample, number, 20), strict=True):
            assert len(set(row) & set(expected)) >= 19, "near ties may change places in float32"
            assert row[0] == expected[0]


def test_held_out_rows_and_filters_are_what_they_say(parts, texts):
    sample = draw(parts, texts, SHARES, FIRST, ids_there(parts))
    alive = set(np.concatenate([ids[alive] for ids, _, alive in parts]).tolist())
    assert set(sample.own[sample.own >= 0].tolist()) <= alive
    assert held_out(sample.own[sample.own >= 0]).all()
    kinds = ["image", "far_image", "other_sensor", "mixture", "text", "odd_text", "random"]
    assert [probe.kind for probe in sample.probes] == kinds
    np.testing.assert_allclose(np.linalg.norm(sample.queries, axis=1), 1, atol=1e-3)
    for share, among, count in zip(sample.shares[1:], sample.allowed[1:], sample.counts[1:], strict=True):
        passing = np.flatnonzero(among) + FIRST
        assert set(passing.tolist()) <= alive
        assert len(passing) == count
        assert 0 < count <= share * len(alive) + 3 * 256


def test_more_hits_than_were_measured_take_time_in_proportion():
    width = SearchParams(share=0.1, k=100, tolerance=0.01, query_ms=2.0)
    assert width.of(70) == width
    assert width.of(1000) == SearchParams(share=0.1, k=1000, tolerance=0.01, query_ms=20.0)


def test_a_tolerance_is_halved_until_each_kind_reaches_the_target_and_what_is_claimed_was_measured(index, parts, texts):
    asked = []

    def prepare(index, allowed):
        def ask(k, width, query):
            asked.append(width)
            everything = np.concatenate([ids[alive] for ids, _, alive in parts])
            scores = np.concatenate([rows[alive] for _, rows, alive in parts]).astype(np.float32) @ query
            passing = np.ones(len(everything), bool) if allowed is None else allowed[everything - FIRST]
            order = np.argsort(-np.where(passing, scores, -np.inf), kind="stable")[:k]
            # A search that finds 80% of the hits, until its tolerance is small enough.
            keep = slice(None) if width is None or width.tolerance < 0.03 else slice(0, max(1, int(0.8 * k)))
            return Found((everything[order][keep], scores[order][keep]), 7)

        return ask

    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(tuning, "FEW", 1)
        patched.setattr(tuning, "SHARES", SHARES)
        made = tuning.measured(index, parts, texts, 0.0, prepare)
    assert {(width.share, width.k) for width in made.widths} == {(share, k) for share in SHARES for k in (10, 100)}
    assert all(width.tolerance == 0.025 for width in made.widths)
    assert {width.tolerance for width in asked if width} == {0.1, 0.05, 0.025}
    assert made.figures["recall_at_10_image"] == 1.0
    assert made.figures["lists_at_100_random"] == 7.0
    assert made.scan_us > 0
    assert made.scan_all_us > 0
    assert made.visit_us > 0


def test_without_a_tolerance_that_does_searches_scan(index, parts):
    def prepare(index, allowed):
        return lambda *_: Found((np.empty(0, np.int64), np.empty(0, np.float32)), 1)

    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(tuning, "SHARES", (1.0,))
        made = tuning.measured(index, parts, None, 0.0, prepare)
    assert made.figures["recall_at_10_image"] == 0.0
    for k in (1, 10, 50, 1000):
        assert plan(replace(made, scan_us=10.0), 10**9, 10**9, k) is None


def test_the_way_that_was_measured_to_be_quicker_is_taken(index):
    widths = tuple(
        SearchParams(share=share, k=k, tolerance=0.004, query_ms=5.0) for share in (0.01, 1.0) for k in (10, 100)
    )
    timed = replace(index, widths=widths, scan_us=0.2)
    assert plan(timed, 20_000, 1_000_000, 10) is None, "4 ms of scanning"
    assert plan(timed, 30_000, 1_000_000, 10) == widths[0], "6 ms of scanning"
    assert plan(timed, 30_000, 1_000_000, 11) == widths[1]
    assert plan(timed, 1_000_000, 1_000_000, 10) == widths[2]
    assert plan(timed, 9_000, 1_000_000, 10) is None, "no width was measured for so few"
    assert plan(replace(timed, widths=()), 1_000_000, 1_000_000, 10) is None


def test_filters_know_every_id_where_the_newest_rows_are_gone(parts) -> None:
    ids, rows, alive = parts[-1]
    gone = alive & (np.arange(len(ids)) < len(ids) - 9)
    sample = draw([parts[0], (ids, rows, gone)], None, SHARES, FIRST, ids_there(parts))
    for among in sample.allowed:
        assert among is None or not among[ids[-9:] - FIRST].any()


def file_of(ids, rows):
    """A segment whose rows are in memory."""
    return SimpleNamespace(
        rows_of=lambda some: np.searchsorted(ids, some), take=rows.__getitem__, sound=rows.__getitem__
    )


def test_an_index_whose_lists_take_longer_than_a_scan_leaves_the_answer_to_the_scan(index, parts):
    shown = [SimpleNamespace(part=SimpleNamespace(file=file_of(ids, rows))) for ids, rows, _ in parts]
    state = SimpleNamespace(firsts=np.array([ids[0] for ids, _, _ in parts]), shown=shown)
    passing = index.passing(np.ones(index.span, bool))
    query = np.random.default_rng(3).standard_normal(parts[0][1].shape[1]).astype(np.float32)
    query /= np.linalg.norm(query)
    width = SearchParams(share=1.0, k=10, tolerance=1e-9)
    slow = replace(index, visit_us=1000.0)
    assert nearest_by_index(state, slow, passing, width, query, 5, scan_ms=1.0) is None
    assert nearest_by_index(state, slow, passing, width, query, 5, scan_ms=1e12) is not None
