"""Scorers of several examples and selection of results, compared with a simple computation on every tile."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from bandsight.archive import ArchiveWriter
from bandsight.errors import QueryError
from bandsight.search.ranking import Cursor, ResultSelection, find, nearest
from bandsight.search.scorers import BestScorer, LinearScorer, MeanScorer, Scorer, scores_of
from bandsight.vectors.local.search import Chosen
from tests.archive.makers import DIM, MODEL, entry, filled, vectors

SCENES, TILES = 20, 5
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with filled(tmp_path_factory.mktemp("archive") / "a", SCENES, TILES) as opened:
        yield opened


def table(archive) -> tuple[list, np.ndarray]:
    hits = nearest(archive, vectors(1, 1), 10_000)[0]
    return hits, archive.vectors([hit.tile.id for hit in hits]).astype(np.float64)


def scorer(positives=None, negatives=None, weights=None, strategy="average") -> Scorer:
    if strategy == "best":
        return BestScorer(positives, negatives)
    return MeanScorer(positives, negatives, weights)


def sigmoid(x):
    return 0.5 * (x / (1 + abs(x)) + 1)


def order(hits, scores) -> list[int]:
    ids = np.array([hit.tile.id for hit in hits])
    return ids[np.lexsort((ids, -np.asarray(scores, np.float32)))].tolist()


def found(page) -> list[int]:
    return [hit.tile.id for hit in page.hits]


@given(st.integers(0, 50), st.integers(1, 4), st.integers(0, 3), st.integers(1, 120))
@settings(max_examples=30, suppress_health_check=QUIET, deadline=None)
def test_average_is_twice_the_positives_minus_the_negatives(archive, seed, p, n, k):
    hits, rows = table(archive)
    wanted, unwanted = vectors(seed, p), vectors(seed + 500, n)
    aim = wanted.mean(axis=0)
    if n:
        aim = aim + aim - unwanted.mean(axis=0)
    page = find(archive, scorer(positives=wanted, negatives=unwanted), k)
    expected = order(hits, rows @ (aim / np.linalg.norm(aim)))[:k]
    # Rounding may swap what differs in the seventh digit.
    assert Counter(found(page)) == Counter(expected)


@given(st.integers(0, 50), st.integers(0, 4), st.integers(0, 3), st.integers(1, 120))
@settings(max_examples=40, suppress_health_check=QUIET, deadline=None)
def test_best_compares_each_tile_with_every_example(archive, seed, p, n, k):
    if not p + n:
        return
    hits, rows = table(archive)
    wanted, unwanted = vectors(seed, p), vectors(seed + 500, n)
    near = (rows @ wanted.T.astype(np.float64)).astype(np.float32)
    far = (rows @ unwanted.T.astype(np.float64)).astype(np.float32)
    scores = []
    for row in range(len(rows)):
        best = near[row].max() if p else -np.inf
        worst = far[row].max() if n else -np.inf
        scores.append(best if not n else (sigmoid(best) if best > worst else -sigmoid(worst)))
    page = find(archive, scorer(positives=wanted, negatives=unwanted, strategy="best"), k)
    assert [hit.score for hit in page.hits] == pytest.approx(sorted(scores, reverse=True)[:k], abs=1e-6)
    assert Counter(found(page)) == Counter(order(hits, scores)[:k])


def test_weights_move_the_average(archive):
    hits, rows = table(archive)
    two = vectors(3, 2)
    aim = 0.8 * two[0] + 0.2 * two[1]
    page = find(archive, scorer(positives=two, weights=(4, 1)), 20)
    assert found(page) == order(hits, rows @ (aim / np.linalg.norm(aim)))[:20]


SELECTIONS = st.builds(
    ResultSelection,
    min_score=st.none() | st.floats(-0.5, 0.5, width=32),
    group_by=st.none() | st.sampled_from(["scene", "place", "collection", "sensor"]),
    per_group=st.integers(1, 4),
    max_overlap=st.none() | st.sampled_from([0.0, 0.3, 0.9]),
)


def arranged(hits, wanted: ResultSelection) -> list[int]:
    """Look at each pair in turn."""
    keys = {
        "scene": lambda h: h.scene.id,
        "place": lambda h: h.tile.cell,
        "collection": lambda h: h.scene.collection,
        "sensor": lambda h: h.scene.sensor,
        None: lambda h: h.tile.id,
    }
    shown = []
    for hit in hits:
        key = keys[wanted.group_by]
        ground = shape(hit.tile.geometry)
        if wanted.min_score is not None and hit.score < wanted.min_score:
            continue
        if sum(key(other) == key(hit) for other in shown) >= wanted.per_group:
            continue
        if wanted.max_overlap is not None and any(
            ground.intersection(other).area > wanted.max_overlap * min(ground.area, other.area)
            for other in (shape(one.tile.geometry) for one in shown)
        ):
            continue
        shown.append(hit)
    return [hit.tile.id for hit in shown]


@given(SELECTIONS, st.integers(0, 20), st.sampled_from([5, 12, 40]), st.sampled_from(["average", "best"]))
@settings(max_examples=40, suppress_health_check=QUIET, deadline=None)
def test_pages_concatenate_to_the_whole_selected_ranking(archive, wanted, seed, k, strategy):
    query = scorer(positives=vectors(seed, 2), strategy=strategy)
    everything = find(archive, query, 10_000)
    expected = arranged(everything.hits, wanted)
    seen: list[int] = []
    page = find(archive, query, k, None, wanted)
    while True:
        assert [hit.rank for hit in page.hits] == list(range(len(seen) + 1, len(seen) + len(page.hits) + 1))
        seen += found(page)
        if page.next is None:
            break
        assert len(page.hits) == k
        page = find(archive, query, k, None, wanted, after=json.loads(json.dumps(page.next)))
    assert seen == expected


def test_pages_stay_the_same_while_tiles_are_added(tmp_path):
    query = scorer(positives=vectors(8, 1))
    with filled(tmp_path / "a", 6) as archive:
        whole = found(find(archive, query, 999))
        page = find(archive, query, 7)
        seen = found(page)
        number = 100
        while page.next is not None:
            archive.add([entry(number), entry(number + 1)])
            number += 2
            page = find(archive, query, 7, after=page.next)
            seen += found(page)
        assert seen == whole
        assert len(find(archive, query, 999).hits) > len(whole)


def test_a_scene_replaced_between_pages_disappears_and_no_hit_is_repeated(tmp_path):
    query = scorer(positives=vectors(8, 1))
    with filled(tmp_path / "a", 6) as archive:
        whole = find(archive, query, 999).hits
        first = find(archive, query, 5)
        archive.add([entry(3, version=1)])
        rest = find(archive, query, 999, after=first.next)
        left = [hit.tile.id for hit in whole[5:] if hit.scene.name != "3.tif"]
        assert found(rest) == left


def test_diversity_takes_the_best_hit_first_and_then_different_ones(tmp_path):
    with ArchiveWriter.create(tmp_path / "a", MODEL) as archive:
        scene, tiles, _ = entry(1, 4)
        rows = np.zeros((4, DIM), np.float32)
        # Two nearly alike that fit best, a third that fits less in another way, a fourth that hardly fits.
        for row, (x, y, z) in enumerate([(0.9, 0.43, 0.0), (0.89, 0.45, 0.0), (0.8, -0.6, 0.0), (0.1, 0.0, 0.99)]):
            rows[row, :3] = np.array([x, y, z]) / np.linalg.norm([x, y, z])
        archive.add([(scene, tiles, rows)])
        query = scorer(positives=np.eye(1, DIM, dtype=np.float32))
        assert found(find(archive, query, 2)) == [1, 2]
        assert found(find(archive, query, 2, None, ResultSelection(diversity=0.5))) == [1, 3]
        assert found(find(archive, query, 4, None, ResultSelection(diversity=0.01))) == [1, 2, 3, 4]
        page = find(archive, query, 2, with_vectors=True)
        np.testing.assert_array_equal(np.stack([hit.vector for hit in page.hits]), archive.vectors([1, 2]))
        assert find(archive, query, 1).hits[0].vector is None
        with pytest.raises(QueryError, match="have one page"):
            find(
                archive,
                query,
                1,
                None,
                ResultSelection(diversity=0.5),
                after=any_place(),
            )


def any_place() -> list:
    return Cursor(score=1.0, tile_id=1, up_to=4, shown=1).place()


@pytest.mark.parametrize(
    "place",
    [[], [1.0, 1, 4], [1.0, 1, 4, 1, 1], ["1", 1, 4, 1], [float("nan"), 1, 4, 1], [1.0, -1, 4, 1], [1.0, 1, 4.5, 1]],
)
def test_an_invalid_page_position_is_rejected(archive, place):
    with pytest.raises(QueryError, match="not from a page of this ranking"):
        find(archive, scorer(positives=vectors(1, 1)), 3, after=place)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "no positive example"),
        ({"negatives": vectors(1, 1)}, "no positive example"),
        ({"strategy": "best"}, "no example"),
        ({"positives": np.ones(DIM)}, "shape"),
        ({"positives": np.full((1, DIM), np.nan)}, "finite"),
        ({"positives": vectors(1, 2), "weights": (1,)}, "1 weights for 2"),
        ({"positives": vectors(1, 1), "weights": (-1,)}, "above 0"),
    ],
)
def test_an_invalid_query_is_rejected(parts, message):
    with pytest.raises(QueryError, match=message):
        scorer(**parts)


def test_examples_that_cancel_out_or_have_the_wrong_length_are_rejected(archive):
    with pytest.raises(QueryError, match="cancel out"):
        find(archive, scorer(positives=np.concatenate([vectors(1, 1), -vectors(1, 1)])), 1)
    with pytest.raises(QueryError, match="need finite numbers of shape"):
        find(archive, scorer(positives=np.ones((1, 3))), 1)
    with pytest.raises(QueryError, match="at least 1"):
        find(archive, scorer(positives=vectors(1, 1)), 0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"group_by": "colour"}, "need one of scene"),
        ({"per_group": 0}, "at least 1"),
        ({"max_overlap": 2}, r"need 0\.\.1"),
        ({"diversity": -1}, r"need 0\.\.1"),
        ({"min_score": float("nan")}, "need a number"),
    ],
)
def test_an_invalid_selection_is_rejected(parts, message):
    with pytest.raises(QueryError, match=message):
        ResultSelection(**parts)


def test_a_first_page_requests_only_its_own_hits_from_the_index(archive, monkeypatch):
    asked = []
    search = Chosen.search

    def counted(self, queries, k, *, exact=False):
        asked.append(k)
        return search(self, queries, k, exact=exact)

    monkeypatch.setattr(Chosen, "search", counted)
    every = SCENES * TILES
    for k, more in ((10, True), (every, False), (every + 1, False)):
        page = find(archive, scorer(positives=vectors(1, 1)), k)
        assert (len(page.hits), page.next is not None, page.matched) == (min(k, every), more, every)
    assert asked == [10, every, every + 1]


@given(st.integers(0, 50), st.integers(1, 120), st.floats(-3, 3))
@settings(max_examples=20, suppress_health_check=QUIET, deadline=None)
def test_a_linear_classifier_ranks_by_probability(archive, seed, k, bias):
    _, rows = table(archive)
    weights = 5 * vectors(seed, 1)[0]
    probabilities = 1 / (1 + np.exp(-(rows @ weights.astype(np.float64) + bias)))
    page = find(archive, LinearScorer(weights, bias), k)
    assert [hit.score for hit in page.hits] == pytest.approx(sorted(probabilities, reverse=True)[:k], abs=1e-5)


@pytest.mark.parametrize(
    ("weights", "bias"), [(np.zeros(DIM), 0.0), (np.ones((2, DIM)), 0.0), (np.ones(DIM), float("nan"))]
)
def test_a_linear_classifier_needs_finite_weights(weights, bias):
    with pytest.raises(QueryError, match="classifier: weights of shape"):
        LinearScorer(weights, bias)


class Coldest:
    """A scorer of another kind: the tile least like an example, as somebody else would add it."""

    def __init__(self, example: np.ndarray) -> None:
        self.directions = -example[None]

    def combine(self, cosines: np.ndarray) -> np.ndarray:
        return cosines[0]

    def rank(self, among, vectors_of, k, *, exact):
        return among.search(self.directions, k, exact=exact)[0]


def test_a_scorer_of_another_kind_ranks_pages_and_maps(archive):
    hits, rows = table(archive)
    example = vectors(3, 1)[0]
    expected = order(hits, rows @ -example.astype(np.float64))
    first = find(archive, Coldest(example), 7)
    second = find(archive, Coldest(example), 7, after=first.next)
    assert found(first) + found(second) == expected[:14]
    assert [hit.rank for hit in second.hits] == list(range(8, 15))
    assert scores_of(Coldest(example), archive.vectors(found(first))) == pytest.approx(
        [hit.score for hit in first.hits], abs=1e-6
    )
