"""Milvus proposes hits: none goes missing, no filter is passed over, and a server that is away is an error."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from bandsight.attributes.filters import Filter, Property
from bandsight.errors import ArchiveError, EngineUnavailableError
from bandsight.geo.area import Area
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.milvus import open_store
from bandsight.vectors.milvus import search as answering
from bandsight.vectors.milvus.collection import Milvus, Place
from bandsight.vectors.milvus.expressions import expression_of
from bandsight.vectors.milvus.facts import Facts, Width, load_facts
from bandsight.vectors.port import Snapshot
from bandsight.vectors.reference_store import ReferenceStore
from tests.cluster.ray_nodes import wait_until
from tests.conftest import milvus_url
from tests.vectors.test_stores import (
    FEW_TILES,
    FILTERS,
    ROWS,
    columns,
    context,
    fill,
    scenes,
    segments_of,
    show,
    unit,
)

cluster = pytest.mark.cluster


@pytest.fixture(scope="module")
def always():
    """Milvus is asked however few tiles there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "WORTH_IT", 100)
        patch.setattr(answering, "FEW", 0)
        yield


def opened(server, folder, url=None):
    return open_store(url or milvus_url(server), replace(context(), folder=folder))


@pytest.fixture(scope="module")
def indexed(always, milvus_server, tmp_path_factory):
    """A store whose few tiles are all in Milvus, its referee, and where they are."""
    folder, url = tmp_path_factory.mktemp("store"), milvus_url(milvus_server)
    referee, real = ReferenceStore(context()), opened(milvus_server, folder, url)
    for made in (referee, real):
        fill(made)
    figures = real.optimize(unit(40, 4321))
    assert figures["rows"] == ROWS
    return referee, real, folder, url


@cluster
@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(scenes=(3,)), Filter(sensors=("s1",)), FEW_TILES, ~Filter(collections=("c0",))]
)
def test_answers_are_full_and_scores_raw(indexed, wanted):
    referee, real, _, _ = indexed
    every = set(referee.select(wanted).ids.tolist())
    for seed in range(3):
        query = unit(1, 200 + seed)
        for k in (1, 10, 10_000):
            (ids, scores), (true_ids, true_scores) = (made.search(query, k, wanted)[0] for made in (real, referee))
            assert len(ids) == len(true_ids) == len(set(ids.tolist()))
            assert set(ids.tolist()) <= every
            assert np.all(np.diff(scores) <= 0)
            np.testing.assert_allclose(scores, real.get(ids.tolist()) @ query[0], atol=1e-6)
            assert np.isin(scores, true_scores).mean() >= 0.9


@cluster
def test_milvus_was_really_asked_and_reaches_the_recall(indexed, monkeypatch):
    referee, real, _, _ = indexed
    asked = []
    search = type(real._milvus).search
    monkeypatch.setattr(type(real._milvus), "search", lambda *a: asked.append(1) or search(*a))
    queries = unit(100, 300)
    for k in (10, 100):
        pairs = zip(real.search(queries, k, Filter()), referee.search(queries, k, Filter()), strict=True)
        assert np.mean([np.isin(true, found).mean() for (found, _), (true, _) in pairs]) >= 0.98
    assert asked
    assert_same_to_the_last_bit(real, referee, queries[:5])


def assert_same_to_the_last_bit(real, referee, queries):
    exact, true = real.search(queries, 30, Filter(), exact=True), referee.search(queries, 30, Filter())
    for (ids, scores), (true_ids, true_scores) in zip(exact, true, strict=True):
        np.testing.assert_array_equal(ids, true_ids)
        np.testing.assert_array_equal(scores, true_scores)


