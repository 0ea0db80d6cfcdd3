"""One archive on PostgreSQL and Milvus answers as the same archive in a folder, and can be moved there and back."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import migrate_archive, verify
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.attributes.filters import Filter
from bandsight.catalog.sql import transfer
from bandsight.cli import app
from bandsight.errors import ArchiveError, ModelChangedError
from bandsight.search.ranking import nearest
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.milvus import search as answering
from indexer.pipeline import index
from indexer.ray_cluster import RayOptions
from indexer.ray_executor import RayExecutor
from indexer.ray_worker import WorkerSetup
from indexer.reindex import reindex
from search_api.app import create_app
from search_api.overview import tiles_per_scene
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.archive.makers import MODEL, entry, filled, polar, vectors
from tests.archive.test_filters import FILTERS
from tests.cluster.ray_jobs import CPUS, OtherEmbedder
from tests.cluster.unavailable import assert_unavailable
from tests.conftest import milvus_url, postgres_url
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
from tests.indexer.test_executor import scenes_in
from tests.search_api.conftest import scenes  # noqa: F401  (a fixture)

pytestmark = pytest.mark.cluster
SCENES, TILES = 150, 8


@pytest.fixture(scope="module", autouse=True)
def small():
    """Milvus is asked however few tiles there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "WORTH_IT", 100)
        patch.setattr(answering, "FEW", 0)
        yield


def on_engines(folder, postgres_server, milvus_server, database="postgis"):
    """Return a folder whose file names engines that hold nothing yet."""
    config = ArchiveConfig(
        folder=folder,
        catalog=postgres_url(postgres_server, database),
        vectors=f"{milvus_url(milvus_server)}?timeout_s=3",
    )
    write_config(folder / "archive.toml", config)
    return folder


@pytest.fixture(scope="module")
def pair(small, postgres_server, milvus_server, tmp_path_factory):
    """The same archive in a folder and on engines."""
    folder = tmp_path_factory.mktemp("pair")
    with filled(folder / "embedded", SCENES, TILES) as archive:
        archive.add([polar(900, north=True), polar(901, north=False)])
        archive.add([entry(3, TILES, version=2)])
        archive.remove(["/scenes/5.tif"])
    target = on_engines(folder / "cluster", postgres_server, milvus_server)
    counts = migrate_archive(folder / "embedded", target)
    assert counts["tiles"] == counts["vectors"] == (SCENES - 1) * TILES + 2
    with ArchiveWriter.open(target) as cluster:
        figures = cluster.optimize(vectors(5, 40))
        assert figures["index"] == "Milvus HNSW16"
    with Archive.open(folder / "embedded") as embedded, Archive.open(target) as cluster:
        yield embedded, cluster


def answers(archive, query, k, wanted, *, exact):
    hits = nearest(archive, query, k, wanted, exact=exact)[0]
    return [(hit.tile.id, hit.score) for hit in hits], hits


