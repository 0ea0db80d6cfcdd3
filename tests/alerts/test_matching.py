from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.subscribe import subscribe
from bandsight.alerts.webhooks import Targets
from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.scene_imagery import imagery_of
from bandsight.attributes.filter_json import from_json, to_json
from bandsight.attributes.filters import Filter, Property
from bandsight.errors import NotFoundError, QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.learning.training import train
from bandsight.model.scoring import ScoreScale
from bandsight.search.question import Semantic, resolve_question
from tests.fakes import FakeEmbedder
from tests.learning.makers import SENTENCE, box, dated, is_pond, label_truly, place_of

NOWHERE = Targets()


def watch(searcher, **body):
    return subscribe(searcher, SubscribeBody.model_validate({"q": SENTENCE, "min_score": 0.3} | body), NOWHERE)


def add(path, places, date=0):
    with ArchiveWriter.open(path) as writer:
        writer.add([dated(places, date)])


def alerted(archive: Archive, subscription=None):
    found = archive.alerts.newest(1000, subscription_id=None if subscription is None else subscription.id)
    return {place_of(archive, one.tile) for one in found}


def test_a_commit_raises_an_alert_for_each_new_tile_that_a_search_would_find(searcher, path):
    archive = searcher.archive
    made = watch(searcher)
    assert archive.alerts.newest() == []
    add(path, range(300, 340))
    vector = searcher.encoder.embed_texts([SENTENCE])
    archive.refresh()
    fresh = [one for one in archive.tile_ids(Filter()).tolist() if place_of(archive, one) >= 300]
    scores = {one: float(score) for one, score in zip(fresh, archive.vectors(fresh) @ vector[0], strict=True)}
    expected = {one for one, score in scores.items() if score >= 0.3}
    alerts = archive.alerts.newest()
    assert {one.tile for one in alerts} == expected
    assert len(expected) > 4
    for one in alerts:
        assert one.score == pytest.approx(scores[one.tile], abs=1e-3)
        assert (one.subscription, one.state, one.generation) == (made.id, "listed", archive.generation)


def test_filters_decide_which_new_tiles_raise_alerts(searcher, path):
    archive = searcher.archive
    where = box(305)
    here = watch(searcher, bbox=[where.west, where.south, where.east, where.north], min_score=-1)
    none = watch(searcher, datetime="2010-01-01T00:00:00Z/2011-01-01T00:00:00Z", min_score=-1)
    area = {"type": "Polygon", "coordinates": [[[a, b] for a, b in where_ring(where)]]}
    inside = watch(searcher, intersects=area, min_score=-1)
    lacking = watch(searcher, filter="platform = 'sat-a'", **{"filter-lang": "cql2-text"}, min_score=-1)
    add(path, range(300, 340))
    assert alerted(archive, here) == alerted(archive, inside) == {305}
    assert alerted(archive, none) == set()
    assert alerted(archive, lacking) in (set(), set(range(300, 340)))


def where_ring(where: LonLatBox):
    west, south, east, north = where.west, where.south, where.east, where.north
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def test_a_place_raises_one_alert_unless_every_date_is_wanted(searcher, path):
    once, always = watch(searcher), watch(searcher, per_place=False)
    for date in range(3):
        add(path, range(300, 320), date)
    archive = searcher.archive
    first = archive.alerts.newest(1000, subscription_id=once.id)
    assert len(first) == len({one.cell for one in first})
    assert len(archive.alerts.newest(1000, subscription_id=always.id)) > len(first)


def test_a_scene_that_is_indexed_again_or_replaced_raises_nothing_twice(searcher, path):
    made = watch(searcher, per_place=False)
    record, tiles, rows = dated(range(300, 320), 0)
    with ArchiveWriter.open(path) as writer:
        writer.add([(record, tiles, rows)])
        before = [one.id for one in searcher.archive.alerts.newest(1000, subscription_id=made.id)]
        writer.add([(record, tiles, rows)])
        writer.remove([record.href])
        writer.add([(record, tiles, rows)])
    assert [one.id for one in searcher.archive.alerts.newest(1000, subscription_id=made.id)] == before != []


