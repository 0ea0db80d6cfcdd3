"""Archives are opened by path or URL, with any registered engines."""

import threading

import pytest

from bandsight.archive import Archive, ArchiveWriter, Engines, Location, archive_exists, check_archive
from bandsight.archive.admin import back_up, create_beside, repair, swap_in, verify
from bandsight.attributes.filters import Filter
from bandsight.catalog.sqlite import catalog_url
from bandsight.errors import ArchiveError, ModelChangedError, NotFoundError, SettingsError
from bandsight.search.ranking import nearest
from bandsight.vectors.reference_store import ReferenceEngine, ReferenceStore
from tests.archive.makers import MODEL, entry, filled, vectors


@pytest.mark.parametrize("name", ["a", "with space", "50% ü?#&"])
def test_a_path_and_its_urls_are_the_same_archive(tmp_path, name):
    folder = tmp_path / name
    filled(folder, 2).close()
    for where in (folder, str(folder), folder.as_uri(), catalog_url(folder)):
        with Archive.open(where) as archive:
            assert archive.path == folder
            assert archive.tile_count == 8
    with ArchiveWriter.open(folder.as_uri()) as archive:
        archive.add([entry(5)])
    assert archive_exists(folder.as_uri())
    assert not archive_exists((tmp_path / "other").as_uri())


def test_a_relative_path_is_a_folder_here(tmp_path, monkeypatch):
    filled(tmp_path / "a", 1).close()
    monkeypatch.chdir(tmp_path)
    for where in ("a", "./a", "sqlite:///a/catalog.sqlite"):
        with Archive.open(where) as archive:
            assert archive.tile_count == 4


@pytest.mark.parametrize("url", ["milvus://host:19530/a", "postgresql+psycopg://host/a", "s3://bucket/a", "http://x/a"])
def test_an_unknown_scheme_is_an_error_with_advice(url):
    for call in (Archive.open, ArchiveWriter.open, archive_exists, check_archive):
        with pytest.raises(ArchiveError) as failed:
            call(url)
        assert url in str(failed.value)
        assert "pass a folder, file:///FOLDER, sqlite:////FOLDER/catalog.sqlite" in str(failed.value)


def test_an_engine_that_is_not_registered_is_named_with_those_that_are(tmp_path):
    where = Location(catalog=catalog_url(tmp_path), vectors="faraway://host/a", folder=tmp_path)
    with pytest.raises(ArchiveError, match=r"no engine for the vectors .* the scheme faraway; supported: file, milvus"):
        ArchiveWriter.create(where, MODEL)
    assert not archive_exists(tmp_path)
    where = Location(catalog="mysql://host/a", vectors=tmp_path.as_uri(), folder=tmp_path)
    with pytest.raises(ArchiveError, match=r"no engine .* catalog .* scheme mysql; supported: sqlite, postgresql"):
        Archive.open(where)


def in_memory(folder) -> Location:
    return Location(catalog=catalog_url(folder), vectors=f"memory://{folder}", folder=folder)


def answers(archive) -> list[tuple[str, int, float]]:
    hits = nearest(archive, vectors(1, 1), 1000)[0]
    return [(hit.scene.href, hit.tile.id, hit.score) for hit in hits]


def test_an_archive_runs_on_another_vector_engine_from_end_to_end(tmp_path):
    engines = Engines(vectors={"memory": ReferenceEngine().open})
    where = in_memory(tmp_path / "a")
    with ArchiveWriter.create(where, MODEL, engines) as archive, filled(tmp_path / "local", 6) as local:
        for first in (0, 2, 4):
            archive.add([entry(first), entry(first + 1)])
        assert isinstance(archive.store, ReferenceStore)
        assert answers(archive) == answers(local)
        for one in (archive, local):
            one.add_in_parts(
                entry(7, 6)[0], [(entry(7, 6)[1][n : n + 2], entry(7, 6)[2][n : n + 2]) for n in (0, 2, 4)]
            )
            one.add([entry(1, version=3)])
            one.remove(["/scenes/4.tif"])
        assert answers(archive) == answers(local)
        assert archive.stats()["deleted_vectors"] == local.stats()["deleted_vectors"] == 8
        with Archive.open(where, engines) as reader:
            assert answers(reader) == answers(local)
            assert archive.compact()["deleted_vectors_after"] == 0
            assert answers(reader) == answers(local)
        assert archive.optimize()["index"] == "none"
        assert archive.count(Filter(sensors=("one",))) == local.count(Filter(sensors=("one",)))
        assert verify(archive, full=True) == []
        back_up(archive, tmp_path / "copy")
    with Archive.open(where, engines) as archive, Archive.open(in_memory(tmp_path / "copy"), engines) as copy:
        assert answers(archive) == answers(copy) != []
        assert verify(copy, full=True) == []
    with pytest.raises(ArchiveError, match="no engine for the vectors"):
        Archive.open(where)


def test_another_engine_is_repaired_and_swapped_like_the_local_one(tmp_path):
    engine = ReferenceEngine()
    engines, where = Engines(vectors={"memory": engine.open}), in_memory(tmp_path / "a")
    with ArchiveWriter.create(where, MODEL, engines) as archive:
        archive.add([entry(0)])
        archive.add([entry(1)])
        archive.refresh()
        lost = archive.store.living()[0][0].name
    ids, rows = engine.kept[where.vectors][lost]
    engine.kept[where.vectors][lost] = (ids, -rows)
    with Archive.open(where, engines) as archive:
        assert any("do not match their checksum" in problem for problem in verify(archive, full=True))
    assert any("lost: /scenes/0.tif" in line for line in repair(where, engines))
    other = MODEL.__class__(name="other", digest="0" * 64, dim=MODEL.dim, license="x")
    with ArchiveWriter.open(where, engines) as archive, Archive.open(where, engines) as reader:
        assert verify(archive, full=True) == []
        assert {href for href, _, _ in answers(archive)} == {"/scenes/1.tif"}
        with create_beside(archive, in_memory(tmp_path / "b"), other, engines) as beside:
            beside.add([entry(8), entry(9)])
            swap_in(archive, beside)
        assert len(answers(archive)) == 8
        assert verify(archive, full=True) == []
        with pytest.raises(ModelChangedError):
            answers(reader)
        reader.reopen()
        assert answers(reader) == answers(archive)
        with pytest.raises(NotFoundError):
            archive.remove(["/scenes/1.tif"])


def test_a_writer_waits_for_another_up_to_its_time_limit(tmp_path, monkeypatch):
    first = filled(tmp_path / "a", 2)
    monkeypatch.setenv("BANDSIGHT_LOCK_WAIT_S", "60")
    begun = threading.Event()

    def write() -> None:
        begun.set()
        ArchiveWriter.open(tmp_path / "a").close()

    second = threading.Thread(target=write)
    second.start()
    begun.wait()
    first.close()
    second.join(60)
    assert not second.is_alive()
    monkeypatch.setenv("BANDSIGHT_LOCK_WAIT_S", "soon")
    with pytest.raises(SettingsError, match="BANDSIGHT_LOCK_WAIT_S: found 'soon'; need a number of seconds"):
        ArchiveWriter.open(tmp_path / "a")
