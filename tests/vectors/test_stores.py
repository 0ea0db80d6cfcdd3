"""One contract for every vector engine: `ENGINES` lists them, and the reference store says what the right answer is."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import shapely
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.fields import CLOUD_FRACTION, VALID_FRACTION
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.segments import Segment
from bandsight.errors import ArchiveError, NotFoundError
from bandsight.geo.box import LonLatBox
from bandsight.vectors.local import gpu_faiss, gpu_scan, recall_probes
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local import recall_tuning as tuning
from bandsight.vectors.local import search as answering
from bandsight.vectors.local import store as faiss_store
from bandsight.vectors.local.gpu_scan import Device
from bandsight.vectors.local.store import LocalVectorStore
from bandsight.vectors.milvus import MilvusVectorStore, open_store
from bandsight.vectors.port import Snapshot, StoreContext
from bandsight.vectors.reference_store import ReferenceEngine, ReferenceStore
from tests.conftest import milvus_url
from tests.vectors.planning import always_by_index

DIM, ROWS, SCENES = 16, 400, 20


def unit(rows: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, DIM))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def columns(first: int, rows: int, scenes: int = SCENES) -> TileColumns:
    rng = np.random.default_rng(first)
    boxes = np.full((rows, 2, 4), np.nan)
    west, south = rng.uniform(-180, 175, rows), rng.uniform(-80, 75, rows)
    boxes[:, 0] = np.stack([west, south, west + 4, south + 4], axis=1)
    across = rng.random(rows) < 0.1
    boxes[across, 0, 0], boxes[across, 0, 2] = 178, 180
    boxes[across, 1] = boxes[across, 0]
    boxes[across, 1, 0], boxes[across, 1, 2] = -180, -179
    return TileColumns(
        ids=np.arange(first, first + rows),
        scene_ids=rng.integers(1, scenes + 1, rows),
        boxes=boxes,
        values={
            "valid_fraction": rng.random(rows).round(2),
            "cloud_fraction": np.where(rng.random(rows) < 0.2, np.nan, rng.random(rows).round(2)),
        },
    )


def scenes(alive: int = SCENES) -> SceneColumns:
    ids = np.arange(1, alive + 1)
    return SceneColumns(
        ids=ids,
        times_us=np.where(ids % 4 == 0, np.iinfo(np.int64).min, ids * 86_400_000_000),
        collections=np.array([f"c{i % 3}" for i in ids]),
        sensors=np.array([f"s{i % 2}" for i in ids]),
        boxes=np.tile(np.array([[0.0, 0.0, 1.0, 1.0], [np.nan] * 4]), (len(ids), 1, 1)),
        properties=tuple({"n": int(i) % 5} if i % 3 else {} for i in ids),
    )


def footprints(ids: np.ndarray) -> np.ndarray:
    """Circles of one degree, where the tile's number says."""
    return shapely.buffer(shapely.points(-170 + ids * 37 % 340, -80 + ids * 13 % 160), 1.0)


