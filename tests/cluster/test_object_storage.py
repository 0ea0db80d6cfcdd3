"""An archive whose files are on S3 answers as one in a folder, on any machine, whatever happens to the server."""

import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import back_up, migrate_archive, repair, verify
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.attributes.filters import Filter
from bandsight.cli import app
from bandsight.errors import ArchiveError, EngineUnavailableError
from bandsight.imagery.map_tiles import map_ground
from bandsight.imagery.pyramids import Pyramids
from bandsight.objects.cached import CachedObjects
from bandsight.search.ranking import nearest
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.milvus import search as answering
from indexer.pipeline import index
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.archive.makers import MODEL, entry, filled, vectors
from tests.cluster.object_storage import KEYS, READER
from tests.cluster.unavailable import assert_unavailable
from tests.conftest import files_url, milvus_url, postgres_url
from tests.fakes import FakeEmbedder
from tests.imagery.makers import tile_at
from tests.search_api.conftest import scenes  # noqa: F401  (a fixture)

pytestmark = pytest.mark.cluster
SCENES, TILES = 40, 8


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def machine(folder: Path, files: str, **urls: str | None) -> Path:
    """Return the folder of one machine that has an archive's file."""
    write_config(
        folder / "archive.toml", ArchiveConfig(folder=folder, files=files, **{"catalog": None, "vectors": None, **urls})
    )
    return folder


def answers(archive, number=1, k=200, where=None, *, exact=True):
    hits = nearest(archive, vectors(number, 1, 7), k, where or Filter(), exact=exact)[0]
    return [(hit.tile.id, hit.score) for hit in hits]


@pytest.fixture
def cluster(s3_server, postgres_server):
    """What makes the folder of one more machine of one archive: catalog in PostgreSQL, files on S3."""
    urls = {"files": files_url(s3_server, keep_unnamed_s=0), "catalog": postgres_url(postgres_server)}

    def more(folder: Path, **other: str) -> Path:
        return machine(folder, **{**urls, **other})

    return more


