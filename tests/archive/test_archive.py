import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import verify
from bandsight.archive.lock import WriterLock
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.sqlite import database
from bandsight.errors import ArchiveError, ArchiveLockedError, ModelMismatchError, NotFoundError, QueryError
from bandsight.geo.box import LonLatBox
from bandsight.search.ranking import nearest
from tests.archive.makers import DIM, MODEL, entry, filled, vectors

ROOT = Path(__file__).parents[2]
SCENES, TILES = 30, 4


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with filled(tmp_path_factory.mktemp("archive") / "a", SCENES, TILES) as opened:
        yield opened


@given(st.integers(0, SCENES - 1), st.integers(0, TILES - 1))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_stored_vector_finds_itself(archive, number, n):
    hit = nearest(archive, vectors(number, TILES)[n], 1)[0][0]
    assert (hit.scene.name, hit.tile.col_off) == (f"{number}.tif", 32 * n)
    assert hit.score == pytest.approx(1, abs=2e-3)


def test_many_queries_at_once_give_the_same_results_as_one_by_one(archive):
    queries = vectors(77, 5)
    together = nearest(archive, queries, 7)
    alone = [nearest(archive, query, 7)[0] for query in queries]
    assert [[hit.tile.id for hit in hits] for hits in together] == [[hit.tile.id for hit in hits] for hits in alone]


def test_a_place_is_found_as_if_every_tile_were_compared(archive):
    everything = nearest(archive, vectors(1, 1), 10_000)[0]
    for number in range(0, 60, 3):
        west, south = -180 + number * 5.5, -60 + number * 1.7
        box = LonLatBox(west=west, south=south, east=min(west + 40, 180), north=south + 20)
        expected = sorted(hit.tile.id for hit in everything if any(box.intersects(own) for own in hit.tile.boxes))
        assert archive.tile_ids(Filter(boxes=tuple(box.split()))).tolist() == expected


def test_the_same_key_twice_changes_nothing(tmp_path):
    with filled(tmp_path / "a", 2) as archive:
        before = archive.stats()
        archive.add([entry(0), entry(1)])
        assert archive.stats() == before


def test_a_changed_scene_replaces_its_old_version(tmp_path):
    with filled(tmp_path / "a", 4) as archive:
        old = {hit.tile.id for hit in nearest(archive, vectors(1, 1), 99)[0] if hit.scene.name == "1.tif"}
        archive.add([entry(1, 6, version=1)])
        hits = nearest(archive, vectors(1, 1), 99)[0]
        assert not old & {hit.tile.id for hit in hits}
        assert len(hits) == 4 * 3 + 6
        assert verify(archive, full=True) == []
        assert archive.stats()["deleted_vectors"] == 4
        with pytest.raises(NotFoundError, match=r"tile \d+: this archive has no such tile"):
            archive.vectors([min(old)])


def test_a_reader_sees_new_commits_without_being_opened_again(tmp_path):
    with filled(tmp_path / "a", 2) as writer, Archive.open(tmp_path / "a") as reader:
        assert len(nearest(reader, vectors(1, 1), 99)[0]) == 8
        writer.add([entry(5)])
        assert len(nearest(reader, vectors(1, 1), 99)[0]) == 12
        assert reader.generation == writer.generation


def test_searches_during_writes_see_whole_commits(tmp_path):
    wrong: list[str] = []
    stop = threading.Event()
    with filled(tmp_path / "a", 2) as writer, Archive.open(tmp_path / "a") as reader:

        def look() -> None:
            while not stop.is_set():
                hits = nearest(reader, vectors(3, 1), 10_000)[0]
                names = [hit.scene.name for hit in hits]
                # Scenes come and are replaced whole, with 4 tiles each.
                if any(names.count(name) != 4 for name in set(names)):
                    wrong.append(str(names))

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(40):
            writer.add([entry(number % 6, version=number)])
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_the_error_for_a_second_writer_names_the_first(tmp_path):
    with filled(tmp_path / "a", 1):
        script = "import sys, pathlib, bandsight.archive as m; m.ArchiveWriter.open(pathlib.Path(sys.argv[1]))"
        second = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert f"process {os.getpid()} is writing to this archive" in second.stderr
        with pytest.raises(ArchiveLockedError):
            ArchiveWriter.open(tmp_path / "a")
    ArchiveWriter.open(tmp_path / "a").close()


def test_an_archive_that_another_process_creates_is_left_alone(tmp_path):
    unfinished = tmp_path / ".catalog.sqlite.new"
    unfinished.write_bytes(b"of the other")
    other = WriterLock(tmp_path)
    with pytest.raises(ArchiveLockedError, match="is writing to this archive"):
        ArchiveWriter.open_or_create(tmp_path, MODEL)
    assert unfinished.read_bytes() == b"of the other"
    other.release()
    ArchiveWriter.open_or_create(tmp_path, MODEL).close()


