"""Scenes too large for one step: written in parts, gone on with after a kill, and shown when they are whole."""

import signal
import time

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import verify
from bandsight.errors import ArchiveError
from bandsight.search.ranking import nearest
from indexer import executor, job, tile_plan
from indexer.checkpoints import CheckpointFolder
from indexer.events import CheckpointSaved
from indexer.pipeline import index
from indexer.tiling import Tiling
from tests.commands import started
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
from tests.rasters import picture, write

STEP = 16

JOB = f"""
import sys, time
from pathlib import Path
from bandsight.archive import ArchiveWriter
from indexer import job, pipeline, tile_plan
from indexer.events import CheckpointSaved
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
class Counting(FakeEmbedder):
    def embed_pixels(self, pixels, wavelengths):
        time.sleep(0.005)
        with Path(sys.argv[3]).open("a") as file:
            file.write(f"{{len(pixels)}}\\n")
        return super().embed_pixels(pixels, wavelengths)
class Telling:
    def on(self, event):
        if isinstance(event, CheckpointSaved):
            print("saved", flush=True)
job._COMMIT_TILES, tile_plan._VALUES_PER_READ = {STEP}, 4 * 3 * 32 * 32
model = Counting()
with ArchiveWriter.open_or_create(Path(sys.argv[2]), identity(model)) as archive:
    print("ready", flush=True)
    pipeline.index([sys.argv[1]], archive=archive, model=model, batch_size=4, progress=Telling())
"""


class Breaking:
    """Stops a job, as Ctrl-C does, once so many parts are on disk."""

    def __init__(self, parts: int) -> None:
        self.left = parts

    def on(self, event):
        self.left -= isinstance(event, CheckpointSaved)
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture
def small_steps(monkeypatch):

    monkeypatch.setattr(job, "_COMMIT_TILES", STEP)
    monkeypatch.setattr(tile_plan, "_VALUES_PER_READ", 4 * 3 * 32 * 32)


def rows(archive: Archive) -> list[tuple]:
    """All tiles with their vectors, by place."""
    hits = nearest(archive, FakeEmbedder().embed_texts(["x"]), 10_000)[0]
    found = archive.vectors([hit.tile.id for hit in hits])
    return sorted(
        (hit.scene.href, hit.tile.cell, hit.tile.valid_fraction, vector.tobytes())
        for hit, vector in zip(hits, found, strict=True)
    )


def test_a_killed_job_resumes_within_a_scene_and_repeats_at_most_one_step(tmp_path):
    scene = write(tmp_path / "in" / "big.tif", picture(3, 512, 512), origin=(320_000, 5_760_000))
    counts, path = tmp_path / "counts", tmp_path / "archive"
    kills = 0
    for number in range(50):
        job = started(JOB, str(scene), str(path), str(counts))
        if number < 4:
            # Somewhere after a few parts of this run.
            assert job.stdout is not None
            for _ in range(2):
                job.stdout.readline()
            time.sleep(0.01 * number)
            job.send_signal(signal.SIGKILL)
            kills += 1
        job.communicate()
        with Archive.open(path) as archive:
            assert verify(archive, full=True) == []
            tiles = archive.stats()["tiles"]
            # Nothing of it is seen before all of it is.
            assert tiles in {0, 256}
            states = [one.state for one in archive.jobs.newest()]
        if tiles:
            break
    assert states == ["successful"] + ["failed"] * kills
    embedded = sum(int(line) for line in counts.read_text().splitlines())
    # A batch may be under way, and reads are handled whole.
    assert embedded <= 256 + kills * (STEP + 8)
    assert not list((path / "pending").iterdir())
    with Archive.open(path) as archive:
        cells = [row[1] for row in rows(archive)]
    assert len(cells) == len(set(cells)) == 256


def test_a_scene_written_in_parts_equals_the_scene_in_one_piece(tmp_path, encoder, small_steps, monkeypatch):
    values = picture(3, 300, 420)
    values[:, 40:90, 100:200] = 0
    scene = write(tmp_path / "in" / "a.tif", values, nodata=0)
    found = []
    for name, step in (("parts", STEP), ("whole", 100_000)):
        monkeypatch.setattr(job, "_COMMIT_TILES", step)
        with ArchiveWriter.create(tmp_path / name, identity(encoder)) as archive:
            summary = index([scene], archive=archive, model=encoder, batch_size=8)
            found.append((rows(archive), dict(summary.skipped_tiles), archive.scenes()[0].properties))
            assert verify(archive, full=True) == []
    assert found[0] == found[1]


def test_work_done_before_ctrl_c_is_not_repeated(tmp_path, archive, encoder, small_steps):
    scene = write(tmp_path / "a.tif", picture(3, 512, 512), origin=(320_000, 5_760_000))
    with pytest.raises(KeyboardInterrupt):
        index([scene], archive=archive, model=encoder, batch_size=4, progress=Breaking(6))
    before = sum(shape[0] for shape in encoder.batches)
    assert archive.stats()["tiles"] == 0
    assert archive.jobs.newest()[0].state == "dismissed"
    index([scene], archive=archive, model=encoder, batch_size=4)
    assert archive.stats()["tiles"] == 256
    assert sum(shape[0] for shape in encoder.batches) - 256 <= 2 * STEP
    assert before < 256


