"""Backups in a series, and archives restored from them, also while they are searched."""

import os
import shutil

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive import backups as module
from bandsight.archive.admin import KEYS_FILE, back_up, verify
from bandsight.archive.backups import add_backup, backups_in, restore
from bandsight.attributes.filters import Filter
from bandsight.catalog.saved_searches import SavedHits
from bandsight.errors import ArchiveError, ArchiveLockedError
from tests.archive.makers import entry, filled
from tests.crash.operations import downgrade


@pytest.fixture
def archive(tmp_path):
    with filled(tmp_path / "archive", 6) as opened:
        yield opened


def save_search(archive, title: str) -> None:
    hits = SavedHits(ids=np.array([1]), scores=np.array([0.5], np.float32))
    archive.saved_searches.add(title, {"q": "a pond"}, max_hits=1, hits=hits, generation=archive.generation)


def titles(archive) -> list[str]:
    return sorted(one.title for one in archive.saved_searches.newest())


def scenes(archive) -> list[str]:
    return sorted(scene.name for scene in archive.scenes())


def test_the_backups_of_a_series_are_archives_that_share_unchanged_vector_files(archive, tmp_path):
    series = tmp_path / "backups"
    first = add_backup(archive, series, keep=3)
    archive.add([entry(20)])
    second = add_backup(archive, series, keep=3)
    assert backups_in(series) == [first.path, second.path]
    for made, count in ((first, 6), (second, 7)):
        with Archive.open(made.path) as copy:
            assert verify(copy, full=True) == []
            assert len(copy.scenes()) == count
            assert copy.generation == made.generation
    shared = {file.name for file in (first.path / "vectors").iterdir()}
    links = {file.name: file.stat().st_nlink for file in (second.path / "vectors").iterdir()}
    assert {name for name, count in links.items() if count == 2} == shared
    assert len(links) == len(shared) + 1


def test_only_the_newest_backups_are_kept_and_unfinished_ones_are_deleted(archive, tmp_path):
    series = tmp_path / "backups"
    made = [add_backup(archive, series, keep=2) for _ in range(3)]
    assert backups_in(series) == [made[1].path, made[2].path]
    assert made[2].deleted == (made[0].path,)
    (made[1].path / "catalog.sqlite").unlink()
    (series / "notes.txt").write_text("of a person")
    last = add_backup(archive, series, keep=2)
    assert sorted(path.name for path in series.iterdir()) == sorted(
        ["lock", "notes.txt", made[2].path.name, last.path.name]
    )


def test_a_damaged_file_of_the_previous_backup_is_copied_again(archive, tmp_path):
    first = add_backup(archive, tmp_path / "backups", keep=3)
    file = next((first.path / "vectors").iterdir())
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)
    second = add_backup(archive, tmp_path / "backups", keep=3)
    with Archive.open(second.path) as copy:
        assert verify(copy, full=True) == []


