"""Damage of every kind to every kind of file: found, named, repaired where it is derived; never a wrong answer."""

import errno
import os
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import back_up, repair, upgrade, verify
from bandsight.catalog.sql.schema import migrate
from bandsight.catalog.sqlite.database import open_engine
from bandsight.errors import ArchiveError, BandsightError, NotFoundError
from bandsight.search.ranking import nearest
from bandsight.vectors import atomic_io as durable
from bandsight.vectors.local import ivf_build as building
from tests.archive.makers import entry, filled, vectors

SCENES, TILES = 12, 4


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    """An archive with several segments, deleted rows and an index, closed."""
    path = tmp_path_factory.mktemp("master") / "a"
    with pytest.MonkeyPatch.context() as patch, filled(path, SCENES, TILES) as archive:
        patch.setattr(building, "WORTH_IT", 10)
        archive.add([entry(3, 5, version=1)])
        archive.optimize()
        archive.add([entry(20), entry(21)])
    checkpoint(path)
    return path


@pytest.fixture
def path(master, tmp_path):
    shutil.copytree(master, tmp_path / "a")
    return tmp_path / "a"


def checkpoint(path: Path) -> None:
    """Bring the log into the catalog, so that damage hits the file that counts."""
    connection = sqlite3.connect(path / "catalog.sqlite")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def answers(archive: Archive) -> list[tuple[str, int, float]]:
    hits = nearest(archive, vectors(1, 1), 10_000)[0]
    return [(hit.scene.href, hit.tile.col_off, hit.score) for hit in hits]


def search_all(path: Path) -> None:
    with Archive.open(path) as archive:
        nearest(archive, vectors(1, 1), 10_000)


def flip(file: Path, at: int, bit: int = 3) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1 << bit
    file.write_bytes(data)


def damage(file: Path, how: str | float) -> None:
    if how == "missing":
        file.unlink()
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif how == "empty":
        file.write_bytes(b"")
    else:
        flip(file, int(how * (file.stat().st_size - 1)))


HOW = ["missing", "truncated", "empty", 0.0, 0.01, 0.2, 0.5, 0.77, 1.0]


def reindex_what_was_lost(archive: Archive) -> set[str]:
    lost = {href for href, _, _ in archive.jobs.failures()}
    numbers = sorted(int(Path(href).stem) for href in lost)
    archive.add([entry(n, 5, version=1) if n == 3 else entry(n) for n in numbers])
    assert archive.jobs.failures() == []
    return lost


@pytest.mark.parametrize("how", HOW)
def test_damaged_vectors_are_found_named_and_quarantined_and_indexing_restores_them(path, how):
    with Archive.open(path) as archive:
        before = answers(archive)
    file = sorted((path / "vectors").iterdir())[2]
    damage(file, how)
    try:
        with Archive.open(path) as archive:
            assert any(file.stem in problem for problem in verify(archive, full=True))
            # A score of a damaged row is never shown.
            with pytest.raises(ArchiveError, match="does not match its checksum"):
                nearest(archive, vectors(1, 1), 10_000)
    except ArchiveError as error:
        assert file.name in str(error)  # noqa: PT017
        assert "bandsight repair" in str(error)  # noqa: PT017
    report = repair(path)
    assert any(file.stem in line for line in report)
    with ArchiveWriter.open(path) as archive:
        assert verify(archive, full=True) == []
        left = answers(archive)
        lost = {href for href, _, _ in before} - {href for href, _, _ in left}
        assert [row for row in before if row[0] not in lost] == left
        assert reindex_what_was_lost(archive) == lost
        assert sorted(answers(archive)) == sorted(before)
    if how in {0.0, 0.01}:
        # Header and ids: every vector is still there, or all but one scene's.
        assert len(lost) <= 1
    assert how == "missing" or (path / "quarantine" / file.name).exists()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "kind", ["index/seg-*.bsc", "index/ivf.faiss", "index/ivf.lists", "index/ivf.apart", "index/ivf.json"]
)
def test_damage_to_derived_data_does_not_affect_results(path, kind, how):
    with Archive.open(path) as archive:
        before = answers(archive)
    damage(sorted(path.glob(kind))[0], how)
    with Archive.open(path) as archive:
        assert answers(archive) == before
    report = repair(path)
    with Archive.open(path) as archive:
        assert verify(archive, full=True) == []
        assert answers(archive) == before
        assert archive.jobs.failures() == []
    # Columns are written anew when they are opened; an index without its facts is none.
    assert report or kind.endswith("bsc") or (kind, how) == ("index/ivf.json", "missing")