def size_of(file: Path) -> int:
    """Return the bytes of a file, half written or whole; none once it has made room."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def store_of(folder: Path) -> CachedObjects:
    with Archive.open(folder) as archive:
        return archive.files


def test_another_machine_answers_from_the_same_files(cluster, tmp_path):
    with filled(tmp_path / "embedded", SCENES, TILES) as embedded:
        first, second = cluster(tmp_path / "one"), cluster(tmp_path / "two")
        with filled(first, SCENES, TILES) as writer, Archive.open(second) as reader:
            assert answers(reader) == answers(writer) == answers(embedded)
            assert not list((first / "vectors").iterdir())
            # Commits, removals and compactions are followed, and what another machine has swept is not missed.
            for archive in (embedded, writer):
                archive.add([entry(900, TILES)])
                archive.remove(["/scenes/3.tif"])
            assert answers(reader) == answers(embedded)
            writer.compact()
            shutil.rmtree(second / "cache")
            (second / "cache").mkdir()
            assert answers(reader) == answers(embedded)
            assert verify(reader, full=True) == []
            ids = [tile for tile, _ in answers(embedded)][:20]
            assert np.array_equal(reader.vectors(ids), embedded.vectors(ids))
        assert {path.stem for path in (second / "index").glob("seg-*")} == {
            Path(one.key).stem for one in store_of(second).objects.list("vectors/")
        }


def test_the_search_index_is_followed_by_other_machines(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "WORTH_IT", 100)
    first, second = cluster(tmp_path / "one"), cluster(tmp_path / "two")
    with filled(first, SCENES, TILES) as writer, Archive.open(second) as reader:
        assert reader.store.index_figures == {"index": "none"}
        figures = writer.optimize()
        reader.refresh()
        assert reader.store.index_figures["index"] == figures["index"] != "none"
        assert answers(reader, exact=False, k=10) == answers(writer, exact=False, k=10)
        # A damaged copy is got again, from the storage.
        (second / "index" / "ivf.lists").write_bytes(b"?")
    assert any("copied again" in line for line in repair(second))
    with Archive.open(second) as reader:
        assert verify(reader, full=True) == []
        assert reader.store.index_figures["index"] != "none"


def test_milvus_is_made_again_from_files_on_s3(cluster, milvus_server, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "WORTH_IT", 100)
    monkeypatch.setattr(answering, "FEW", 0)
    vectors_at = milvus_url(milvus_server)
    first, second = cluster(tmp_path / "one", vectors=vectors_at), cluster(tmp_path / "two", vectors=vectors_at)
    with filled(first, SCENES, TILES) as writer, Archive.open(second) as reader:
        writer.optimize()
        reader.refresh()
        expected = answers(writer)
        assert answers(reader, k=50, exact=False) == expected[:50]
        collection = reader.store.index_figures
        assert collection["index"] == "Milvus HNSW16"
        reader.store._milvus.drop(reader.store._facts.collection)
        assert any("is gone" in problem for problem in verify(reader))
        # Until it is rebuilt, searches scan the tiles.
        assert answers(reader, k=50, exact=False) == expected[:50]
    assert any("was not whole, dropped" in line for line in repair(second))
    with ArchiveWriter.open(second) as writer, Archive.open(first) as reader:
        writer.optimize()
        reader.refresh()
        assert verify(reader, full=True) == []
        assert answers(reader, k=50, exact=False) == expected[:50]


def test_the_cache_keeps_its_limit_and_answers_stay_the_same(s3_server, postgres_server, tmp_path):
    urls = {"catalog": postgres_url(postgres_server)}
    whole = files_url(s3_server, prefix="limited", keep_unnamed_s=0)
    with filled(machine(tmp_path / "one", whole, **urls), SCENES, TILES) as writer:
        expected = [answers(writer, number) for number in range(5)]
        stored = sum(one.size for one in writer.files.objects.list("vectors/") if one.key.endswith(".bsv"))
    limit = stored // 3
    small = files_url(s3_server, prefix="limited", cache_gb=limit / 1e9)
    sizes = []
    with Archive.open(machine(tmp_path / "two", small, **urls)) as reader:
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                sizes.append(sum(map(size_of, (tmp_path / "two" / "cache").iterdir())))
                time.sleep(0.001)

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert [answers(reader, number) for number in range(5)] == expected
        over.set()
        watcher.join()
        assert 0 < max(sizes) <= limit
        assert reader.files.cache.size_bytes <= limit
        # Some rows of a file that is not here are read by ranges, which fills no cache.
        shutil.rmtree(tmp_path / "two" / "cache")
        (tmp_path / "two" / "cache").mkdir()
        tile = expected[0][0][0]
        with Archive.open(tmp_path / "one") as other:
            assert np.array_equal(reader.vectors([tile]), other.vectors([tile]))


def test_an_archive_moves_to_s3_and_back_and_to_another_prefix(cluster, s3_server, postgres_server, tmp_path):
    with filled(tmp_path / "a", SCENES, TILES) as embedded:
        embedded.remove(["/scenes/5.tif"])
        expected = answers(embedded)
    target = cluster(tmp_path / "b")
    counts = migrate_archive(tmp_path / "a", target)
    assert counts["tiles"] == counts["vectors"] == (SCENES - 1) * TILES
    other = machine(tmp_path / "c", files_url(s3_server), catalog=postgres_url(postgres_server))
    migrate_archive(target, other)
    migrate_archive(other, tmp_path / "d")
    for place in (target, other, tmp_path / "d"):
        with Archive.open(place) as archive:
            assert answers(archive) == expected
            assert verify(archive, full=True) == []
    with Archive.open(target) as archive:
        back_up(archive, tmp_path / "backup")
    with Archive.open(tmp_path / "backup") as archive:
        assert answers(archive) == expected
    same = machine(tmp_path / "e", store_url(target), catalog=postgres_url(postgres_server))
    with pytest.raises(ArchiveError, match="the same place as the source's"):
        migrate_archive(target, same)


def store_url(folder: Path) -> str:
    return next(
        json.loads(line.partition("=")[2])
        for line in (folder / "archive.toml").read_text().splitlines()
        if line.startswith("files")
    )


def test_a_stopped_move_goes_on_and_damage_on_s3_is_found_and_repaired(cluster, tmp_path, monkeypatch):
    filled(tmp_path / "a", 10).close()
    target, seen = cluster(tmp_path / "b"), []

    def stop(*_: object) -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate_archive(tmp_path / "a", target, progress=stop)
    with pytest.raises(ArchiveError, match="the copy is incomplete; run the same `bandsight migrate-archive` again"):
        Archive.open(target)
    assert migrate_archive(tmp_path / "a", target)["tiles"] == 40
    files = store_of(target)
    key = next(one.key for one in files.objects.list("vectors/") if one.key.endswith(".bsv"))
    data = bytearray(files.objects.get(key))
    data[-1] ^= 1
    files.objects.put(key, bytes(data))
    with Archive.open(target) as archive:
        assert any("do not match their checksum; run: bandsight repair" in line for line in verify(archive, full=True))
        with pytest.raises(ArchiveError, match="does not match its checksum; run: bandsight repair"):
            answers(archive)
    assert any(line.startswith("lost: /scenes/") for line in repair(target))
    with Archive.open(target) as archive:
        assert verify(archive, full=True) == []
        assert archive.stats()["tiles"] == 36


def test_a_server_killed_while_an_archive_is_written_loses_and_doubles_nothing(cluster, s3_server, tmp_path):
    folder = cluster(tmp_path / "a")
    with ArchiveWriter.create(folder, MODEL) as writer, Archive.open(cluster(tmp_path / "b")) as reader:
        refused, kept = [], 0
        for round_ in range(2):
            killer = threading.Timer(0.3, s3_server.kill)
            killer.start()
            number = 100 * round_
            while len(refused) == round_:
                try:
                    writer.add([entry(number, TILES)])
                    number, kept = number + 1, kept + 1
                except EngineUnavailableError as error:
                    refused.append(str(error))
            killer.join()
            assert "the storage does not respond at http://127.0.0.1" in refused[-1]
            assert "secret" not in refused[-1]
            s3_server.run()
            # The same batch again, and one that was committed: neither is doubled.
            writer.add([entry(number, TILES)])
            kept += 1
            writer.add([entry(number, TILES)])
        assert len(refused) == 2
        assert reader.stats()["tiles"] == kept * TILES
        assert verify(reader, full=True) == []
    with ArchiveWriter.open(folder) as writer:
        named = {path.stem for path in (folder / "index").glob("seg-*")}
        assert {Path(one.key).stem for one in writer.files.objects.list("vectors/")} == named
        assert verify(writer, full=True) == []


@pytest.fixture
def served(cluster, scenes, tmp_path):  # noqa: F811
    """An app on one machine, of an archive that another one has made."""
    model = FakeEmbedder()
    identity = MODEL.__class__(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(cluster(tmp_path / "writer"), identity) as writer:
        assert index([scenes], archive=writer, model=model).tiles == 12
    place = cluster(tmp_path / "api")
    with Archive.open(place) as archive:
        made = create_app(ApiSettings(archive=place), Service(ApiSettings(archive=place), archive, model))
        with TestClient(made, raise_server_exceptions=False) as client:
            yield client, archive


def test_pictures_for_the_map_are_on_s3_too(served, tmp_path):
    _, archive = served
    writer, here = Pyramids(tmp_path / "writer"), Pyramids(archive.path, archive.files)
    seen = 0
    for scene in archive.scenes():
        assert not writer.has(scene.key)
        if not here.has(scene.key):
            continue
        box = scene.boxes[0]
        target = map_ground(*tile_at((box.west + box.east) / 2, (box.south + box.north) / 2, 10), 256)
        ready = here.tile(scene, target)
        assert ready is not None
        assert archive.files.cache.has(here.path(scene.key).name)
        writer.save(scene.key, archive.files.objects.get(f"pyramids/{here.path(scene.key).name}"))
        np.testing.assert_array_equal(ready.rgb, writer.tile(scene, target).rgb)
        seen += 1
    assert seen >= 2
    assert here.remove_others([]) == seen


def test_the_api_answers_503_while_it_needs_the_storage_and_again_when_it_is_back(served, s3_server):
    client, archive = served
    expected = client.get("/search?q=water").json()["features"]
    assert client.get("/readyz").status_code == 200
    s3_server.kill()
    try:
        # Cached files do not need the server.
        assert client.get("/search?q=water").json()["features"] == expected
        for path in (archive.path / "cache").iterdir():
            path.unlink()
        assert_unavailable(client, ("/readyz", "/search?q=water"), "files s3://bandsight/")
    finally:
        s3_server.run()
    assert client.get("/readyz").status_code == 200
    assert client.get("/search?q=water").json()["features"] == expected


def test_files_that_no_commit_names_are_swept_once_they_are_old(s3_server, tmp_path):
    folder = machine(tmp_path / "a", files_url(s3_server, prefix="sweep"))
    filled(folder, 4).close()
    files = store_of(folder)
    files.objects.put("vectors/seg-000000000099-000000000000.bsv", b"of a writer that died")
    ArchiveWriter.open(folder).close()
    assert files.objects.exists("vectors/seg-000000000099-000000000000.bsv"), "it may be about to be named"
    (folder / "archive.toml").unlink()
    ArchiveWriter.open(machine(folder, files_url(s3_server, prefix="sweep", keep_unnamed_s=0))).close()
    assert not files.objects.exists("vectors/seg-000000000099-000000000000.bsv")
    with Archive.open(folder) as archive:
        assert verify(archive, full=True) == []


def test_init_makes_what_its_options_or_a_file_name(s3_server, postgres_server, tmp_path):
    def init(where: Path, *options: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["init", "--archive", str(where), *options])
        return done.exit_code, str(done.exception or "") + done.output

    files, catalog = files_url(s3_server), postgres_url(postgres_server)
    code, said = init(tmp_path / "a", "--catalog", catalog, "--files", files)
    assert code == 0, said
    with ArchiveWriter.open(tmp_path / "a") as archive:
        assert str(archive.files) == files.partition("?")[0]
    # On another machine, the file comes first, as in docker/cluster.yaml.
    named = tmp_path / "config" / "archive.toml"
    config = ArchiveConfig(folder=tmp_path / "b", catalog=postgres_url(postgres_server), files=files_url(s3_server))
    write_config(named, config)
    assert init(named, "--files", files)[0] == 1
    code, said = init(named)
    assert (code, said) == (0, f"{named}: created\n")
    assert "there is already an archive here" in init(named)[1]
    with ArchiveWriter.open(named) as archive:
        assert archive.stats()["tiles"] == 0
    again = tmp_path / "again.toml"
    write_config(again, ArchiveConfig(folder=tmp_path / "c", catalog=postgres_url(postgres_server), files=config.files))
    assert "there is an archive under this prefix already" in init(again)[1]


def test_what_cannot_work_is_refused_at_the_start_with_the_way_out(s3_server, postgres_server, tmp_path, monkeypatch):
    folder = machine(tmp_path / "a", files_url(s3_server, prefix="first"))
    filled(folder, 2).close()

    def refused(
        number: int, files: str, words: str, act=lambda where: ArchiveWriter.create(where, MODEL), **urls: str
    ) -> None:
        where = machine(tmp_path / f"no-{number}", files, **urls)
        with pytest.raises((ArchiveError, EngineUnavailableError), match=words) as caught:
            act(where)
        assert "files" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert not (where / "catalog.sqlite").exists()

    refused(1, files_url(s3_server, prefix="first"), "there is an archive under this prefix already")
    refused(2, files_url(s3_server, bucket="nobody"), "there is no such bucket; create it")
    refused(3, files_url(s3_server).replace(str(s3_server.port), "1"), "does not respond at http://127.0.0.1:1")
    refused(4, files_url(s3_server, speed=3), "unknown parameters speed; allowed are endpoint")
    refused(5, files_url(s3_server, cache_gb=0), "cache_gb=0: need more than 0")
    refused(6, files_url(s3_server, cache_gb="much"), "cache_gb=much: need a number")
    refused(7, "gs://bucket/a", "no engine for the files of an archive has the scheme gs; supported: s3")
    refused(8, "s3://key:word@bucket/a", "the credentials in AWS_ACCESS_KEY_ID")
    refused(9, files_url(s3_server, endpoint="storage:9000"), "need https://HOST or http://HOST:PORT")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        refused(
            10, files_url(s3_server), "rejects the credentials .*; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
        with pytest.raises(ArchiveError, match="rejects the credentials"):
            Archive.open(folder)
    with monkeypatch.context() as patch:
        for name, value in READER.items():
            patch.setenv(name, value)
        refused(11, files_url(s3_server), "these credentials may not write here")
        with Archive.open(folder) as archive:
            assert len(answers(archive)) == 8, "reading needs no more"
        with pytest.raises(ArchiveError, match="these credentials may not write here"):
            ArchiveWriter.open(folder)
    # A catalog with the files of another archive, and with none.
    other = machine(tmp_path / "b", files_url(s3_server, prefix="second"))
    filled(other, 2).close()
    for prefix, words in (("first", "the files of another archive"), ("third", "no archive's files are here")):
        (other / "archive.toml").unlink()
        machine(other, files_url(s3_server, prefix=prefix))
        for opening in (Archive.open, ArchiveWriter.open, repair):
            with pytest.raises(ArchiveError, match=words):
                opening(other)
    # A folder that has files of its own.
    filled(tmp_path / "c", 2).close()
    machine(tmp_path / "c", files_url(s3_server))
    with pytest.raises(ArchiveError, match="configures files elsewhere, but"):
        Archive.open(tmp_path / "c")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "archive.toml").write_text('folder = "s3://bucket/a"\n')
    with pytest.raises(ArchiveError, match="need a local folder; set the URL as files"):
        Archive.open(tmp_path / "d")