@cluster
@given(FILTERS, FILTERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_expression_lets_everything_pass_that_the_filter_does(indexed, one, other):
    referee, real, _, _ = indexed
    for wanted in (one, ~one, one | ~other, ~(one & other)):
        # An empty expression means all in a search, and nothing in a query.
        expression = expression_of(wanted, scenes()) or "id > 0"
        found = real._milvus._client.query(
            real._facts.collection, filter=expression, output_fields=["id"], limit=16_384, consistency_level="Bounded"
        )
        expected = referee.select(wanted).ids
        assert set(expected.tolist()) <= {row["id"] for row in found}
        # Nothing of these filters is beyond an expression, so it is exact.
        assert len(found) == len(expected)


@cluster
def test_a_filter_by_collection_searches_its_partitions_alone(indexed):
    referee, real, _, _ = indexed
    wanted = Filter(collections=("c0",))
    for both in (wanted, wanted & Filter(sensors=("s1",))):
        assert expression_of(both, scenes()).endswith(' and collection in ["c0"])')
    assert "collection" not in expression_of(wanted | Filter(sensors=("s1",)), scenes())
    client, name = real._milvus._client, real._facts.collection
    found = client.query(name, filter='collection == "c0"', output_fields=["id"], limit=16_384)
    assert sorted(row["id"] for row in found) == referee.select(wanted).ids.tolist()
    filled = [part for part in client.list_partitions(name) if int(client.get_partition_stats(name, part)["row_count"])]
    assert len(filled) <= len(set(scenes().collections.tolist()))


@cluster
def test_other_programs_find_the_collection_under_the_name_in_the_url(own):
    name, first = own._milvus.place.name, own._facts.collection
    assert own._milvus.exists(name)
    own._facts = None
    assert own.optimize()["rows"] == ROWS
    assert own._milvus._client.describe_alias(name)["collection_name"] == own._facts.collection != first
    own.remove_unnamed({one.name for one in segments_of(own)}, ROWS)
    assert [one for one in own._milvus.names() if one.startswith(f"{name}_")] == [own._facts.collection]


@cluster
def test_a_server_that_is_killed_while_it_is_filled_and_searched_costs_nothing(own, milvus_server, tmp_path):
    server, written, other = milvus_server, threading.Event(), opened(milvus_server, tmp_path / "other")
    fill(other)
    queries = unit(5, 77)
    before, wrong, refused = own.search(queries, 10, Filter()), [], threading.Event()

    def search() -> None:
        while not written.is_set() or not refused.is_set():
            try:
                found = own.search(queries, 10, Filter())
            except EngineUnavailableError:
                refused.set()
            else:
                wrong.extend(1 for one, true in zip(found, before, strict=True) if one[0].tolist() != true[0].tolist())

    class Dying(type(other._milvus)):
        """Its server dies when it has taken rows and not yet made them durable."""

        def insert(self, *rows) -> None:
            super().insert(*rows)
            server.kill()
            written.set()

    searches = threading.Thread(target=search)
    searches.start()
    other._milvus.__class__ = Dying
    with pytest.raises(EngineUnavailableError, match="Milvus does not answer"):
        other.optimize()
    searches.join(60)
    assert not searches.is_alive()
    assert wrong == []
    server.run()
    assert wait_until(lambda: answered(own, queries, before), 200)
    other._milvus.__class__ = Milvus
    # No row names what was half written; a search scans, and the next run builds anew.
    assert other.index_figures == {"index": "none"}
    assert other.optimize()["rows"] == ROWS
    assert other.verify(full=True) == own.verify(full=True) == []
    assert answered(other, queries, before)


def answered(store, queries, expected) -> bool:
    try:
        found = store.search(queries, 10, Filter())
    except EngineUnavailableError:
        return False
    for one, true in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[0], true[0])
    return True


@cluster
def test_polygons_are_decided_by_footprints(indexed):
    referee, real, _, _ = indexed
    area = Area.from_geojson({"type": "Polygon", "coordinates": [[[-60, -40], [80, -40], [10, 60], [-60, -40]]]})
    for wanted in (Filter(area=area), ~Filter(area=area)):
        expected = referee.search(unit(1, 3), 10_000, wanted)[0]
        found = real.search(unit(1, 3), 10_000, wanted)[0]
        np.testing.assert_array_equal(np.sort(found[0]), np.sort(expected[0]))
        assert 0 < len(found[0]) < ROWS


@pytest.fixture
def own(always, milvus_server, tmp_path):
    """A store of its own, to change."""
    made = opened(milvus_server, tmp_path)
    fill(made)
    made.optimize()
    return made


@cluster
def test_rows_younger_than_the_collection_are_found_at_once_and_taken_over(own):
    fresh = unit(3, 888)
    segment = own.upsert(fresh, columns(ROWS + 1, 3))
    shown = [*segments_of(own), segment]
    show(own, shown, newest=ROWS + 3)
    assert own.unindexed == 3
    for n in range(3):
        assert int(own.search(fresh[n : n + 1], 1, Filter())[0][0][0]) == ROWS + 1 + n
    assert own.extend()
    show(own, shown, newest=ROWS + 3)
    assert own.unindexed == 0
    assert own._milvus.count(own._facts.collection, strong=True) == ROWS + 3
    for n in range(3):
        assert int(own.search(fresh[n : n + 1], 1, Filter())[0][0][0]) == ROWS + 1 + n
    assert own._differences(full=True) == []


@cluster
def test_deleted_tiles_are_never_answered_and_swept_with_the_next_filling(own):
    show(own, segments_of(own), alive=5)
    alive = own.select(Filter()).ids
    ids = own.search(unit(1, 5), 10_000, Filter())[0][0]
    np.testing.assert_array_equal(np.sort(ids), alive)
    # By half or more gone, it would be made anew.
    own._facts = replace(own._facts, rows=ROWS)
    own._save(own._filled(own._current(), own._facts))
    assert own._milvus.count(own._facts.collection, strong=True) == len(alive)
    own._save(own._filled(own._current(), own._facts))
    assert own._milvus.count(own._facts.collection, strong=True) == len(alive)