@pytest.mark.parametrize("kind", [sqlite3.OperationalError, partial(OperationalError, "COMMIT", None)])
def test_a_full_disk_is_reported_when_an_archive_is_created(tmp_path, monkeypatch, kind):
    full = kind(sqlite3.OperationalError("database or disk is full"))
    with monkeypatch.context() as patched:
        patched.setattr(database, "migrate", Mock(side_effect=full))
        with pytest.raises(ArchiveError, match=r"cannot create an archive .*disk is full.* then try again"):
            ArchiveWriter.open_or_create(tmp_path / "a", MODEL)
    assert not list((tmp_path / "a").glob(".catalog*"))
    ArchiveWriter.open_or_create(tmp_path / "a", MODEL).close()


def test_another_model_is_rejected_with_advice(tmp_path):
    filled(tmp_path / "a", 1).close()
    other = ModelIdentity(name="other", digest="0" * 64, dim=DIM, license="x")
    with pytest.raises(ModelMismatchError, match="pass --model fake"):
        ArchiveWriter.open_or_create(tmp_path / "a", other)
    # The refusal lets go of the lock.
    ArchiveWriter.open(tmp_path / "a").close()


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        (np.ones(3), 1, "need finite numbers of shape"),
        (np.full(DIM, np.nan), 1, "finite"),
        (np.ones(DIM), 0, "at least 1"),
    ],
)
def test_an_invalid_query_is_rejected(archive, query, k, message):
    with pytest.raises(QueryError, match=message):
        nearest(archive, query, k)


def test_a_path_without_an_archive_is_named(tmp_path):
    with pytest.raises(ArchiveError, match="no Bandsight archive here"):
        Archive.open(tmp_path)
    (tmp_path / "catalog.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(ArchiveError, match="cannot be read"):
        Archive.open(tmp_path)
    with pytest.raises(ArchiveError, match="already an archive here"):
        ArchiveWriter.create(tmp_path, MODEL)


def test_a_reader_has_no_methods_that_write(tmp_path):
    with filled(tmp_path / "a", 1) as writer, Archive.open(tmp_path / "a") as reader:
        assert {"add", "add_in_parts", "remove", "compact", "optimize", "record_failure"} <= set(dir(writer))
        assert not {"add", "add_in_parts", "remove", "compact", "optimize", "record_failure"} & set(dir(reader))


def test_derived_data_can_be_lost(tmp_path):
    wanted = Filter.parse(bbox="170,-90,-170,90", datetime="2020-01-01/2020-12-31", sensors=["one"])
    with filled(tmp_path / "a", 20) as archive:
        archive.add([entry(3, 5, version=1)])
        before = [(hit.tile.id, hit.score) for hit in nearest(archive, vectors(1, 1), 50, wanted)[0]]
    assert before
    for file in (tmp_path / "a" / "index").iterdir():
        file.unlink()
    with Archive.open(tmp_path / "a") as archive:
        assert [(hit.tile.id, hit.score) for hit in nearest(archive, vectors(1, 1), 50, wanted)[0]] == before
        assert verify(archive, full=True) == []


def test_files_without_a_commit_are_deleted_by_the_next_write(tmp_path):
    filled(tmp_path / "a", 2).close()
    stray = [tmp_path / "a/vectors/seg-000000000099-abc.bsv", tmp_path / "a/vectors/.seg.bsv.1.tmp"]
    for path in stray:
        path.write_bytes(b"x")
    Archive.open(tmp_path / "a").close()
    assert all(path.exists() for path in stray)
    with ArchiveWriter.open(tmp_path / "a") as archive:
        assert not any(path.exists() for path in stray)
        assert verify(archive, full=True) == []


def test_failures_are_kept_until_the_scene_is_indexed(tmp_path):
    with filled(tmp_path / "a", 1) as archive:
        archive.record_failure("/scenes/7.tif", "no CRS")
        archive.record_failure("/scenes/7.tif", "still no CRS")
        href, reason, when = archive.jobs.failures()[0]
        assert (href, reason) == ("/scenes/7.tif", "still no CRS")
        assert datetime.now(UTC) - when < timedelta(minutes=5)
        archive.add([entry(7)])
        assert archive.jobs.failures() == []


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path, monkeypatch):
    with filled(tmp_path / "a", 2) as archive:
        real = os.fsync

        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ArchiveError, match=r"cannot be written \(No space left on device\); nothing is lost"):
            archive.add([entry(5)])
        monkeypatch.setattr(os, "fsync", real)
        assert verify(archive, full=True) == []
        archive.add([entry(5)])
        assert len(nearest(archive, vectors(1, 1), 99)[0]) == 12


def test_a_catalog_that_breaks_while_open_is_a_clear_error(tmp_path):
    with filled(tmp_path / "a", 2) as archive, Archive.open(tmp_path / "a") as reader:
        del archive
        reader.database.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{tmp_path}/a/catalog.sqlite{suffix}").unlink(missing_ok=True)
        # The file is the same one: another in its place is told by another message.
        (tmp_path / "a" / "catalog.sqlite").write_bytes(b"garbage" * 1000)
        with pytest.raises(ArchiveError, match="bandsight verify"):
            nearest(reader, vectors(1, 1), 3)


def test_any_number_of_reads_can_be_nested_and_concurrent(tmp_path):
    with filled(tmp_path / "a", 1) as archive, ExitStack() as under_way:
        for _ in range(60):
            under_way.enter_context(archive.database.reading())
        assert len(nearest(archive, vectors(1, 1), 3)[0]) == 3
