"""The record of jobs in an archive."""

import time

import pytest

from bandsight.catalog.jobs import Counts
from bandsight.errors import NotFoundError
from indexer import job_record
from indexer.pipeline import index
from indexer.progress import NullProgress
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        write(tmp_path / "in" / f"{number}.tif", picture(3, 64, 64, seed=number), origin=(320_000, 5_760_000))
    (tmp_path / "in" / "bad.tif").write_text("no raster")
    return tmp_path / "in"


def test_a_job_keeps_its_counts_and_the_reason_of_each_failure(folder, archive, encoder):
    index([folder / "0.tif"], archive=archive, model=encoder)
    index([folder], archive=archive, model=encoder)
    job = archive.jobs.get(2)
    counts = job.counts
    assert (job.kind, job.state, job.message, job.sources) == ("index", "successful", "1 scene failed", (str(folder),))
    assert (counts.scenes, counts.added, counts.skipped, counts.failed) == (5, 3, 1, 1)
    assert (counts.tiles, counts.tiles_added, counts.remaining_s) == (12, 12, None)
    assert job.finished is not None
    assert job.started <= job.updated <= job.finished
    ((scene, href, reason),) = job.failures
    assert (scene, href) == ("bad.tif", str(folder / "bad.tif"))
    assert "not a readable raster" in reason


def test_a_job_that_finds_nothing_to_do_leaves_no_record(folder, archive, encoder):
    (folder / "bad.tif").unlink()
    index([folder], archive=archive, model=encoder)
    index([folder], archive=archive, model=encoder)
    assert [job.id for job in archive.jobs.newest()] == [1]
    with pytest.raises(NotFoundError, match="job 2"):
        archive.jobs.get(2)


def test_a_running_job_can_be_watched(folder, archive, encoder, monkeypatch):
    """Its row is written anew every so often; here, it is waited for at each commit."""
    monkeypatch.setattr(job_record, "_BEAT_S", 0.01)
    seen: list[Counts] = []

    class Slow(FakeEmbedder):
        def embed_pixels(self, pixels, wavelengths):
            embedded, until = sum(shape[0] for shape in self.batches), time.monotonic() + 60
            while time.monotonic() < until:
                jobs = archive.jobs.newest()
                if jobs and jobs[0].counts.tiles == embedded:
                    assert jobs[0].state == "running"
                    seen.append(jobs[0].counts)
                    break
                time.sleep(0.005)
            return super().embed_pixels(pixels, wavelengths)

    index([folder], archive=archive, model=Slow(), batch_size=4, workers=1, progress=NullProgress())
    assert [counts.tiles for counts in seen] == [0, 4, 8, 12]
    assert seen[-1].tiles_per_s > 0
    assert seen[-1].remaining_s is not None


def test_an_error_and_ctrl_c_are_recorded(folder, archive, monkeypatch):
    class Broken(FakeEmbedder):
        def embed_pixels(self, pixels, wavelengths):
            raise self.error

    for error, state, message in (
        (RuntimeError("the model fell over"), "failed", "RuntimeError: the model fell over"),
        (KeyboardInterrupt(), "dismissed", "stopped; run the same command again to continue"),
    ):
        model = Broken()
        model.error = error
        with pytest.raises(type(error)):
            index([folder], archive=archive, model=model, batch_size=4)
        job = archive.jobs.newest()[0]
        assert (job.state, job.message) == (state, message)


def test_only_the_newest_jobs_are_kept(archive, monkeypatch):
    from bandsight.archive import job_log as job_book

    monkeypatch.setattr(job_book, "_KEPT", 3)
    for _ in range(5):
        job = archive.jobs.begin("index", [], Counts())
        archive.record_failure("/x", "why", job=job)
    assert [job.id for job in archive.jobs.newest()] == [5, 4, 3]
    with archive.database.reading() as catalog:
        from sqlalchemy import text

        assert set(catalog._db.execute(text("SELECT job_id FROM job_failures")).scalars()) == {3, 4, 5}