def rows(number: int) -> np.ndarray:
    """Every fifth row is one of three that come again and again, as tiles of open water do."""
    values = unit(ROWS // 4, number)
    values[::5] = unit(3, 12345)[np.arange(len(values[::5])) % 3]
    return values


def fill(store, alive: int = SCENES) -> None:
    segments = [store.upsert(rows(n), columns(1 + n * ROWS // 4, ROWS // 4)) for n in range(4)]
    store.show(Snapshot(generation=1, newest=ROWS, segments=tuple(segments), scenes=scenes(alive)))


def columns_of(ids: np.ndarray) -> TileColumns:
    """What the catalog says of tiles."""
    every = TileColumns.join([*(columns(1 + n * ROWS // 4, ROWS // 4) for n in range(4)), columns(10_001, 50)])
    return every.take(np.searchsorted(every.ids, ids))


def context() -> StoreContext:
    return StoreContext(dim=DIM, columns_of=columns_of, footprints=footprints)


def reference(url: str, given: StoreContext):
    return REFERENCE.open(url, given)


def knn_by_numpy(rows, query: np.ndarray, k: int):
    """Stands in for FAISS on a GPU: half-precision products, summed in float32."""
    scores = (rows.numpy().astype(np.float32) @ query.astype(np.float32)).astype(np.float32)
    best = np.argsort(-scores, kind="stable")[:k]
    return scores[best], best


def on_gpu(url: str, given: StoreContext) -> LocalVectorStore:
    """As a GPU is found at run time."""
    return local(url, given, gpu_scan.device_for(ROWS, DIM))


def local(url: str, given: StoreContext, device: Device | None = None) -> LocalVectorStore:
    folder = Path(urlsplit(url).path)
    return LocalVectorStore(folder, given.dim, given.columns_of, given.footprints, lambda *_: device)


REFERENCE = ReferenceEngine()
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
# To add an engine: what opens it, under a name. The path of a GPU runs on torch's CPU device too, and on a GPU itself.
LOCAL = [
    pytest.param(local, id="local"),
    pytest.param(partial(local, device=Device("cpu")), id="local, torch on the CPU"),
    pytest.param(partial(local, device=Device("cpu", knn_by_numpy)), id="local, the GPU's search on the CPU"),
    pytest.param(on_gpu, id="local, GPU", marks=[pytest.mark.gpu, NO_GPU]),
]
MILVUS = pytest.param("milvus", id="milvus", marks=pytest.mark.cluster)
ENGINES = [pytest.param(reference, id="reference"), *LOCAL, MILVUS]


def engine_of(request):
    """The engine of a parameter; Milvus needs a server, which the tests share."""
    if request.param != "milvus":
        return request.param
    server = request.getfixturevalue("milvus_server")
    names = {}

    def on_milvus(url: str, given: StoreContext) -> MilvusVectorStore:
        folder = Path(urlsplit(url).path)
        return open_store(names.setdefault(folder, milvus_url(server)), replace(given, folder=folder))

    return on_milvus


def opened(engine, folder):
    return engine(folder.as_uri() + "/", context())


@pytest.fixture(params=ENGINES)
def engine(request):
    return engine_of(request)


@pytest.fixture
def store(engine, tmp_path):
    made = opened(engine, tmp_path)
    fill(made)
    return made


def test_a_vector_finds_itself(store):
    for tile_id in (2, 57, ROWS):
        ids, scores = store.search(store.get([tile_id]), 1, Filter())[0]
        assert (int(ids[0]), float(scores[0])) == (tile_id, pytest.approx(1, abs=2e-3))


def test_an_answer_is_full_or_all_there_is(store):
    query = unit(1, 99)
    assert len(store.search(query, 10_000, Filter())[0][0]) == ROWS
    few = Filter(scenes=(3,))
    ids = store.search(query, 10_000, few)[0][0]
    assert 0 < len(ids) < ROWS
    assert len(store.search(query, 2, few)[0][0]) == min(2, len(ids))
    assert len(store.search(query, 5, Filter(collections=("none",)))[0][0]) == 0


def test_rows_that_no_snapshot_shows_do_not_exist(store):
    store.upsert(unit(1, 7), columns(ROWS + 1, 1))
    assert len(store.search(unit(1, 7), 10_000, Filter())[0][0]) == ROWS
    with pytest.raises(NotFoundError):
        store.get([ROWS + 1])


def test_a_selection_is_all_that_a_search_could_find_beside_its_scenes(store):
    for wanted in (Filter(), Filter(scenes=(3, 4)), Filter(collections=("none",)), ~Filter(exclude=(5, 9))):
        selection = store.select(wanted)
        found = np.sort(store.search(unit(1, 99), 10_000, wanted)[0][0])
        np.testing.assert_array_equal(selection.ids, found)
        assert len(selection.scene_at) == len(found)
        if wanted.scenes:
            assert set(selection.scenes.ids[selection.scene_at]) == {3, 4}


def test_a_selection_has_the_fields_that_were_asked_for(store):
    where = Filter(properties=(Property(name=VALID_FRACTION, op="<", value=0.5),))
    found = store.select(where, ["cloud_fraction", "valid_fraction"])
    expected = columns_of(found.ids)
    assert 0 < len(found.ids) < ROWS
    assert (found.values["valid_fraction"] < 0.5).all()
    for name in ("cloud_fraction", "valid_fraction"):
        np.testing.assert_array_equal(found.values[name], expected.values[name])


def test_tiles_of_a_scene_that_is_gone_are_gone(store):
    fill(store, alive=5)
    ids = store.search(unit(1, 3), 10_000, Filter())[0][0]
    assert 0 < len(ids) < ROWS


def assert_agree(found, expected) -> None:
    for (ids, scores), (true_ids, true_scores) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ids, true_ids)
        np.testing.assert_array_equal(scores, true_scores)


def segments_of(store) -> list[Segment]:
    return [segment for segment, _ in store.living()]


def show(store, segments, alive: int = SCENES, newest: int = ROWS) -> None:
    store.show(Snapshot(generation=9, newest=newest, segments=tuple(segments), scenes=scenes(alive)))


def every_answer(store):
    return [store.search(unit(1, seed), 10_000, Filter())[0] for seed in range(3)]


def test_what_is_written_twice_is_there_once(store):
    again = [store.upsert(rows(n), columns(1 + n * ROWS // 4, ROWS // 4)) for n in range(4)]
    assert again == segments_of(store)


def test_the_living_are_the_tiles_of_scenes_that_exist(store):
    fill(store, alive=5)
    living = store.living()
    assert [segment.count for segment, _ in living] == [ROWS // 4] * 4
    found = np.concatenate([ids for _, ids in living])
    np.testing.assert_array_equal(found, store.select(Filter()).ids)
    assert store.stats()["vectors"] == len(found)
    assert store.stats()["deleted_vectors"] == ROWS - len(found)


def test_missing_tiles_are_named_and_their_vectors_refused(store):
    fill(store, alive=5)
    there = store.select(Filter()).ids
    gone = np.setdiff1d(np.arange(1, ROWS + 1), there)
    assert store.missing([*gone[:3].tolist(), int(there[0]), ROWS + 7]) == [*gone[:3].tolist(), ROWS + 7]
    with pytest.raises(NotFoundError):
        store.get([int(there[0]), ROWS + 7])


def test_merged_segments_answer_as_before_and_old_ones_can_go(store):
    fill(store, alive=5)
    before = every_answer(store)
    old, new = store.merge()
    assert sorted(segment.name for segment in old) == sorted(segment.name for segment in segments_of(store))
    # Until a commit names them, nothing has changed.
    assert_agree(every_answer(store), before)
    show(store, new, alive=5)
    store.remove_unnamed({segment.name for segment in new}, ROWS)
    assert_agree(every_answer(store), before)
    assert store.stats()["deleted_vectors"] == 0
    assert store.verify(full=True) == []
    assert store.merge() == ([], [])
    with pytest.raises(ArchiveError, match="missing"):
        show(store, old)


def test_what_no_commit_names_goes_and_the_rest_stays(store):
    before = every_answer(store)
    lost = store.upsert(unit(1, 7), columns(ROWS + 1, 1))
    store.remove_unnamed({segment.name for segment in segments_of(store)}, ROWS)
    assert_agree(every_answer(store), before)
    assert store.damage(lost)


def test_a_store_that_is_opened_again_serves_what_was_written(engine, tmp_path):
    first = opened(engine, tmp_path)
    fill(first)
    answers, segments = every_answer(first), segments_of(first)
    again = opened(engine, tmp_path)
    with pytest.raises(ArchiveError, match="no snapshot shown yet"):
        again.select(Filter())
    show(again, segments)
    assert_agree(every_answer(again), answers)
    assert again.verify(full=True) == []


def test_sound_segments_are_salvaged_whole(store):
    for number, segment in enumerate(segments_of(store)):
        assert store.damage(segment) is None
        ids, vectors, _ = store.salvage(segment)
        np.testing.assert_array_equal(ids, np.arange(segment.first_id, segment.last_id + 1))
        np.testing.assert_array_equal(vectors, rows(number).astype(np.float16).astype(np.float32))


def test_a_segment_that_is_not_there_is_damage_and_not_salvaged(store):
    missing = replace(segments_of(store)[0], name="seg-000000000001-0123456789ab")
    assert "run: bandsight repair" in store.damage(missing)
    ids, vectors, _ = store.salvage(missing)
    assert len(ids) == len(vectors) == 0
    assert store.repair_derived() == []


def test_a_copy_is_opened_by_the_same_engine(engine, store, tmp_path):
    target = tmp_path / "copy"
    target.mkdir()
    assert store.copy_to(target, segments_of(store))
    copy = opened(engine, target)
    show(copy, segments_of(store))
    assert_agree(every_answer(copy), every_answer(store))
    gone = replace(segments_of(store)[0], name="seg-000000000001-0123456789ab")
    assert not store.copy_to(target, [gone])


def test_segments_of_another_store_are_adopted(engine, store, tmp_path):
    beside = opened(engine, tmp_path / "beside")
    other = beside.upsert(unit(50, 77), columns(10_001, 50))
    store.adopt(beside, [other])
    show(store, [other], newest=10_050)
    assert len(store.search(unit(1, 1), 10_000, Filter())[0][0]) == 50
    assert int(store.search(unit(50, 77)[7:8], 1, Filter())[0][0][0]) == 10_008


def test_figures_of_an_index_that_is_not_there(store):
    assert not store.worth_an_index
    assert store.index_figures["index"] == "none"
    assert (store.unindexed, store.extend()) == (0, False)
    assert store.optimize(unit(3, 1), budget_bytes=100)["index"] == "none"


FILTERS = st.builds(
    Filter,
    boxes=st.lists(
        st.builds(
            lambda w, s, e, n: LonLatBox(west=w, south=min(s, n), east=e, north=max(s, n)),
            st.floats(-180, 180),
            st.floats(-90, 90),
            st.floats(-180, 180),
            st.floats(-90, 90),
        ),
        max_size=2,
    ).map(lambda boxes: tuple(part for box in boxes for part in box.split())),
    collections=st.lists(st.sampled_from(["c0", "c1", "c9"]), max_size=2).map(tuple),
    sensors=st.lists(st.sampled_from(["s0", "s1"]), max_size=2).map(tuple),
    scenes=st.lists(st.integers(1, SCENES), max_size=4).map(tuple),
    exclude=st.lists(st.integers(1, ROWS), max_size=5).map(tuple),
    properties=st.lists(
        st.one_of(
            st.builds(Property, name=st.just("n"), op=st.sampled_from(["=", "<", ">="]), value=st.integers(-1, 5)),
            st.builds(Property, name=st.just(VALID_FRACTION), op=st.just(">="), value=st.floats(0, 1)),
            st.builds(Property, name=st.just(CLOUD_FRACTION), op=st.just("<="), value=st.floats(0, 1)),
        ),
        max_size=2,
    ).map(tuple),
    up_to=st.none() | st.integers(1, ROWS),
)


@pytest.fixture(scope="module", params=[*LOCAL, MILVUS])
def both(request, tmp_path_factory):
    pair = ReferenceStore(context()), opened(engine_of(request), tmp_path_factory.mktemp("store"))
    for made in pair:
        fill(made)
    return pair


@given(FILTERS, st.integers(1, 500), st.integers(100, 110))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_engine_answers_as_the_reference_to_the_last_bit(both, wanted, k, seed):
    referee, real = both
    # The second query meets many equal rows.
    queries = np.stack([unit(1, seed)[0], unit(3, 12345)[seed % 3]])
    assert_agree(real.search(queries, k, wanted), referee.search(queries, k, wanted))


@given(FILTERS, st.integers(1, 60))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_choice_is_counted_and_searched_as_its_filter(both, wanted, k):
    for made in both:
        choice = made.choose(wanted)
        assert choice.count == len(made.select(wanted).ids)
        assert_agree(choice.search(unit(2, 7), k), made.search(unit(2, 7), k, wanted))


@pytest.fixture
def indexed(tmp_path, monkeypatch):
    """A store that uses its index for a few hundred rows as it would for millions, and its referee."""
    monkeypatch.setattr(building, "WORTH_IT", 100)
    monkeypatch.setattr(tuning, "FEW", 0)
    monkeypatch.setattr(tuning, "SHARES", (1.0, 0.1, 0.001))
    monkeypatch.setattr(recall_probes, "EACH", 20)
    monkeypatch.setattr(answering, "plan", always_by_index)
    referee, real = ReferenceStore(context()), opened(local, tmp_path)
    for made in (referee, real):
        fill(made)
    figures = real.optimize(unit(40, 4321))
    assert figures["rows"] == ROWS
    assert min(figures[f"recall_at_{k}_{kind}"] for k in (10, 100) for kind in ("image", "text")) >= 0.99
    return referee, real, tmp_path


FEW_TILES = Filter(properties=(Property(name=VALID_FRACTION, op=">=", value=0.97),))


@pytest.mark.parametrize("wanted", [Filter(), Filter(scenes=(3,)), Filter(sensors=("s1",)), FEW_TILES])
def test_through_the_index_answers_are_full_and_scores_raw(indexed, wanted):
    referee, real, _ = indexed
    for seed in range(5):
        query = unit(1, 200 + seed)
        for k in (1, 10, 10_000):
            (ids, scores), (true_ids, _) = real.search(query, k, wanted)[0], referee.search(query, k, wanted)[0]
            assert len(ids) == len(true_ids) == len(set(ids.tolist()))
            np.testing.assert_allclose(scores, real.get(ids.tolist()) @ query[0], atol=1e-6)
            assert np.all(np.diff(scores) <= 0)
            assert set(ids.tolist()) <= set(referee.search(query, 10_000, wanted)[0][0].tolist())


def test_the_index_reaches_the_recall_that_it_claims(indexed):
    referee, real, _ = indexed
    queries = unit(200, 300)
    for k in (10, 100):
        pairs = zip(real.search(queries, k, Filter()), referee.search(queries, k, Filter()), strict=True)
        assert np.mean([np.isin(true, found).mean() for (found, _), (true, _) in pairs]) >= 0.98


def test_the_budget_decides_how_short_the_codes_are(indexed, tmp_path):
    _, real, _ = indexed
    assert real.index_figures["index"] == "IVF80,PQ16x4fs"
    other = opened(local, tmp_path / "other")
    fill(other)
    figures = other.optimize(budget_bytes=60)
    assert figures["index"] == "PCA8,IVF80,PQ8x4fs"
    query = unit(1, 5)
    assert len(other.search(query, 50, Filter())[0][0]) == 50


def test_an_index_takes_the_rows_that_it_lacks_without_being_trained_again(indexed, monkeypatch):
    _, real, _ = indexed
    more = unit(60, 77), columns(ROWS + 1, 60)
    segment = real.upsert(*more)
    real.show(
        Snapshot(
            generation=2,
            newest=ROWS + 60,
            segments=(*(s.part.segment for s in real._state.shown), segment),
            scenes=scenes(),
        )
    )
    monkeypatch.setattr(faiss_store, "build", pytest.fail)
    assert real.optimize()["rows"] == ROWS + 60
    assert real._state.index.up_to == ROWS + 60
    assert int(real.search(more[0][:1], 1, Filter())[0][0][0]) == ROWS + 1


def test_a_width_that_was_not_measured_good_enough_is_not_used(indexed):
    _, real, _ = indexed
    index = real._state.index
    assert index.width(1.0, 100) == index.widths[-1]
    assert index.width(0.5, 10).share == 0.1
    assert index.width(0.0001, 10) is None
    real._state = replace(real._state, index=replace(index, widths=()))
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(type(index), "visit", pytest.fail)
        assert len(real.search(unit(1, 1), 5, Filter())[0][0]) == 5


def test_rows_younger_than_the_index_are_found_at_once(indexed, monkeypatch):
    _, real, _ = indexed
    fresh = unit(3, 888)
    segment = real.upsert(fresh, columns(ROWS + 1, 3))
    shown = tuple(shown.part.segment for shown in real._state.shown)
    real.show(Snapshot(generation=2, newest=ROWS + 3, segments=(*shown, segment), scenes=scenes()))
    for n in range(3):
        assert int(real.search(fresh[n : n + 1], 1, Filter())[0][0][0]) == ROWS + 1 + n
    only_new = Filter(exclude=tuple(range(1, ROWS + 1)))
    monkeypatch.setattr(answering, "plan", lambda index, *_: index.widths[-1])
    assert sorted(real.search(fresh[:1], 10, only_new)[0][0].tolist()) == [ROWS + 1, ROWS + 2, ROWS + 3]


def test_a_saved_index_is_served_again_and_a_foreign_one_is_not(indexed):
    _, real, folder = indexed
    shown = Snapshot(
        generation=1, newest=ROWS, segments=tuple(p.part.segment for p in real._state.shown), scenes=scenes()
    )
    again = opened(local, folder)
    again.show(shown)
    assert again.stats()["index"] == real.stats()["index"] != {"index": "none"}
    other = opened(local, folder)
    other.show(Snapshot(generation=1, newest=ROWS // 2, segments=shown.segments[:2], scenes=scenes()))
    assert other.stats()["index"] == {"index": "none"}
    (folder / "index" / "ivf.faiss").write_bytes(b"garbage")
    broken = opened(local, folder)
    broken.show(shown)
    assert broken.stats()["index"] == {"index": "none"}
    assert len(broken.search(unit(1, 1), 10, Filter())[0][0]) == 10


def test_vectors_that_are_no_numbers_are_refused(store):
    for values in (np.full((2, DIM), np.nan, np.float32), unit(3, 1), np.ones((2, DIM + 1), np.float32)):
        with pytest.raises(ArchiveError, match="need finite values of shape"):
            store.upsert(values, columns(ROWS + 1, 2))


def test_a_similarity_is_the_cosine_of_every_tile_that_passes(store) -> None:
    queries = unit(3, 9)
    there = LonLatBox(west=0, south=0, east=60, north=60)
    for wanted in (Filter(), Filter(collections=("c1",)), Filter(boxes=(there,))):
        found = store.similarities(queries, wanted)
        selection = store.select(wanted)
        np.testing.assert_array_equal(found.selection.ids, selection.ids)
        np.testing.assert_allclose(found.scores, queries @ store.get(selection.ids.tolist()).T, atol=1e-6)
        every = np.concatenate([columns(1 + n * ROWS // 4, ROWS // 4).boxes for n in range(4)])
        np.testing.assert_array_equal(found.boxes, every[selection.ids - 1])
    assert store.similarities(queries, Filter(collections=("none",))).scores.shape == (3, 0)


def test_a_gpu_whose_memory_does_not_do_leaves_the_answer_to_the_cpu(tmp_path, monkeypatch, caplog):
    referee, real = ReferenceStore(context()), opened(partial(local, device=Device("cpu")), tmp_path)
    for made in (referee, real):
        fill(made)

    def full(*_):
        raise torch.OutOfMemoryError("no room for scores")

    query = unit(1, 5)
    with monkeypatch.context() as patch:
        patch.setattr(gpu_scan.GpuRows, "_propose", full)
        assert_agree(real.search(query, 7, Filter()), referee.search(query, 7, Filter()))
    assert "no room for scores" in caplog.text
    monkeypatch.setattr(torch, "from_numpy", full)
    real = opened(partial(local, device=Device("cpu")), tmp_path)
    fill(real)
    assert_agree(real.search(query, 7, Filter()), referee.search(query, 7, Filter()))
    assert "for the vectors" in caplog.text


def test_a_gpu_that_faiss_cannot_use_is_searched_by_torch(tmp_path, caplog):
    def fails(*_):
        raise RuntimeError("CUDA error 209")

    referee, real = ReferenceStore(context()), opened(partial(local, device=Device("cpu", fails)), tmp_path)
    for made in (referee, real):
        fill(made)
    for _ in range(2):
        assert_agree(real.search(unit(2, 5), 7, Filter()), referee.search(unit(2, 5), 7, Filter()))
    assert caplog.text.count("CUDA error 209") == 1


def test_vectors_that_do_not_fit_are_not_sent_to_a_gpu(monkeypatch):
    monkeypatch.setattr(gpu_faiss.faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10 << 30, 16 << 30))
    assert gpu_scan.device_for(1_000_000, 1152).name == "cuda"
    assert gpu_scan.device_for(10_000_000, 1152) is None
    monkeypatch.setattr(gpu_faiss.faiss, "get_num_gpus", lambda: 0, raising=False)
    assert gpu_scan.device_for(1, 1152) is None
