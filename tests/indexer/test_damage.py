import shutil
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from bandsight.archive.admin import verify
from bandsight.search.ranking import nearest
from indexer import executor
from indexer.events import JobStarted, SceneFailed, SceneOpened
from indexer.pipeline import index
from indexer.reader_pool import ProcessReader
from indexer.tiling import Tiling
from tests.indexer import damage, misbehaving
from tests.rasters import picture, write


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash.tif", "its reader died (signal 11)"),
        ("hang.tif", "not done in 4 s; its reader was stopped"),
        ("odd.tif", "RuntimeError: as no one foresaw"),
        pytest.param(
            "hungry.tif", "needs more than", marks=pytest.mark.skipif(sys.platform != "linux", reason="needs rlimits")
        ),
    ],
)
def test_a_misbehaving_reader_fails_only_one_scene(tmp_path, archive, encoder, monkeypatch, name, reason):
    monkeypatch.setattr(executor, "read_tiles", misbehaving.read_tiles)
    for number, file in enumerate(("a.tif", name, "z.tif")):
        write(tmp_path / file, picture(3, 64, 64, seed=number))
    summary = index([tmp_path], archive=archive, model=encoder, isolate=True, workers=1, time_limit_s=4)
    assert summary.scenes == 2
    assert [failed for failed, _ in summary.failed] == [name]
    assert summary.failed[0][1].startswith(f"{name}: ")
    assert reason in summary.failed[0][1]
    assert not [
        child for child in psutil.Process().children(recursive=True) if "reader_process" in " ".join(child.cmdline())
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs Landlock")
def test_a_reader_cannot_read_outside_of_the_folders_of_the_scenes(tmp_path, archive, encoder, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("do not tell")
    monkeypatch.setattr(executor, "read_tiles", misbehaving.read_tiles)
    write(tmp_path / "in" / f"curious={str(secret).replace('/', '|')}.tif", picture(3, 64, 64))
    summary = index([tmp_path / "in"], archive=archive, model=encoder, isolate=True, workers=1)
    assert "PermissionError" in summary.failed[0][1]
    assert "do not tell" not in summary.failed[0][1]


def test_an_isolated_job_gives_the_same_tiles_and_vectors(tmp_path, encoder):
    from bandsight.archive import ArchiveWriter
    from tests.indexer.conftest import identity

    for number in range(3):
        write(tmp_path / "in" / f"{number}.tif", picture(3, 96, 160, seed=number))
    found = []
    for isolate in (False, True):
        with ArchiveWriter.create(tmp_path / f"archive{isolate}", identity(encoder)) as archive:
            index([tmp_path / "in"], archive=archive, model=encoder, isolate=isolate)
            hits, _ = nearest(archive, encoder.embed_texts(["x"]), 999)[0], None
            found.append([(hit.scene.name, hit.tile.cell, hit.tile.valid_fraction, hit.score) for hit in hits])
    assert found[0] == found[1]


def test_no_process_is_started_after_the_job_has_ended():
    from bandsight.errors import SceneError

    readers = ProcessReader()
    readers.close()
    with pytest.raises(SceneError, match="the job has ended"):
        readers.call(len, "x")


def test_dead_reader_processes_are_replaced():
    from bandsight.errors import SceneError

    others = set(psutil.Process().children())
    readers = ProcessReader()
    try:
        assert readers.call(len, "x") == 1
        (template,) = set(psutil.Process().children()) - others
        (reader,) = template.children()
        template.kill()
        reader.kill()
        with pytest.raises(SceneError, match="its reader died"):
            readers.call(len, "x")
        assert readers.call(len, "xy") == 2
    finally:
        readers.close()
    assert set(psutil.Process().children()) <= others


def test_a_reader_is_forked_from_a_process_of_one_thread():
    others = set(psutil.Process().children())
    readers = ProcessReader()
    readers.call(len, "x")
    (template,) = set(psutil.Process().children()) - others
    assert template.num_threads() == 1
    readers.close()


def test_damaged_rasters_fail_only_their_own_scenes(tmp_path, archive, encoder):
    """Hundreds of broken files and a few sound ones in one job: it ends, says why, and keeps what is sound."""
    (tmp_path / "in").mkdir()
    files = damage.sound(tmp_path / "in")
    secret = write(tmp_path / "outside" / "secret.tif", picture(3, 96, 96, seed=9))
    broken = list(damage.damaged(files, tmp_path / "in" / "broken", secret))
    assert len(broken) >= 300
    # Two sound ones after them in the order of the job, too.
    last = [Path(shutil.copy(files[0], tmp_path / "in" / f"z{number}.tif")) for number in range(2)]
    peak = 0

    class Watch:
        """Looks at the readers' memory whenever a scene has been opened."""

        def on(self, event):
            nonlocal peak
            if isinstance(event, JobStarted):
                assert event.scenes >= len(broken) + len(files)
            if not isinstance(event, SceneOpened | SceneFailed):
                return
            for child in psutil.Process().children(recursive=True):
                try:
                    peak = max(peak, child.memory_info().rss)
                except psutil.Error:
                    continue

    summary = index(
        [tmp_path / "in"],
        archive=archive,
        model=encoder,
        tiling=Tiling(tile_px=32),
        isolate=True,
        time_limit_s=15,
        progress=Watch(),
    )
    names = {scene.name for scene in archive.scenes()}
    assert {path.name for path in (*files, *last)} <= names
    failed = dict(summary.failed)
    assert len(failed) == len(summary.failed)
    assert all(reason and name.split("/")[-1] in reason for name, reason in failed.items())
    # Every scene is accounted for: indexed, or failed with its reason.
    assert {path.name for path in broken if path.suffix != ".zip"} <= names | set(failed)
    assert {"vrt.tif", "nan_dem.tif", "bomb_dem.tif", "zeros.tif"} <= set(failed)
    assert len(failed) > 150
    assert peak < 1 << 30
    assert verify(archive, full=True) == []
    vectors = nearest(archive, encoder.embed_texts(["x"]), 100_000)[0]
    assert np.isfinite([hit.score for hit in vectors]).all()


def test_a_truncated_file_is_reported_with_the_drivers_message(tmp_path, archive, encoder):
    path = write(tmp_path / "a.tif", picture(3, 64, 64), blockysize=16)
    path.write_bytes(path.read_bytes()[:6000])
    summary = index([path], archive=archive, model=encoder)
    ((_, reason),) = summary.failed
    assert "a.tif: cannot be read (" in reason
    assert "See previous exception" not in reason