def test_a_damaged_checkpoint_is_repeated(tmp_path, archive, encoder, small_steps):
    scene = write(tmp_path / "a.tif", picture(3, 512, 512), origin=(320_000, 5_760_000))
    with pytest.raises(KeyboardInterrupt):
        index([scene], archive=archive, model=encoder, batch_size=4, progress=Breaking(6))
    parts = sorted((archive.path / "pending").glob("*/0*.npz"))
    data = bytearray(parts[1].read_bytes())
    data[len(data) // 2] ^= 0xFF
    parts[1].write_bytes(data)
    parts[2].write_bytes(parts[2].read_bytes()[:100])
    index([scene], archive=archive, model=encoder, batch_size=4)
    assert len({row[1] for row in rows(archive)}) == archive.stats()["tiles"] == 256
    assert verify(archive, full=True) == []


@pytest.mark.parametrize("change", ["scene", "tiling"])
def test_checkpoints_of_changed_scenes_are_not_used(tmp_path, archive, encoder, small_steps, change):
    scene = write(tmp_path / "a.tif", picture(3, 512, 512), origin=(320_000, 5_760_000))
    with pytest.raises(KeyboardInterrupt):
        index([scene], archive=archive, model=encoder, batch_size=4, progress=Breaking(6))
    tiling = Tiling(tile_px=32, min_valid=0.4 if change == "tiling" else 0.5)
    if change == "scene":
        write(scene, picture(3, 512, 512, seed=5), origin=(320_000, 5_760_000))
    index([scene], archive=archive, model=encoder, batch_size=4, tiling=tiling)
    found = rows(archive)
    with ArchiveWriter.create(tmp_path / "again", identity(encoder)) as other:
        index([scene], archive=other, model=encoder, batch_size=4, tiling=tiling)
        assert rows(other) == found
    assert not list((archive.path / "pending").iterdir())


def test_leftover_checkpoints_of_an_indexed_scene_are_deleted(tmp_path, archive, encoder, small_steps, monkeypatch):
    scene = write(tmp_path / "a.tif", picture(3, 512, 512))
    # As if the process had died between the commit and the deletion.
    monkeypatch.setattr(CheckpointFolder, "drop", lambda _: None)
    index([scene], archive=archive, model=encoder)
    assert list((archive.path / "pending").iterdir())
    assert index([scene], archive=archive, model=encoder).skipped_scenes == 1
    assert not list((archive.path / "pending").iterdir())


def test_a_scene_that_fails_halfway_leaves_nothing(tmp_path, archive, encoder, small_steps, monkeypatch):
    scene = write(tmp_path / "a.tif", picture(3, 512, 512))
    real, calls = executor.read_tiles, []

    def failing(*args, **options):
        calls.append(args)
        if len(calls) > 20:
            raise ValueError("a hole in the file")
        return real(*args, **options)

    monkeypatch.setattr(executor, "read_tiles", failing)
    summary = index([scene], archive=archive, model=encoder, batch_size=4, workers=1)
    assert "a hole in the file" in summary.failed[0][1]
    assert archive.stats()["tiles"] == 0
    assert not list((archive.path / "pending").iterdir())


def test_the_cloud_cover_of_a_scene_in_parts_is_that_of_all_its_tiles(tmp_path, archive, encoder, small_steps):
    for band in ("B02", "B03", "B04"):
        values = picture(1, 512, 512, dtype="uint16") * 20
        write(tmp_path / f"S2A_MSIL2A_20200101T100000_{band}_10m.tif", values, origin=(320_000, 5_760_000))
    scl = np.full((1, 256, 256), 4, np.uint8)
    scl[:, :64] = 9
    write(tmp_path / "S2A_MSIL2A_20200101T100000_SCL_20m.tif", scl, origin=(320_000, 5_760_000), gsd=20)
    with pytest.raises(KeyboardInterrupt):
        index([tmp_path], archive=archive, model=encoder, batch_size=4, progress=Breaking(6))
    index([tmp_path], archive=archive, model=encoder, batch_size=4)
    assert archive.scenes()[0].properties["eo:cloud_cover"] == 25
    shares = [hit.tile.cloud_fraction for hit in nearest(archive, encoder.embed_texts(["x"]), 999)[0]]
    assert (shares.count(1.0), shares.count(0.0)) == (64, 192)


def test_a_disk_that_fills_up_while_a_part_is_written_keeps_the_parts_before(
    tmp_path, archive, encoder, small_steps, monkeypatch
):
    scene = write(tmp_path / "a.tif", picture(3, 512, 512), origin=(320_000, 5_760_000))
    real, written = CheckpointFolder.write, []

    def write_some(self, part):
        if len(written) == 4:
            raise ArchiveError("no space left on device")
        written.append(len(part))
        real(self, part)

    monkeypatch.setattr(CheckpointFolder, "write", write_some)
    with pytest.raises(ArchiveError, match="no space left"):
        index([scene], archive=archive, model=encoder, batch_size=4)
    assert archive.jobs.newest()[0].message == "no space left on device"
    monkeypatch.setattr(CheckpointFolder, "write", real)
    before = sum(shape[0] for shape in encoder.batches)
    index([scene], archive=archive, model=encoder, batch_size=4)
    assert archive.stats()["tiles"] == 256
    assert sum(shape[0] for shape in encoder.batches) - before == 256 - sum(written)