def test_columns_that_contradict_the_catalog_are_found(path):
    from bandsight.vectors.local.column_files import load_columns, save_columns

    file = sorted((path / "index").glob("seg-*.bsc"))[0]
    with Archive.open(path) as archive:
        part = archive.store._state.shown[0].part
        columns = load_columns(file.with_suffix(""), part.columns.ids)
        save_columns(file.with_suffix(""), replace(columns, boxes=columns.boxes + 1))
        assert any(file.stem in problem for problem in verify(archive, full=True))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE scenes SET datetime = '2001-01-01 00:00:00.000000' WHERE id = 2",
        "UPDATE scenes SET datetime = 'never' WHERE id = 2",
        "UPDATE scenes SET bands = '{oops' WHERE id = 2",
        "UPDATE scenes SET gsd_m = 'wide' WHERE id = 2",
        "UPDATE tiles SET south = 89.5 WHERE scene_id = 2",
        "UPDATE tiles SET south = 99 WHERE scene_id = 2",
        "UPDATE tiles SET geometry = x'ff00' WHERE scene_id = 2",
        "UPDATE tiles SET scale = 9 WHERE id = (SELECT min(id) FROM tiles WHERE scene_id = 2)",
    ],
)
def test_a_changed_row_of_the_catalog_is_found_and_its_scene_named(path, statement):
    with Archive.open(path) as archive:
        before = answers(archive)
    # As a flipped bit would: past everything that this program does.
    connection = sqlite3.connect(path / "catalog.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with (
        pytest.raises(ArchiveError, match=r"row \d+ of (scenes|tiles) does not match|catalog"),
        Archive.open(path) as archive,
    ):
        nearest(archive, vectors(1, 1), 10_000)
    assert any("lost: /scenes/1.tif" in line for line in repair(path))
    with ArchiveWriter.open(path) as archive:
        assert verify(archive, full=True) == []
        assert reindex_what_was_lost(archive) == {"/scenes/1.tif"}
        assert sorted(answers(archive)) == sorted(before)


def test_flipped_bits_in_the_catalog_raise_our_error_or_change_nothing(path):
    with Archive.open(path) as archive:
        before = answers(archive)
    checkpoint(path)
    file = path / "catalog.sqlite"
    whole = file.read_bytes()
    rng = np.random.default_rng(5)
    said = 0
    for at in rng.integers(0, len(whole), 60):
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        file.write_bytes(whole)
        flip(file, int(at), int(rng.integers(8)))
        try:
            with Archive.open(path) as archive:
                found = answers(archive)
                problems = verify(archive, full=True)
            assert found == before or problems
            assert {row[2] for row in found} <= {row[2] for row in before}
        except BandsightError:
            said += 1
    assert said


def test_a_truncated_catalog_is_an_error_with_advice(path):
    checkpoint(path)
    file = path / "catalog.sqlite"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(ArchiveError, match=r"catalog\.sqlite"), Archive.open(path) as archive:
        nearest(archive, vectors(1, 1), 10_000)
    with pytest.raises(ArchiveError, match=r"catalog\.sqlite|backup"):
        repair(path)


def test_there_is_nothing_to_repair_in_an_intact_archive(path):
    with Archive.open(path) as archive:
        before = archive.stats(), answers(archive)
    assert repair(path) == []
    with Archive.open(path) as archive:
        assert (archive.stats(), answers(archive)) == before


def test_compaction_drops_deleted_rows_and_keeps_ids_scores_and_readers(path):
    with Archive.open(path) as reader, ArchiveWriter.open(path) as archive:
        archive.remove(["/scenes/5.tif"])
        before = [(hit.tile.id, hit.score) for hit in nearest(archive, vectors(1, 1), 10_000)[0]]
        assert len(before) == len(nearest(reader, vectors(1, 1), 10_000)[0])
        done = archive.compact()
        assert done["deleted_vectors_before"] == 8
        assert (done["segments_after"], done["deleted_vectors_after"]) == (1, 0)
        assert done["vector_bytes_after"] < done["vector_bytes_before"]
        for one in (archive, reader):
            assert [(hit.tile.id, hit.score) for hit in nearest(one, vectors(1, 1), 10_000)[0]] == before
            assert verify(one, full=True) == []
        # The index goes on with the same ids.
        assert archive.stats()["index"]["index"] != "none"
        archive.add([entry(5)])
        assert len(nearest(reader, vectors(1, 1), 10_000)[0]) == len(before) + 4
        assert archive.compact()["segments_before"] == 2
        again = archive.compact()
        assert again["segments_before"] == again["segments_after"]
    assert len(list((path / "vectors").iterdir())) == 1


def test_an_index_stays_valid_when_the_newest_tiles_are_removed_and_compacted(path, monkeypatch):
    monkeypatch.setattr(building, "WORTH_IT", 10)
    with ArchiveWriter.open(path) as archive:
        archive.optimize()
        archive.remove(["/scenes/21.tif"])
        archive.compact()
    with ArchiveWriter.open(path) as archive:
        assert archive.stats()["index"]["rows"] == archive.stats()["tiles"] + TILES
        assert verify(archive, full=True) == []


