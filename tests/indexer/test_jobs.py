import json
import threading
import time
from collections import Counter

import pytest

from bandsight.archive.admin import verify
from bandsight.errors import ArchiveError, ArchiveLockedError, SceneError
from indexer import executor, gpu, job, writer
from indexer.console import console_progress
from indexer.estimate import estimate
from indexer.pipeline import index
from indexer.reader_pool import InlineReader, RetryingReader
from indexer.source import Source
from indexer.tiling import Tiling
from indexer.watch import watch
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write


def scenes(folder, count, side=64):
    for number in range(count):
        write(folder / f"{number}.tif", picture(3, side, side, seed=number), origin=(320_000, 5_760_000))
    return folder


class Cramped(FakeEmbedder):
    """A model on a device that holds few tiles at once."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds, self.refused = holds, 0

    def embed_pixels(self, pixels, wavelengths):
        if len(pixels) > self.holds:
            self.refused += 1
            raise OutOfMemoryError("CUDA out of memory")
        return super().embed_pixels(pixels, wavelengths)


class OutOfMemoryError(RuntimeError):
    """As PyTorch calls it."""


def test_too_little_device_memory_halves_the_batch(tmp_path, archive):
    cramped = Cramped(holds=5)
    summary = index([scenes(tmp_path, 8)], archive=archive, model=cramped, batch_size=32)
    assert (summary.scenes, summary.tiles, summary.failed) == (8, 32, [])
    assert max(shape[0] for shape in cramped.batches) == 4
    assert cramped.refused == 3


def test_a_device_without_memory_for_one_tile_is_an_error(tmp_path, archive):
    with pytest.raises(OutOfMemoryError):
        index([scenes(tmp_path, 1)], archive=archive, model=Cramped(holds=0), batch_size=4)


def test_the_first_failure_stops_the_job_on_request_and_keeps_finished_scenes(tmp_path, archive, encoder):
    scenes(tmp_path, 3)
    (tmp_path / "3.tif").write_text("no raster")
    for number in range(4, 40):
        write(tmp_path / f"x{number}.tif", picture(3, 64, 64, seed=number))
    summary = index([tmp_path], archive=archive, model=encoder, fail_fast=True, workers=1)
    assert len(summary.failed) == 1
    assert summary.scenes < 10
    assert verify(archive, full=True) == []


def test_a_disk_that_is_full_ends_the_job_with_its_reason(tmp_path, archive, encoder, monkeypatch):
    def full(*_):
        raise ArchiveError("no space left on device")

    monkeypatch.setattr(archive, "add", full)
    with pytest.raises(ArchiveError, match="no space left"):
        index([scenes(tmp_path, 2)], archive=archive, model=encoder)


def test_the_log_covers_the_job_from_start_to_end(tmp_path, archive, encoder):
    scenes(tmp_path / "in", 3)
    (tmp_path / "in" / "bad.tif").write_text("no raster")
    with console_progress(log=tmp_path / "log.jsonl") as progress:
        summary = index([tmp_path / "in"], archive=archive, model=encoder, progress=progress)
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert Counter(event["event"] for event in events) == {
        "begin": 1, "opened": 3, "failed": 1, "committed": 1, "end": 1
    }  # fmt: skip
    assert events[0]["scenes"] == 4
    assert events[-1]["event"] == "end"
    assert {key: events[-1][key] for key in ("scenes", "tiles")} == {"scenes": 3, "tiles": 12}
    assert events[-1]["failed"][0]["scene"] == "bad.tif"
    assert 0 <= events[-1]["model_busy"] <= 1
    assert summary.as_dict()["tiles"] == 12
    assert all(event["at"].endswith("+00:00") for event in events)


def test_an_estimate_writes_nothing_and_matches_the_job(tmp_path, archive, encoder):
    scenes(tmp_path, 3)
    (tmp_path / "bad.tif").write_text("no raster")
    tiling = Tiling(tile_px=32)
    index([tmp_path / "0.tif"], archive=archive, model=encoder, tiling=tiling)
    before = archive.generation
    found = estimate([tmp_path], archive=archive, model=encoder, tiling=tiling)
    assert (found.scenes, found.skipped, sum(found.tiles.values()), len(found.failed)) == (2, 1, 8, 1)
    assert found.disk > 0
    assert "would index at most 8 tiles of 2 scenes" in found.text()
    assert archive.generation == before
    assert index([tmp_path], archive=archive, model=encoder, tiling=tiling).tiles == 8


def test_a_watched_folder_is_indexed_as_it_fills_and_failures_are_reported_once(tmp_path, archive, encoder):
    scenes(tmp_path, 1)
    (tmp_path / "bad.tif").write_text("no raster")
    (tmp_path / "bad.zip").write_text("no zip")
    rounds, said = [], []

    def once(failed):
        summary = index([tmp_path], archive=archive, model=encoder, known_failures=failed)
        rounds.append((summary.scenes, summary.skipped_scenes, len(summary.failed)))
        if len(rounds) == 2:
            write(tmp_path / "new.tif", picture(3, 64, 64, seed=5))
        if len(rounds) == 3:
            write(tmp_path / "bad.tif", picture(3, 64, 64, seed=6))
        return summary

    watch(once, said.append, 0.01, rounds=4)
    assert rounds == [(1, 0, 2), (0, 3, 0), (1, 3, 0), (1, 3, 0)]
    assert len(said) == 3


def test_remote_failures_are_retried_and_local_ones_are_not():
    calls = []

    def shaky(source, fail):
        calls.append(source.name)
        if len(calls) <= fail:
            raise SceneError("HTTP response code: 503")
        return "done"

    away = Source(name="away", hrefs=("https://x/a.tif",))
    patient = RetryingReader(InlineReader(), pauses_s=(0.01, 0.01))
    assert patient.call(shaky, away, 2) == "done"
    assert len(calls) == 3
    calls.clear()
    with pytest.raises(SceneError):
        patient.call(shaky, away, 9)
    assert len(calls) == 3
    calls.clear()
    with pytest.raises(SceneError):
        patient.call(shaky, Source(name="here", hrefs=("/a.tif",)), 2)
    assert len(calls) == 1


def test_missing_files_are_not_waited_for():
    def gone(source):
        raise SceneError("HTTP response code: 404")

    patient = RetryingReader(InlineReader(), pauses_s=(30.0,))
    began = time.monotonic()
    with pytest.raises(SceneError):
        patient.call(gone, Source(name="away", hrefs=("https://x/a.tif",)))
    patient.close()
    assert time.monotonic() - began < 5


def test_an_unused_gpu_is_reported_prominently(monkeypatch):
    monkeypatch.setattr(gpu.Path, "glob", lambda *_: iter(["/dev/nvidia0"]))
    assert "HAS A GPU" in (gpu.unused_gpu("cpu") or "")
    assert gpu.unused_gpu("cuda:0") is None
    monkeypatch.setattr(gpu.Path, "glob", lambda *_: iter([]))
    assert gpu.unused_gpu("cpu") is None


def test_reading_and_writing_go_on_while_the_model_works(tmp_path, archive, monkeypatch):
    """The first pass of the model waits for a read to end, the first commit for the model to be asked again."""
    scenes(tmp_path, 12)
    real_add, real_read = archive.add, executor.read_tiles
    counts, changed, together = Counter(), threading.Condition(), []

    def happened(what):
        with changed:
            counts[what] += 1
            changed.notify_all()
            return counts[what]

    def first_waits(what, other):
        """Note that something happened; the first time, wait until another thing happens once more."""
        with changed:
            seen = counts[other]
            if happened(what) == 1:
                together.append(changed.wait_for(lambda: counts[other] > seen, timeout=60))

    class Waiting(FakeEmbedder):
        def embed_pixels(self, pixels, wavelengths):
            first_waits("model", "read ended")
            if counts["model"] > 3:
                # The first scenes are done by now; their commit begins before the model has seen everything.
                with changed:
                    changed.wait_for(lambda: counts["add"] > 0, timeout=60)
            return super().embed_pixels(pixels, wavelengths)

    def waiting_add(*batch):
        first_waits("add", "model")
        return real_add(*batch)

    def waiting_read(*args, **options):
        if happened("read begun") > 2:
            # The first two fill a batch; the others are still at it when the model begins.
            with changed:
                changed.wait_for(lambda: counts["model"] > 0, timeout=60)
        tiles = real_read(*args, **options)
        happened("read ended")
        return tiles

    monkeypatch.setattr(job, "_COMMIT_TILES", 4)
    # Back-pressure is not what is looked at; what a job notes of itself is written in the same thread.
    monkeypatch.setattr(writer, "_PENDING", 100)
    monkeypatch.setattr(archive, "add", waiting_add)
    monkeypatch.setattr(executor, "read_tiles", waiting_read)
    summary = index([tmp_path], archive=archive, model=Waiting(), batch_size=4, workers=2)
    assert summary.tiles == 48
    assert together == [True, True]


def test_a_round_during_another_write_is_skipped_and_reported_once(tmp_path, archive, encoder):
    scenes(tmp_path, 1)
    rounds, said = [], []

    def once(failed):
        rounds.append(len(failed))
        if len(rounds) < 3:
            raise ArchiveLockedError("archive: process 7 is writing to this archive")
        return index([tmp_path], archive=archive, model=encoder, known_failures=failed)

    assert watch(once, said.append, 0.01, rounds=4).skipped_scenes == 1
    assert said[0] == "archive: process 7 is writing to this archive; trying again every 0.01 s"
    assert len(said) == 2
    assert said[1].startswith("indexed ")
