"""Scenes added and removed since a generation."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import back_up, create_beside, swap_in, upgrade, verify
from bandsight.catalog.sql import changes
from bandsight.catalog.sql.schema import migrate
from bandsight.catalog.sqlite.database import open_engine
from tests.archive.makers import MODEL, entry, filled


@pytest.fixture
def archive(tmp_path):
    with filled(tmp_path / "a", 4) as made:
        yield made


def id_of(archive, number: int) -> int:
    return next(scene.id for scene in archive.scenes() if scene.href == f"/scenes/{number}.tif")


def test_added_and_removed_scenes_are_listed(archive):
    then, removed = archive.generation, id_of(archive, 1)
    assert archive.changes(then).added == archive.changes(then).removed == ()
    archive.add([entry(7), entry(8)])
    archive.remove(["/scenes/1.tif"])
    found = archive.changes(then)
    assert not found.everything
    assert found.generation == archive.generation
    assert found.added == (id_of(archive, 7), id_of(archive, 8))
    assert (found.removed, found.replaced) == ((removed,), {})
    assert archive.changes(found.generation).added == ()


def test_a_replaced_scene_names_its_successor_across_several_replacements(archive):
    then, old = archive.generation, id_of(archive, 2)
    for version in (1, 2, 3):
        archive.add([entry(2, version=version)])
    found = archive.changes(then)
    # Those in between were never seen.
    assert (found.added, found.removed) == ((id_of(archive, 2),), (old,))
    assert found.replaced == {old: id_of(archive, 2)}


def test_a_scene_added_and_removed_in_between_is_not_listed(archive):
    then = archive.generation
    archive.add([entry(9)])
    archive.remove(["/scenes/9.tif"])
    found = archive.changes(then)
    assert (found.added, found.removed) == ((), ())


def test_compaction_backup_and_reopening_keep_the_record(archive, tmp_path):
    then, old = archive.generation, id_of(archive, 0)
    archive.remove(["/scenes/0.tif"])
    archive.compact()
    back_up(archive, tmp_path / "copy")
    with Archive.open(tmp_path / "copy") as copy:
        assert copy.changes(then).removed == (old,)
    archive.close()
    with Archive.open(archive.path) as again:
        assert again.changes(then).removed == (old,)


def test_changes_before_a_swap_are_unavailable(archive, tmp_path):
    then = archive.generation
    with create_beside(archive, tmp_path / "b", replace(MODEL, name="other", digest="0" * 64)) as beside:
        beside.add([entry(1), entry(2)])
        swapped = swap_in(archive, beside)
    found = archive.changes(then)
    assert found.everything
    assert found.added == tuple(sorted(scene.id for scene in archive.scenes()))
    assert archive.changes(swapped).added == ()
    archive.add([entry(5)])
    assert archive.changes(swapped).added == (id_of(archive, 5),)


def test_changes_since_an_unknown_generation_are_unavailable(archive):
    # A backup was put back.
    assert archive.changes(archive.generation + 5).everything
    assert archive.changes(-1).everything


def test_the_record_of_removals_is_bounded_and_changes_before_it_are_unavailable(archive, monkeypatch):
    monkeypatch.setattr(changes, "MAX_REMOVED", 2)
    start = archive.generation
    seen = []
    for number in range(4):
        archive.remove([f"/scenes/{number}.tif"])
        seen.append(archive.generation)
    assert archive.changes(start).everything
    assert archive.changes(seen[0]).everything
    assert len(archive.changes(seen[1]).removed) == 2
    with closing(sqlite3.connect(archive.path / "catalog.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM removed_scenes").fetchone() == (2,)


def test_an_upgraded_archive_has_the_changes_since_the_upgrade(tmp_path):
    filled(tmp_path / "a", 3).close()
    engine = open_engine(tmp_path / "a" / "catalog.sqlite")
    migrate(engine, "0006")
    engine.dispose()
    upgrade(tmp_path / "a")
    with ArchiveWriter.open(tmp_path / "a") as archive:
        then = archive.generation
        assert archive.changes(then).added == ()
        assert archive.changes(then - 1).everything
        archive.add([entry(9)])
        assert archive.changes(then).added == (id_of(archive, 9),)
        assert verify(archive, full=True) == []


def test_the_changes_of_any_sequence_of_commits_equal_a_comparison_of_both_states(tmp_path):
    rng = np.random.default_rng(3)
    with ArchiveWriter.create(tmp_path / "a", MODEL) as archive:
        states = {0: {}}
        for version in range(30):
            there = {scene.href: scene.id for scene in archive.scenes()}
            if there and rng.random() < 0.4:
                archive.remove([str(rng.choice(sorted(there)))])
            else:
                archive.add([entry(int(rng.integers(6)), 1, version=version)])
            states[archive.generation] = {scene.id: scene.href for scene in archive.scenes()}
        now = states[archive.generation]
        for generation, then in states.items():
            found = archive.changes(generation)
            assert found.added == tuple(sorted(set(now) - set(then)))
            assert found.removed == tuple(sorted(set(then) - set(now)))
            assert all(now[new] == then[old] for old, new in found.replaced.items())
