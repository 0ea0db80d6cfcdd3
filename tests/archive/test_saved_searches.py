"""Saved searches: kept with their hits in the catalog, written by readers, imported from files of older versions."""

import json
import multiprocessing
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter, Engines, saved_searches
from bandsight.archive.admin import back_up, create_beside, swap_in, upgrade, verify
from bandsight.catalog.saved_searches import SavedHits
from bandsight.catalog.sqlite import SqliteDatabase
from bandsight.errors import ArchiveError, BusyError, NotFoundError, QueryError
from tests.archive.makers import MODEL, entry, filled

REQUEST = {"q": "water", "limit": 10, "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]}}


def hits(count: int, first: int = 1) -> SavedHits:
    return SavedHits(ids=np.arange(first, first + count), scores=np.linspace(0.9, 0.1, count).astype(np.float32))


@pytest.fixture
def archive(tmp_path):
    with filled(tmp_path / "a", 6) as made:
        yield made


@pytest.fixture
def reader(archive):
    with Archive.open(archive.path) as opened:
        yield opened


def test_a_reader_saves_a_search_during_writes_and_all_readers_see_it(archive, reader):
    before = archive.generation
    made = reader.saved_searches.add("Water", REQUEST, max_hits=50, hits=hits(20), generation=before)
    assert archive.saved_searches.get(made.id) == made
    assert (made.status, made.hits, made.generation, made.model_digest) == ("ready", 20, before, MODEL.digest)
    assert archive.generation == before
    archive.add([entry(9)])
    assert reader.saved_searches.newest() == [made]
    page = reader.saved_searches.page(made.id, 5, 10)
    np.testing.assert_array_equal(page.hits.ids, np.arange(6, 16))
    np.testing.assert_array_equal(page.hits.scores, hits(20).scores[5:15])
    assert (page.removed, page.next) == (0, 15)
    assert verify(archive, full=True) == []


def test_pages_of_hits_neither_repeat_nor_miss_one(archive):
    every = hits(24)
    made = archive.saved_searches.add("x", REQUEST, max_hits=5000, hits=every, generation=1)
    found, start = [], 0
    while start is not None:
        page = archive.saved_searches.page(made.id, start, 7)
        found += page.hits.ids.tolist()
        start = page.next
    assert found == every.ids.tolist()


def test_a_page_reads_only_the_rows_of_its_own_hits(archive):
    many = SavedHits(ids=np.arange(10_000), scores=np.zeros(10_000, np.float32))
    made = archive.saved_searches.add("x", REQUEST, max_hits=10_000, hits=many, generation=1)
    with archive.database.reading() as catalog:
        part = catalog.saved_searches.hits(made.id, 4000, 4100)
    np.testing.assert_array_equal(part.ids, np.arange(4000, 4100))


def test_searches_are_listed_newest_first_page_by_page_and_deleted(archive):
    made = [archive.saved_searches.add(f"{n}", REQUEST, max_hits=5).id for n in range(5)]
    first = archive.saved_searches.newest(2)
    assert [one.id for one in first] == [made[4], made[3]]
    assert [one.id for one in archive.saved_searches.newest(9, before=first[-1].id)] == [made[2], made[1], made[0]]
    archive.saved_searches.delete(made[2])
    assert [one.id for one in archive.saved_searches.newest()] == [made[4], made[3], made[1], made[0]]
    for call in (archive.saved_searches.get, archive.saved_searches.delete, archive.saved_searches.page):
        with pytest.raises(NotFoundError, match="list them with GET /searches"):
            call(made[2])


def test_a_search_that_was_not_run_yet_gets_its_hits_later(archive):
    made = archive.saved_searches.add("x", REQUEST, max_hits=5)
    assert (made.status, made.hits) == ("pending", 0)
    done = archive.saved_searches.set_hits(made.id, hits(4), generation=3)
    assert (done.status, done.hits, done.generation) == ("ready", 4, 3)
    again = archive.saved_searches.set_hits(made.id, hits(2, first=5), generation=4)
    assert again.hits == 2
    assert archive.saved_searches.page(made.id).hits.ids.tolist() == [5, 6]
    with pytest.raises(NotFoundError):
        archive.saved_searches.set_hits("0" * 16, hits(1), generation=4)


def test_hits_whose_tiles_are_gone_are_left_out_and_counted(archive):
    made = archive.saved_searches.add("x", REQUEST, max_hits=99, hits=hits(24), generation=archive.generation)
    archive.remove(["/scenes/0.tif", "/scenes/1.tif"])
    page = archive.saved_searches.page(made.id, 0, 12)
    assert (page.hits.ids.tolist(), page.removed, page.next) == ([9, 10, 11, 12], 8, 12)
    # A page of removed tiles only is no error while others are left.
    assert len(archive.saved_searches.page(made.id, 0, 8).hits.ids) == 0


def test_a_search_without_remaining_tiles_is_an_error_with_advice(archive):
    made = archive.saved_searches.add("x", REQUEST, max_hits=9, hits=hits(4), generation=archive.generation)
    archive.remove(["/scenes/0.tif"])
    with pytest.raises(ArchiveError, match=r"all its 4 tiles have been removed since .*; run it again, or delete it"):
        archive.saved_searches.page(made.id)
    archive.saved_searches.set_hits(made.id, hits(4, first=5), generation=archive.generation)
    assert len(archive.saved_searches.page(made.id).hits.ids) == 4


def test_hits_of_another_model_are_an_error_with_advice(archive, tmp_path):
    made = archive.saved_searches.add("x", REQUEST, max_hits=9, hits=hits(4), generation=archive.generation)
    with create_beside(archive, tmp_path / "b", replace(MODEL, name="other", digest="0" * 64)) as beside:
        beside.add([entry(1)])
        swap_in(archive, beside)
    assert archive.saved_searches.get(made.id).title == "x"
    with pytest.raises(ArchiveError, match=r"changed the model; run it again, or delete it"):
        archive.saved_searches.page(made.id)


def test_too_many_searches_and_too_large_ones_are_refused(archive, monkeypatch):
    monkeypatch.setattr(saved_searches, "MAX_SEARCHES", 2)
    for _ in range(2):
        archive.saved_searches.add("x", REQUEST, max_hits=9)
    with pytest.raises(QueryError, match="the limit of 2 is reached; delete some"):
        archive.saved_searches.add("x", REQUEST, max_hits=9)
    with pytest.raises(QueryError, match="simplify it"):
        archive.saved_searches.add("x", {"q": "a" * 2**20}, max_hits=9)
    assert len(archive.saved_searches.newest()) == 2


def _add_some(path, count, limit) -> None:
    saved_searches.MAX_SEARCHES = limit
    with Archive.open(path) as opened:
        for n in range(count):
            try:
                opened.saved_searches.add(f"{n}", REQUEST, max_hits=9)
            except QueryError:
                return


def test_processes_that_save_concurrently_share_the_limit(archive):
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_add_some, args=(archive.path, 20, 25)) for _ in range(2)]
    for worker in workers:
        worker.start()
    archive.add([entry(10)])
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(archive.saved_searches.newest(100)) == 25


