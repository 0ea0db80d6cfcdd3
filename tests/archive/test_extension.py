"""An index follows what is added, beside commits and searches."""

import threading

import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive import index_updater as extension
from bandsight.archive.admin import verify
from bandsight.errors import ArchiveError
from bandsight.search.ranking import nearest
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local import search as answering
from bandsight.vectors.local import store as faiss_store
from bandsight.vectors.local.store import LocalVectorStore
from tests.archive.makers import entry, filled, vectors
from tests.vectors.planning import always_by_index


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "WORTH_IT", 10)
    monkeypatch.setattr(extension, "_MANY", 1)
    monkeypatch.setattr(extension, "_SHARE", 0.0)
    monkeypatch.setattr(answering, "plan", always_by_index)
    with filled(tmp_path / "a", 4) as archive:
        archive.optimize()
    return tmp_path / "a"


def test_new_tiles_are_in_the_index_once_the_writer_is_done_and_open_readers_follow(path):
    with Archive.open(path) as reader:
        assert reader.store.index_figures["up_to_tile"] == 16
        with ArchiveWriter.open(path) as writer:
            writer.add([entry(10), entry(11)])
        assert len(nearest(reader, vectors(10, 1), 99)[0]) == 24
        assert reader.store.index_figures["up_to_tile"] == 24
        assert reader.store.index_figures["rows"] == 24
        assert verify(reader, full=True) == []


def test_commits_and_searches_continue_while_the_index_is_extended(path, monkeypatch):
    held, real = threading.Event(), LocalVectorStore.extend

    def slow(store):
        assert held.wait(30)
        return real(store)

    monkeypatch.setattr(LocalVectorStore, "extend", slow)
    with ArchiveWriter.open(path) as writer:
        writer.add([entry(10)])
        writer.add([entry(11)])
        assert len(nearest(writer, vectors(10, 1), 99)[0]) == 24
        assert nearest(writer, vectors(11, 1), 1)[0][0].scene.name == "11.tif"
        assert writer.store.index_figures["up_to_tile"] == 16
        held.set()
    with Archive.open(path) as reader:
        assert reader.store.index_figures["up_to_tile"] == 24


def test_an_index_that_cannot_be_written_is_a_warning_and_results_stay_correct(path, monkeypatch, caplog):
    def fails(*_):
        raise ArchiveError("index/ivf.faiss: no space")

    monkeypatch.setattr(faiss_store, "save_index", fails)
    with ArchiveWriter.open(path) as writer:
        writer.add([entry(10)])
    assert "no space" in caplog.text
    with Archive.open(path) as reader:
        assert nearest(reader, vectors(10, 1), 1)[0][0].scene.name == "10.tif"
        assert reader.store.index_figures["up_to_tile"] == 16


def test_a_few_new_tiles_are_scanned_and_do_not_rewrite_the_index(path, monkeypatch):
    monkeypatch.setattr(extension, "_MANY", 100)
    monkeypatch.setattr(LocalVectorStore, "extend", pytest.fail)
    with ArchiveWriter.open(path) as writer:
        writer.add([entry(10)])
        assert nearest(writer, vectors(10, 1), 1)[0][0].scene.name == "10.tif"
