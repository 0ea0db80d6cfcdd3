"""Widths from one wide search are those that narrower searches need, and the cheaper way is taken."""

from dataclasses import replace

import numpy as np
import pytest

from bandsight.vectors.local import recall_tuning as tuning
from bandsight.vectors.local.ivf import SearchParams
from bandsight.vectors.local.ivf_build import build
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
def index(parts, texts):
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(tuning, "FEW", 1)
        patched.setattr(tuning, "SHARES", SHARES)
        return tuning.measured(build(parts, DIM, 200), parts, texts, 0.0, lambda *_: None)


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
    for number, truth in enumerate(truths):
        for row, expected in zip(truth.tolist(), brute(parts, sample, number, 20), strict=True):
            assert len(set(row) & set(expected)) >= 19, "near ties may change places in float32"
            assert row[0] == expected[0]


def test_held_out_rows_and_filters_are_what_they_say(parts, texts):
    sample = draw(parts, texts, SHARES, FIRST, ids_there(parts))
    alive = set(np.concatenate([ids[alive] for ids, _, alive in parts]).tolist())
    assert set(sample.own[sample.own >= 0].tolist()) <= alive
    assert [probe.kind for probe in sample.probes] == ["image", "text"]
    for share, among, count in zip(sample.shares[1:], sample.allowed[1:], sample.counts[1:], strict=True):
        passing = np.flatnonzero(among) + FIRST
        assert set(passing.tolist()) <= alive
        assert len(passing) == count
        assert 0 < count <= share * len(alive) + 3 * 256


def test_recall_is_never_said_to_be_higher_than_a_search_at_that_width_reaches(index, parts, texts):
    sample = draw(parts, texts, SHARES, FIRST, ids_there(parts))
    truths = true_neighbours(parts, sample, 100)
    said = {1.0: index.figures, **{row["share"]: row for row in index.figures["filtered"]}}
    assert {width.share for width in index.widths} == set(SHARES)
    for width in index.widths:
        number = SHARES.index(width.share)
        # One more candidate for the row that is held out.
        found, _ = index.candidates(sample.queries, replace(width, fetch=width.fetch + 1), sample.allowed[number])
        for probe in sample.probes:
            pairs = zip(found[probe.rows], truths[number][probe.rows, : width.k], strict=True)
            reached = np.mean([np.isin(true[true >= 0], ids).mean() for ids, true in pairs])
            claimed = said[width.share][f"recall_at_{width.k}_{probe.kind}"]
            # FAISS rounds its tables of scores anew for each look, so a candidate may change places.
            assert tuning.TARGET < claimed <= reached + 2e-3


def test_candidates_pass_the_filter_and_come_once(index, parts, texts):
    sample = draw(parts, texts, SHARES, FIRST, ids_there(parts))
    for width in index.widths:
        allowed = sample.allowed[SHARES.index(width.share)]
        for ids in index.candidates(sample.queries[:20], width, allowed)[0]:
            real = ids[ids >= 0]
            assert len(set(real.tolist())) == len(real)
            assert allowed is None or allowed[real - FIRST].all()


def test_more_hits_than_were_measured_look_further_in_proportion():
    width = SearchParams(share=0.1, k=100, nprobe=40, fetch=300, query_ms=2.0)
    assert width.of(70) == width
    assert width.of(1000) == SearchParams(share=0.1, k=1000, nprobe=400, fetch=3000, query_ms=20.0)


def test_the_way_that_was_measured_to_be_quicker_is_taken(index):
    widths = tuple(
        SearchParams(share=share, k=k, nprobe=3, fetch=40, query_ms=5.0) for share in (0.01, 1.0) for k in (10, 100)
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