def test_a_catalog_with_a_long_write_is_reported_as_busy_not_as_broken(archive):
    impatient = Engines(catalogs={"sqlite": partial(SqliteDatabase, busy_timeout_s=0.05)})
    with Archive.open(archive.path, impatient) as reader:
        with archive.database.writing(), pytest.raises(BusyError, match="try again"):
            reader.saved_searches.add("x", REQUEST, max_hits=9)
        reader.saved_searches.add("x", REQUEST, max_hits=9)


def test_a_backup_contains_saved_searches(archive, tmp_path):
    made = archive.saved_searches.add("x", REQUEST, max_hits=9, hits=hits(4), generation=archive.generation)
    back_up(archive, tmp_path / "copy")
    with Archive.open(tmp_path / "copy") as copy:
        assert copy.saved_searches.get(made.id) == made
        assert copy.saved_searches.page(made.id).hits.ids.tolist() == [1, 2, 3, 4]


def old_files(folder, name: str, *, ids=None, created="2026-01-02T03:04:05Z") -> None:
    folder.mkdir(exist_ok=True)
    kept = {"id": name, "title": "Old", "created": created, "hits": 7, "body": REQUEST}
    (folder / f"{name}.json").write_text(json.dumps(kept))
    if ids is not None:
        (folder / f"{name}.hits").write_text(json.dumps({"generation": 2, "ids": ids}))


def test_upgrade_imports_the_files_of_older_versions_and_then_deletes_them(tmp_path):
    filled(tmp_path / "a", 2).close()
    folder = tmp_path / "a" / "searches"
    old_files(folder, "a" * 16, ids=[3, 1, 2])
    old_files(folder, "b" * 16, created="2026-01-01T00:00:00Z")
    upgrade(tmp_path / "a")
    assert not folder.exists()
    with Archive.open(tmp_path / "a") as archive:
        newest, oldest = archive.saved_searches.newest()
        assert (newest.id, newest.title, newest.request, newest.max_hits) == ("a" * 16, "Old", REQUEST, 7)
        assert (newest.status, newest.generation, oldest.status) == ("unscored", 2, "pending")
        page = archive.saved_searches.page("a" * 16)
        assert page.hits.ids.tolist() == [3, 1, 2]
        assert np.isnan(page.hits.scores).all()


def test_an_interrupted_import_is_repeated_without_duplicates(tmp_path):
    filled(tmp_path / "a", 2).close()
    folder = tmp_path / "a" / "searches"
    old_files(folder, "a" * 16, ids=[1])
    upgrade(tmp_path / "a")
    # As if the process had ended before it deleted the files.
    old_files(folder, "a" * 16, ids=[1])
    (folder / "c0ffee.json").write_text("{")
    upgrade(tmp_path / "a")
    assert [path.name for path in folder.iterdir()] == ["c0ffee.json"]
    with ArchiveWriter.open(tmp_path / "a") as archive:
        assert len(archive.saved_searches.newest()) == 1