@seed(26)
@given(FILTERS, st.integers(1, 200), st.integers(0, 50))
@settings(
    max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_500_random_queries_with_filters_have_the_same_answers(pair, wanted, k, number):
    embedded, cluster = pair
    query = vectors(number, 1, 7)
    expected, hits = answers(embedded, query, k, wanted, exact=True)
    found, others = answers(cluster, query, k, wanted, exact=True)
    assert found == expected
    assert [(hit.tile, hit.scene) for hit in others] == [(hit.tile, hit.scene) for hit in hits]
    through_milvus, _ = answers(cluster, query, k, wanted, exact=False)
    assert len(through_milvus) == len(expected)
    RECALL.append(len(set(through_milvus) & set(expected)) / len(expected) if expected else 1.0)


RECALL: list[float] = []


def test_through_milvus_those_answers_reach_the_target(pair):
    assert len(RECALL) >= 500
    assert np.mean(RECALL) >= 0.99


def test_both_are_whole_and_count_alike(pair):
    embedded, cluster = pair
    assert verify(cluster, full=True) == []
    mine, theirs = embedded.stats(), cluster.stats()
    for name in ("scenes", "tiles", "failed_scenes", "collections", "vectors", "model_digest"):
        assert mine[name] == theirs[name], name
    assert tiles_per_scene(embedded) == tiles_per_scene(cluster)
    assert embedded.changes(-1).added == cluster.changes(-1).added


def test_a_migration_that_was_stopped_goes_on_and_one_that_differs_is_refused(
    postgres_server, milvus_server, tmp_path, monkeypatch
):
    filled(tmp_path / "a", 10).close()
    target = on_engines(tmp_path / "b", postgres_server, milvus_server, "plain")
    monkeypatch.setattr(transfer, "ROWS", 7)
    seen = []

    def stop(table, rows):
        seen.append((table, rows))
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate_archive(tmp_path / "a", target, progress=stop)
    with pytest.raises(ArchiveError, match="the copy is incomplete; run the same `bandsight migrate-archive` again"):
        Archive.open(target)
    again = []
    assert migrate_archive(tmp_path / "a", target, progress=lambda *part: again.append(part))["tiles"] == 40
    moved = sum(rows for table, rows in [*seen, *again] if table == "tiles")
    assert moved == 40
    with pytest.raises(ArchiveError, match="there is already an archive here"):
        migrate_archive(tmp_path / "a", target)
    # And back, into a folder that is as the first one was.
    migrate_archive(target, tmp_path / "c")
    with Archive.open(tmp_path / "a") as first, ArchiveWriter.open(tmp_path / "c") as last:
        assert first.scenes() == last.scenes()
        assert (
            answers(first, vectors(1, 1), 99, Filter(), exact=True)[0]
            == (answers(last, vectors(1, 1), 99, Filter(), exact=True)[0])
        )
        assert verify(last, full=True) == []
        last.add([entry(77)])


def test_init_makes_what_is_needed_and_refuses_what_cannot_work(postgres_server, milvus_server, tmp_path):
    catalog, vectors_at = postgres_url(postgres_server), milvus_url(milvus_server)

    def init(folder, *options):
        done = CliRunner().invoke(app, ["init", "--archive", str(tmp_path / folder), *options])
        return done.exit_code, str(done.exception or "") + done.output

    code, said = init("a", "--catalog", catalog, "--vectors", vectors_at)
    assert code == 0, said
    with ArchiveWriter.open(tmp_path / "a") as archive:
        assert archive.database.url.startswith("postgresql+psycopg://bandsight:***@127.0.0.1")
        assert archive.stats()["tiles"] == 0
        assert "secret" not in json.dumps(archive.stats(), default=str)
    for name, options, words in (
        ("a", (), "there is already an archive here"),
        ("b", ("--catalog", catalog), "there is already an archive here; name another schema"),
        ("c", ("--catalog", postgres_url(postgres_server), "--vectors", "milvus://127.0.0.1:1/default/a"), "Milvus"),
        ("d", ("--catalog", "mysql://h/a"), "no engine for the catalog"),
        ("e", ("--catalog", "postgresql+psycopg://h"), "need postgresql+psycopg://USER@HOST:PORT/DATABASE"),
    ):
        code, said = init(name, *options)
        assert code != 0
        assert words in said, said
        assert "secret" not in said
        assert name == "a" or not (tmp_path / name / "archive.toml").exists()


def test_two_archives_do_not_share_a_name_in_milvus(postgres_server, milvus_server, tmp_path):
    first = on_engines(tmp_path / "a", postgres_server, milvus_server, "plain")
    with filled(first, 30, TILES) as writer:
        writer.optimize()
        expected = answers(writer, vectors(1, 1), 20, Filter(), exact=False)[0]
        url = next(line for line in (first / "archive.toml").read_text().splitlines() if line.startswith("vectors"))
        taken = json.loads(url.partition("=")[2])
        config = ArchiveConfig(folder=tmp_path / "b", catalog=postgres_url(postgres_server), vectors=taken)
        write_config(tmp_path / "b" / "archive.toml", config)
        with pytest.raises(
            ArchiveError, match=r"^vectors .*another archive has its index under this name; set vectors"
        ):
            ArchiveWriter.create(tmp_path / "b", MODEL)
        options = ["--catalog", postgres_url(postgres_server), "--vectors", taken]
        done = CliRunner().invoke(app, ["init", "--archive", str(tmp_path / "c"), *options])
        assert "an archive has its index under this name; choose another name" in str(done.exception)
        assert answers(writer, vectors(1, 1), 20, Filter(), exact=False)[0] == expected


def test_a_catalog_of_a_newer_version_is_refused_with_its_setting(postgres_server, milvus_server, tmp_path):
    target = on_engines(tmp_path / "a", postgres_server, milvus_server, "plain")
    with ArchiveWriter.create(target, MODEL) as writer, writer.database.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        ArchiveError, match=r"^catalog postgresql\S+: its schema 9999 is newer than .* update Bandsight"
    ):
        Archive.open(target)