def test_a_transaction_that_fails_raises_no_alert(searcher, path, monkeypatch):
    watch(searcher, min_score=-1)
    record, tiles, rows = dated(range(300, 320), 0)
    with ArchiveWriter.open(path) as writer:
        monkeypatch.setattr("bandsight.archive.writing.raise_alerts", _raise_and_die)
        with pytest.raises(ZeroDivisionError):
            writer.add([(record, tiles, rows)])
    assert searcher.archive.alerts.newest() == []


def _raise_and_die(*arguments):
    from bandsight.archive.alerts import raise_alerts

    assert raise_alerts(*arguments) > 0
    raise ZeroDivisionError


def test_a_classifier_is_watched_by_probability(searcher, path):
    archive = searcher.archive
    label_truly(archive, "ponds", list(range(1, 101)))
    train(searcher, "ponds")
    made = subscribe(searcher, SubscribeBody(q="classifier:ponds > 0.6"), NOWHERE)
    add(path, range(300, 340))
    alerts = archive.alerts.newest()
    assert alerts
    assert min(one.score for one in alerts) >= 0.6
    assert np.mean([is_pond(place) for place in alerted(archive, made)]) > 0.8


def test_a_sentence_is_watched_by_probability(searcher, path):
    archive = searcher.archive
    made = watch(searcher, min_score=None, min_probability=0.95)
    assert {level.family for level in made.levels} == {"multispectral", "rgb"}
    add(path, range(300, 340))
    archive.refresh()
    fresh = [one for one in archive.tile_ids(Filter()).tolist() if place_of(archive, one) >= 300]
    family = imagery_of(archive.scene(archive.tile(fresh[0]).scene_id)).family
    (level,) = (one for one in made.levels if one.family == family)
    cosines = archive.vectors(fresh) @ searcher.encoder.embed_texts([SENTENCE])[0]
    chances = 1 / (1 + np.exp(-(level.slope * cosines + level.bias)))
    expected = {one: float(chance) for one, chance in zip(fresh, chances, strict=True) if chance >= 0.95}
    alerts = archive.alerts.newest()
    assert 0 < len(expected) < len(fresh)
    assert {one.tile for one in alerts} == set(expected)
    for one in alerts:
        assert one.score == pytest.approx(expected[one.tile], abs=1e-3)


@pytest.mark.parametrize("wavelength_um", [0.66, 1.6, 5.405])
def test_a_minimum_score_means_the_score_of_a_search_for_every_family(searcher, path, monkeypatch, wavelength_um):
    scales = {"multispectral": ScoreScale(0.5, 0.2), "radar": ScoreScale(knee=0.2)}
    monkeypatch.setattr(FakeEmbedder, "scales", lambda *_: scales)
    least = 0.21 if wavelength_um == 5.405 else 0.3
    watch(searcher, min_score=least)
    record, tiles, rows = dated(range(300, 340), 0)
    waves = tuple(replace(band, wavelength_um=wavelength_um) for band in record.bands)
    with ArchiveWriter.open(path) as writer:
        added = writer.add([(replace(record, bands=waves), tiles, rows)])
    assert added
    page = resolve_question(searcher, Semantic(text=SENTENCE, min_score=least)).page(Filter(), 1000, None)
    fresh = {hit.tile.id: hit.score for hit in page.hits if place_of(searcher.archive, hit.tile.id) >= 300}
    assert {one.tile: one.score for one in searcher.archive.alerts.newest()} == pytest.approx(fresh, abs=1e-3)
    assert 0 < len(fresh) < 40


@pytest.mark.parametrize("gsd_m", [1.0, 1000.0])
def test_imagery_without_a_valid_probability_raises_no_alert(searcher, path, gsd_m):
    watch(searcher, min_score=None, min_probability=0.95)
    record, tiles, rows = dated(range(300, 340), 0)
    # The multispectral calibration is for 5 to 100 m.
    waves = tuple(replace(band, wavelength_um=1.6) for band in record.bands)
    with ArchiveWriter.open(path) as writer:
        writer.add([(replace(record, gsd_m=gsd_m, bands=waves), tiles, rows)])
    assert searcher.archive.alerts.newest() == []