@cluster
def test_rows_of_a_writer_that_died_are_overwritten_by_those_of_the_commit(own):
    # It wrote ids that no commit names; the next writer gets the same ones.
    lost = columns(ROWS + 1, 3)
    own._milvus.insert(own._facts.collection, unit(3, 71), lost, scenes())
    own._milvus.settle(own._facts.collection, ROWS + 3)
    ids = own.search(unit(3, 71), 1, Filter())
    assert max(int(found[0][0]) for found in ids) <= ROWS
    fresh = unit(3, 72)
    shown = [*segments_of(own), own.upsert(fresh, lost)]
    show(own, shown, newest=ROWS + 3)
    assert own.extend()
    show(own, shown, newest=ROWS + 3)
    assert [int(found[0]) for found, _ in own.search(fresh, 1, Filter())] == [ROWS + 1, ROWS + 2, ROWS + 3]


@cluster
def test_rows_that_milvus_lost_are_found_by_verify_and_made_again(own, caplog):
    own._milvus.delete(own._facts.collection, np.arange(1, 11))
    assert any("10 of 400 rows are missing; run: bandsight repair" in line for line in own.verify(full=False))
    gone = own._facts.collection
    assert any("was not whole, dropped" in line for line in own.repair_derived())
    # A reader that has the collection in its hand scans.
    assert len(own.search(unit(1, 5), 50, Filter())[0][0]) == 50
    assert gone in caplog.text
    own.show(Snapshot(generation=9, newest=ROWS, segments=tuple(segments_of(own)), scenes=scenes()))
    assert own.index_figures == {"index": "none"}
    assert own.optimize()["rows"] == ROWS
    assert own._facts.collection != gone
    assert own.verify(full=True) == []
    assert load_facts(own.folder.derived) == own._facts


@cluster
def test_a_collection_of_other_vectors_is_refused(own, milvus_server, tmp_path):
    place = own._milvus.place
    url = f"milvus://127.0.0.1:{milvus_server.port}/{place.database}/{place.name}"
    other = open_store(url, replace(context(), folder=tmp_path, dim=8))
    other._newest = ROWS
    with pytest.raises(ArchiveError, match="holds vectors of 16 numbers, the archive's have 8; set vectors in"):
        other._serve(load_facts(tmp_path / "index"))


@cluster
def test_a_server_that_is_away_is_an_error_and_good_again_after(always, milvus_server, tmp_path):
    server = milvus_server
    folder, url = tmp_path / "a", f"{milvus_url(server)}?timeout_s=3"
    real = opened(server, folder, url)
    fill(real)
    real.optimize()
    before = real.search(unit(2, 5), 10, Filter())
    server.pause()
    try:
        with pytest.raises(EngineUnavailableError, match="Milvus does not answer"):
            real.search(unit(2, 5), 10, Filter())
        # Neither exact scans nor writing need it.
        assert len(real.search(unit(2, 5), 10, Filter(), exact=True)) == 2
        real.upsert(unit(3, 2), columns(ROWS + 1, 3))
        with pytest.raises(EngineUnavailableError, match="Milvus does not answer"):
            opened(server, folder, url)
        with pytest.raises(EngineUnavailableError, match="Milvus does not answer"):
            real.ping()
    finally:
        server.go_on()
    found = real.search(unit(2, 5), 10, Filter())
    for (ids, scores), (true_ids, true_scores) in zip(found, before, strict=True):
        np.testing.assert_array_equal(ids, true_ids)
        np.testing.assert_array_equal(scores, true_scores)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("milvus://h", ("http://h:19530", "", "default", "bandsight")),
        ("milvus://h:1/alps", ("http://h:1", "", "default", "alps")),
        ("milvus://me:p%40ss@h:1/geo/alps?tls=true", ("https://h:1", "me:p@ss", "geo", "alps")),
        ("milvus://key@h/geo/alps", ("http://h:19530", "key", "geo", "alps")),
    ],
)
def test_urls_say_where_the_server_is(url, expected):
    found = Place.parse(url)
    assert (found.uri, found.token, found.database, found.name) == expected


@pytest.mark.parametrize(
    "url",
    [
        "milvus://",
        "milvus://h:x/a",
        "milvus://me:secret@h/a/b/c",
        "milvus://h/a-b",
        "milvus://h?tls=maybe",
        "milvus://h?timeout_s=x",
        "milvus://h?colour=red",
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url):
    with pytest.raises(ArchiveError, match="need") as refused:
        Place.parse(url)
    assert "secret" not in str(refused.value)


def test_a_width_is_for_a_share_and_for_so_many_hits():
    widths = (Width(share=0.1, k=10, ef=64), Width(share=0.1, k=100, ef=256), Width(share=1.0, k=100, ef=128))
    facts = Facts(collection="x", first_id=1, up_to=9, rows=9, widths=widths)
    assert facts.width(1.0, 10).ef == 128
    assert facts.width(0.5, 10).ef == 64
    assert facts.width(0.5, 1000).ef == 2560
    assert facts.width(0.05, 10) is None


def test_conditions_that_milvus_cannot_decide_count_as_true():
    area = Area.from_geojson({"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]})
    assert expression_of(~Filter(area=area), scenes()) == ""
    assert "west <= 10.0" in expression_of(Filter(area=area), scenes())
    assert expression_of(Filter(scenes=(99,)), scenes()) == "id < 0"
    assert expression_of(Filter(properties=(Property(name="n", op=">=", value=-1),)) | Filter(), scenes()) == ""