def test_a_new_model_s_collection_is_complete_before_it_takes_the_place_of_the_old_one(
    postgres_server, milvus_server, ray_cluster, tmp_path, monkeypatch
):
    """Scenes are read and embedded by Ray, into an archive with catalog and index on servers."""
    monkeypatch.setattr(building, "WORTH_IT", 20)
    target = on_engines(tmp_path / "a", postgres_server, milvus_server, "plain")
    old, new = FakeEmbedder(), OtherEmbedder()
    with ArchiveWriter.create(target, identity(old)) as writer, Archive.open(target) as reader:
        index([scenes_in(tmp_path / "in")], archive=writer, model=old)
        assert writer.optimize()["index"] == "Milvus HNSW16"
        reader.refresh()
        setup = WorkerSetup(load=OtherEmbedder, digest=new.digest, workers=0, readers=1, isolate=False)
        executor = RayExecutor(setup, RayOptions(address=ray_cluster.address, workers=2, cpus=CPUS))
        summary, swapped = reindex(writer, new, drop_failed=True, executor=executor)
        assert swapped, summary.text()
        assert writer.store.index_figures["index"] == "Milvus HNSW16"
        assert writer.store.index_figures["rows"] == writer.stats()["tiles"] > 20
        assert verify(writer, full=True) == []
        with pytest.raises(ModelChangedError):
            reader.refresh()
        reader.reopen()
        query = new.embed_texts(["x"])
        assert (
            answers(reader, query, 20, Filter(), exact=False)[0] == answers(reader, query, 20, Filter(), exact=True)[0]
        )
        place = writer.store._milvus.place.name
        assert [name for name in writer.store._milvus.names() if name.startswith(f"{place}_")] == [
            writer.store._facts.collection
        ]


def test_two_replicas_page_through_one_search_while_scenes_come(postgres_server, milvus_server, tmp_path):
    target = on_engines(tmp_path / "a", postgres_server, milvus_server, "plain")
    with ArchiveWriter.create(target, MODEL) as writer:
        writer.add([entry(number, TILES) for number in range(30)])
        writer.optimize()
        with Archive.open(target) as first, Archive.open(target) as second, ThreadPoolExecutor() as pool:
            adding = pool.submit(lambda: [writer.add([entry(100 + n, TILES)]) for n in range(15)])
            there = Filter(up_to=30 * TILES)
            whole, _ = answers(first, vectors(1, 1), 240, there, exact=False)
            for replica in [second, first] * 5:
                assert answers(replica, vectors(1, 1), 240, there, exact=False)[0] == whole
            adding.result()
        assert len({tile for tile, _ in whole}) == 240


@pytest.fixture
def served(postgres_server, milvus_server, scenes, tmp_path):  # noqa: F811
    """An app on engines of its own, and the same scenes in a folder."""
    model = FakeEmbedder()
    identity = MODEL.__class__(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    target = on_engines(tmp_path / "a", postgres_server, milvus_server)
    with ExitStack() as stack:
        clients = []
        for place in (target, tmp_path / "b"):
            with ArchiveWriter.create(place, identity) as archive:
                assert index([scenes], archive=archive, model=model).tiles == 12
            opened = stack.enter_context(Archive.open(place))
            made = create_app(ApiSettings(archive=place), Service(ApiSettings(archive=place), opened, model))
            clients.append(stack.enter_context(TestClient(made, raise_server_exceptions=False)))
        yield clients


def without_links(value):
    if isinstance(value, dict):
        return {key: without_links(one) for key, one in value.items() if key not in {"links", "href"}}
    return [without_links(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "path",
    [
        "/search?q=water&limit=12",
        "/search?q=water&bbox=10,50,15,55",
        "/search?q=a&datetime=2020-01-01T00:00:00Z/2020-12-31T00:00:00Z",
        "/collections",
        "/search?limit=12",
    ],
)
def test_the_api_answers_byte_for_byte_as_on_a_folder(served, path):
    cluster, embedded = (client.get(path) for client in served)
    assert cluster.status_code == embedded.status_code == 200
    assert json.dumps(without_links(cluster.json())) == json.dumps(without_links(embedded.json()))


def test_an_engine_that_is_away_is_503_until_it_is_back(served, postgres_server):
    client, _ = served
    assert client.get("/readyz").status_code == 200
    postgres_server.kill()
    try:
        assert_unavailable(client, ("/readyz", "/search?q=water", "/collections"), "PostgreSQL is unreachable")
    finally:
        postgres_server.run()
    assert client.get("/readyz").status_code == 200
    assert len(client.get("/search?q=water").json()["features"]) > 0


def test_readiness_asks_milvus_too(served, milvus_server):
    client, _ = served
    milvus_server.pause()
    try:
        assert_unavailable(client, ("/readyz",), "Milvus does not answer")
        # Few tiles are scanned, which needs no Milvus.
        assert client.get("/search?q=water").status_code == 200
    finally:
        milvus_server.go_on()
    assert client.get("/readyz").status_code == 200