def test_without_hard_links_files_are_copied(archive, tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for _ in range(2):
        made = add_backup(archive, tmp_path / "backups", keep=3)
    with Archive.open(made.path) as copy:
        assert verify(copy, full=True) == []
    assert restore(tmp_path / "backups", tmp_path / "again") == made.generation


def test_a_second_backup_into_the_same_series_does_not_wait(archive, tmp_path):
    series = tmp_path / "backups"
    series.mkdir()
    with module.FileLock(series / "lock"), pytest.raises(ArchiveLockedError, match="another backup is running"):
        add_backup(archive, series, keep=3)


def test_the_newest_backup_of_a_series_is_restored_with_searches_and_labels(archive, tmp_path):
    save_search(archive, "before")
    archive.labels.create("places", {"pond": "a pond"})
    tile = int(archive.tile_ids(Filter())[0])
    archive.labels.add("places", {tile: "pond"}, "ann")
    add_backup(archive, tmp_path / "backups", keep=3)
    generation = restore(tmp_path / "backups", tmp_path / "again")
    with ArchiveWriter.open(tmp_path / "again") as again:
        assert again.generation == generation == archive.generation
        assert verify(again, full=True) == []
        assert (scenes(again), titles(again)) == (scenes(archive), ["before"])
        assert [label.tile for label in again.labels.labels("places")] == [tile]
        again.add([entry(30)])
    assert not (tmp_path / "again" / "restore").exists()


def test_an_archive_is_replaced_in_one_commit_while_it_is_searched(archive, tmp_path):
    save_search(archive, "before")
    back_up(archive, tmp_path / "copy")
    before = scenes(archive)
    archive.add([entry(20), entry(1, version=3)])
    archive.remove(["/scenes/2.tif"])
    archive.compact()
    save_search(archive, "after")
    newest, generation = archive.newest_tile, archive.generation
    archive.close()
    with Archive.open(tmp_path / "archive") as reader:
        assert "20.tif" in scenes(reader)
        assert restore(tmp_path / "copy", tmp_path / "archive", replace=True) > generation
        reader.refresh()
        assert (scenes(reader), titles(reader)) == (before, ["before"])
        assert verify(reader, full=True) == []
        assert reader.changes(generation).everything
    with ArchiveWriter.open(tmp_path / "archive") as again:
        again.add([entry(40)])
        fresh = [tile for tile in again.tile_ids(Filter()).tolist() if tile > newest]
        assert len(fresh) == 4
        assert verify(again, full=True) == []


def test_an_archive_is_replaced_only_on_request(archive, tmp_path):
    back_up(archive, tmp_path / "copy")
    archive.close()
    with pytest.raises(ArchiveError, match=r"there is already an archive here; .* pass --replace"):
        restore(tmp_path / "copy", tmp_path / "archive")


def test_an_archive_that_is_being_written_is_not_replaced(archive, tmp_path):
    back_up(archive, tmp_path / "copy")
    with pytest.raises(ArchiveLockedError, match="is writing to this archive"):
        restore(tmp_path / "copy", tmp_path / "archive", replace=True)


def test_a_damaged_backup_changes_nothing(archive, tmp_path):
    back_up(archive, tmp_path / "copy")
    before = scenes(archive)
    archive.close()
    file = next((tmp_path / "copy" / "vectors").iterdir())
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)
    for target, replace in (("archive", True), ("new", False)):
        with pytest.raises(ArchiveError, match="the backup is damaged, restore an older one"):
            restore(tmp_path / "copy", tmp_path / target, replace=replace)
    with Archive.open(tmp_path / "archive") as opened:
        assert scenes(opened) == before
        assert verify(opened, full=True) == []
    with pytest.raises(ArchiveError, match="no Bandsight archive here"):
        Archive.open(tmp_path / "new")
    restore(_repaired(tmp_path / "copy", file), tmp_path / "new")


def _repaired(copy, file):
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)
    return copy


def test_an_archive_whose_catalog_is_damaged_is_moved_away_first(archive, tmp_path):
    back_up(archive, tmp_path / "copy")
    archive.close()
    (tmp_path / "archive" / "catalog.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(ArchiveError, match=r"move .*archive away, and restore without --replace"):
        restore(tmp_path / "copy", tmp_path / "archive", replace=True)
    shutil.move(tmp_path / "archive", tmp_path / "damaged")
    restore(tmp_path / "copy", tmp_path / "archive")
    with Archive.open(tmp_path / "archive") as opened:
        assert len(opened.scenes()) == 6


def test_a_backup_of_an_older_version_is_upgraded_and_stays_as_it_is(archive, tmp_path):
    back_up(archive, tmp_path / "copy")
    downgrade(tmp_path / "copy")
    with pytest.raises(ArchiveError, match="run: bandsight upgrade"):
        Archive.open(tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")
    with Archive.open(tmp_path / "again") as again:
        assert len(again.scenes()) == 6
    with pytest.raises(ArchiveError, match="run: bandsight upgrade"):
        Archive.open(tmp_path / "copy")


def test_a_folder_without_backups_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArchiveError, match="no backup here"):
            restore(folder, tmp_path / "again")


def test_the_keys_of_a_server_are_part_of_a_backup_and_stay_where_an_archive_is_replaced(archive, tmp_path):
    (archive.path / KEYS_FILE).write_text("then")
    back_up(archive, tmp_path / "copy")
    copied = tmp_path / "copy" / KEYS_FILE
    assert copied.read_text() == "then"
    assert copied.stat().st_mode & 0o777 == 0o600
    restore(tmp_path / "copy", tmp_path / "restored")
    assert (tmp_path / "restored" / KEYS_FILE).read_text() == "then"
    (archive.path / KEYS_FILE).write_text("now")
    archive.close()
    restore(tmp_path / "copy", archive.path, replace=True)
    assert (archive.path / KEYS_FILE).read_text() == "now"