def test_an_index_with_tiles_that_the_catalog_never_had_is_deleted(path, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "WORTH_IT", 10)
    checkpoint(path)
    shutil.copytree(path, tmp_path / "older")
    with ArchiveWriter.open(path) as archive:
        archive.add([entry(60)])
        archive.optimize()
    for name in ("ivf.faiss", "ivf.json"):
        shutil.copyfile(path / "index" / name, tmp_path / "older" / "index" / name)
    with Archive.open(tmp_path / "older") as archive:
        assert archive.store.index_figures == {"index": "none"}
    with ArchiveWriter.open(tmp_path / "older") as archive:
        archive.add([entry(61), entry(62)])
        assert not (tmp_path / "older" / "index" / "ivf.faiss").exists()


def test_compaction_does_not_give_damage_a_new_checksum(path):
    file = sorted((path / "vectors").iterdir())[2]
    flip(file, file.stat().st_size - 5)
    with ArchiveWriter.open(path) as archive, pytest.raises(ArchiveError, match="run: bandsight repair"):
        archive.compact()


def test_an_archive_emptied_and_compacted_can_be_filled_again(tmp_path):
    with filled(tmp_path / "a", 2) as archive:
        archive.remove(["/scenes/0.tif", "/scenes/1.tif"])
        assert archive.compact()["segments_after"] == 0
        assert nearest(archive, vectors(1, 1), 5) == [[]]
        archive.add([entry(0)])
        assert min(hit.tile.id for hit in nearest(archive, vectors(1, 1), 5)[0]) == 9
        assert verify(archive, full=True) == []


def test_removing_an_unknown_scene_names_it_and_removes_nothing(path):
    with ArchiveWriter.open(path) as archive:
        with pytest.raises(NotFoundError, match=r"/scenes/77\.tif: this archive has no such scene"):
            archive.remove(["/scenes/1.tif", "/scenes/77.tif"])
        assert archive.stats()["scenes"] == SCENES + 2


def test_a_backup_during_writes_is_one_whole_generation(path, tmp_path):
    stop = threading.Event()
    with ArchiveWriter.open(path) as writer, Archive.open(path) as reader:

        def write() -> None:
            for number in range(1000):
                if stop.is_set():
                    return
                writer.add([entry(number % 8, version=100 + number)])
                if number % 5 == 4:
                    writer.compact()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            generations = [back_up(reader, tmp_path / f"copy{n}") for n in range(4)]
        finally:
            stop.set()
            thread.join()
    assert generations == sorted(generations)
    for n, generation in enumerate(generations):
        with ArchiveWriter.open(tmp_path / f"copy{n}") as copy:
            assert copy.generation == generation
            assert verify(copy, full=True) == []
            names = [hit.scene.name for hit in nearest(copy, vectors(1, 1), 10_000)[0]]
            assert all(names.count(name) in {4, 5} for name in set(names))
            assert copy.stats()["index"]["index"] != "none"
            copy.add([entry(50)])
    with Archive.open(path) as archive, pytest.raises(ArchiveError, match="not empty"):
        back_up(archive, tmp_path / "copy0")


def test_a_backup_of_a_damaged_archive_is_refused(path, tmp_path):
    file = sorted((path / "vectors").iterdir())[2]
    with Archive.open(path) as archive:
        flip(file, file.stat().st_size - 5)
        with pytest.raises(ArchiveError, match="then back up again"):
            back_up(archive, tmp_path / "copy")
    assert not (tmp_path / "copy" / "catalog.sqlite").exists()


class Full:
    """A file that takes some bytes and then no more, as a full disk does."""

    def __init__(self, file, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data) -> int:
        data = bytes(data)
        self._file.write(data[: self._room])
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def no_room(patch, room: int) -> None:
    real = Path.open

    def opened(self, mode="r", *arguments, **options):
        file = real(self, mode, *arguments, **options)
        return Full(file, room) if "w" in mode and self.suffix == ".tmp" else file

    patch.setattr(Path, "open", opened)


def broken(number: int, text: str):
    def call(*arguments, **options):
        raise OSError(number, text)

    return call


FAULTS = {
    "no room at all": lambda patch: no_room(patch, 0),
    "room for half": lambda patch: no_room(patch, 100),
    "flushing fails": lambda patch: patch.setattr(durable.os, "fsync", broken(errno.EIO, "Input/output error")),
    "naming fails": lambda patch: patch.setattr(Path, "replace", broken(errno.EIO, "Input/output error")),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["add", "replace", "compact", "optimize"])