def test_a_filter_is_applied_before_the_best_of_a_commit_are_chosen(searcher, path, monkeypatch):
    monkeypatch.setattr("bandsight.archive.alerts.MAX_MATCHES", 3)
    where = box(303)
    watch(searcher, min_score=-1, bbox=[where.west, where.south, where.east, where.north])
    add(path, range(300, 340))
    assert alerted(searcher.archive) == {303}


def test_a_rank_means_as_good_as_the_tile_of_that_rank_now(searcher, path):
    archive = searcher.archive
    made = subscribe(searcher, SubscribeBody(q=SENTENCE, rank=5), NOWHERE)
    scores = np.sort(archive.similarities(searcher.encoder.embed_texts([SENTENCE]), Filter()).scores[0])[::-1]
    assert made.least == pytest.approx(scores[4], abs=1e-5)


def test_paused_and_deleted_subscriptions_raise_nothing(searcher, path):
    archive = searcher.archive
    kept, gone = watch(searcher), watch(searcher)
    archive.alerts.pause(kept.id, paused=True)
    archive.alerts.unsubscribe(gone.id)
    add(path, range(300, 320))
    assert archive.alerts.newest() == []
    archive.alerts.pause(kept.id, paused=False)
    add(path, range(320, 340))
    assert alerted(archive)
    assert min(alerted(archive)) >= 320
    with pytest.raises(NotFoundError, match="not found; list all with: bandsight watch list"):
        archive.alerts.pause(gone.id, paused=True)


def test_queries_that_cannot_be_watched_are_rejected_in_one_sentence(searcher):
    for body, message in (
        ({"q": None}, "found neither; describe what to watch for"),
        ({"q": "a lake, a pond"}, "create a subscription for each"),
        ({"rank": 3}, "min_score, rank: found both"),
        ({"min_probability": 0.5}, "min_probability: found together with rank or min_score"),
        ({"min_probability": 0.5, "min_score": None, "q": "ein See und ein Feld"}, "languages other than English"),
        (
            {"min_probability": 0.5, "min_score": None, "q": None, "semantic": {"ids": [1]}},
            "only a single sentence without other examples",
        ),
        ({"ids": ["1"]}, "ids: new tiles cannot pass this filter"),
        ({"classifiers": ["ponds > 0.5"]}, "pass a classifier as q"),
        ({"webhook": "ftp://example.org"}, "need a URL like https"),
        ({"min_score": None, "bbox": [100, 0, 101, 1]}, "no tile passes the filters now"),
    ):
        given = {name: value for name, value in ({"q": SENTENCE, "min_score": 0.3} | body).items() if value is not None}
        with pytest.raises(QueryError, match=message):
            subscribe(searcher, SubscribeBody.model_validate(given), NOWHERE)


boxes = st.tuples(st.floats(-170, 0), st.floats(-80, 0), st.floats(1, 170), st.floats(1, 80)).map(
    lambda sides: LonLatBox(west=sides[0], south=sides[1], east=sides[2], north=sides[3])
)
leaves = st.builds(
    Filter,
    boxes=st.lists(boxes, max_size=2).map(tuple),
    area=st.none() | boxes.map(Area.from_box),
    collections=st.lists(st.text(max_size=4), max_size=2).map(tuple),
    exclude=st.lists(st.integers(0, 99), max_size=3).map(tuple),
    up_to=st.none() | st.integers(0, 99),
    properties=st.lists(
        st.builds(Property, name=st.just("gsd"), op=st.sampled_from(["<", ">="]), value=st.floats(0, 9))
        | st.just(Property(name="platform", op="in", value=("a", "b")))
        | st.just(Property(name="x", op="is null")),
        max_size=2,
    ).map(tuple),
)
filters = st.recursive(
    leaves,
    lambda inner: st.builds(
        Filter, all_of=st.lists(inner, max_size=2).map(tuple), none_of=st.lists(inner, max_size=1).map(tuple)
    ),
    max_leaves=4,
)


@settings(max_examples=50)
@given(filters)
def test_a_filter_as_json_is_the_same_filter(where):
    import json

    assert from_json(json.loads(json.dumps(to_json(where)))) == where