def test_a_disk_failure_is_one_clear_error_and_keeps_the_previous_state(path, monkeypatch, fault, step):
    monkeypatch.setattr(building, "WORTH_IT", 10)
    with ArchiveWriter.open(path) as archive:
        before = answers(archive), archive.generation
        index = archive.stats()["index"]
        work = {
            "add": lambda: archive.add([entry(30)]),
            "replace": lambda: archive.add([entry(1, version=7)]),
            "compact": archive.compact,
            "optimize": archive.optimize,
        }[step]
        with monkeypatch.context() as patch:
            FAULTS[fault](patch)
            with pytest.raises(ArchiveError, match=r"cannot be written .*(nothing is lost|works without)"):
                work()
        assert list(path.rglob(".*.tmp")) == []
        assert (answers(archive), archive.generation) == before
        with Archive.open(path) as reader:
            assert answers(reader) == before[0]
            if step != "optimize":
                assert reader.stats()["index"] == index
        work()
        assert verify(archive, full=True) == []


def test_a_full_disk_for_the_catalog_is_a_clear_error_and_keeps_the_previous_state(path):
    with ArchiveWriter.open(path) as archive:
        before = answers(archive)
        with archive.database._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        archive.database._engine.dispose()

        from sqlalchemy import event

        @event.listens_for(archive.database._engine, "connect")
        def limit(connection, _):
            connection.execute(f"PRAGMA max_page_count = {pages + 1}")

        with pytest.raises(ArchiveError, match="disk is full"):
            archive.add([entry(n, 40) for n in range(30, 60)])
        assert answers(archive) == before
        assert verify(archive, full=True) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_files_that_cannot_be_read_are_named(path, monkeypatch, number):
    real = Path.open

    def opened(self, *arguments, **options):
        if self.suffix == ".bsv":
            raise OSError(number, os.strerror(number), str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(ArchiveError, match=r"seg-.*\.bsv: cannot be read"):
        Archive.open(path)


def test_an_archive_on_a_read_only_disk_can_be_searched(path, monkeypatch):
    with Archive.open(path) as archive:
        before = answers(archive)
    for file in (path / "index").glob("seg-*"):
        file.unlink()
    monkeypatch.setattr(Path, "write_bytes", broken(errno.EROFS, "Read-only file system"))
    with Archive.open(path) as archive:
        assert answers(archive) == before


def old_archive(path: Path) -> None:
    """Turn an archive into one of the first format: schema 0002, vector files without ids and checks."""
    import hashlib
    import struct

    with Archive.open(path) as archive:
        parts = [shown.part for shown in archive.store._state.shown]
    connection = sqlite3.connect(path / "catalog.sqlite")
    for part in parts:
        body = np.asarray(part.file.rows).tobytes()
        digest = hashlib.sha256(body)
        name = f"seg-{part.segment.first_id:012d}-{digest.hexdigest()[:12]}"
        header = struct.pack(
            "<8sIIQQ32s", b"BSVECTOR", 1, 16, part.segment.first_id, part.segment.count, digest.digest()
        )
        (path / "vectors" / f"{part.segment.name}.bsv").unlink()
        (path / "vectors" / f"{name}.bsv").write_bytes(header + body)
        connection.execute(
            "UPDATE segments SET name = ?, sha256 = ? WHERE name = ?", (name, digest.hexdigest(), part.segment.name)
        )
    connection.commit()
    connection.close()
    shutil.rmtree(path / "index")
    engine = open_engine(path / "catalog.sqlite")
    migrate(engine, "0002")
    engine.dispose()


def test_an_archive_of_the_first_format_is_upgraded_searched_checked_and_compacted(path):
    with Archive.open(path) as archive:
        before = answers(archive)
    old_archive(path)
    with pytest.raises(ArchiveError, match="run: bandsight upgrade --archive"):
        Archive.open(path)
    upgrade(path)
    with ArchiveWriter.open(path) as archive:
        assert answers(archive) == before
        assert verify(archive, full=True) == []
        assert archive.stats()["format_version"] == 2
        archive.add([entry(40)])
        archive.compact()
        assert verify(archive, full=True) == []
        assert len(answers(archive)) == len(before) + 4
    file = sorted((path / "vectors").iterdir())[0]
    assert file.read_bytes()[8] == 2


def test_damage_in_the_first_format_is_found_and_all_of_the_file_is_lost(path):
    old_archive(path)
    upgrade(path)
    file = sorted((path / "vectors").iterdir())[0]
    flip(file, file.stat().st_size - 5)
    with Archive.open(path) as archive:
        assert "its rows do not match their checksum" in verify(archive, full=True)[0]
    assert any("lost: /scenes/0.tif" in line for line in repair(path))
    with ArchiveWriter.open(path) as archive:
        assert verify(archive, full=True) == []
        assert reindex_what_was_lost(archive) >= {"/scenes/0.tif"}
