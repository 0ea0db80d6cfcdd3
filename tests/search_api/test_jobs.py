import time

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import ArchiveWriter
from bandsight.catalog.jobs import Counts
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder


@pytest.fixture
def served(serve):
    with serve() as client:
        yield client


def test_a_finished_job_follows_ogc_processes(served):
    (job,) = served.get("/jobs").json()["jobs"]
    assert (job["jobID"], job["processID"], job["type"]) == ("1", "index", "process")
    assert (job["status"], job["progress"], job["message"]) == ("successful", 100, "")
    assert job["created"] <= job["started"] <= job["finished"]
    counts = job["bandsight:counts"]
    assert (counts["added"], counts["tiles_added"], counts["failed"]) == (3, 12, 0)
    one = served.get("/jobs/1").json()
    assert {key: value for key, value in one.items() if key != "bandsight:failures"} == job
    assert one["bandsight:failures"] == []


def test_jobs_come_in_pages_newest_first(serve, tmp_path, archive):
    from starlette.testclient import TestClient

    from search_api.app import create_app
    from search_api.settings import ApiSettings
    from tests.fakes import FakeEmbedder

    with ArchiveWriter.create(tmp_path / "a", archive.model) as writer:
        for number in range(5):
            writer.jobs.begin("index", [f"/in/{number}"], Counts(scenes=number))
        settings = ApiSettings(archive=writer.path)
        with TestClient(create_app(settings, Service(settings, writer, FakeEmbedder()))) as client:
            first = client.get("/jobs?limit=2").json()
            assert [job["jobID"] for job in first["jobs"]] == ["5", "4"]
            # One writer at a time: only the newest can still be at work.
            assert [job["status"] for job in first["jobs"]] == ["running", "failed"]
            seen = [job["jobID"] for job in first["jobs"]]
            page = first
            while links := [link["href"] for link in page["links"] if link["rel"] == "next"]:
                page = client.get(links[0]).json()
                seen += [job["jobID"] for job in page["jobs"]]
            assert seen == ["5", "4", "3", "2", "1"]


def test_an_unknown_job_is_404(served):
    response = served.get("/jobs/99")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("application/problem+json")
    assert "job 99" in response.json()["detail"]
    assert served.get("/jobs/x").status_code == 400
    assert served.get("/jobs?limit=0").status_code == 400


def test_urls_of_jobs_have_no_credentials_or_signatures(tmp_path, archive):
    secret = "https://me:secret@store.example/a.tif?sig=secret&x=1"
    with ArchiveWriter.create(tmp_path / "a", archive.model) as writer:
        job = writer.jobs.begin("index", [secret], Counts())
        writer.record_failure(secret, f"{secret}: no raster ({secret}); need another", scene="a.tif", job=job)
        settings = ApiSettings(archive=writer.path)
        with TestClient(create_app(settings, Service(settings, writer, FakeEmbedder()))) as client:
            document = client.get(f"/jobs/{job}").json()
    assert "secret" not in str(document)
    assert document["bandsight:sources"] == ["https://store.example/a.tif?…"]
    assert document["bandsight:failures"][0]["reason"].startswith("https://store.example/a.tif?…: no raster (")


def test_a_server_reloads_the_model_of_a_rebuilt_archive(tmp_path, scenes, monkeypatch):
    from bandsight.catalog.records import ModelIdentity
    from indexer.pipeline import index
    from indexer.reindex import reindex

    class Other(FakeEmbedder):
        name, digest, dim = "other", "0" * 64, 8

    models = {"fake": FakeEmbedder(), "other": Other()}
    monkeypatch.setattr("bandsight.model.load_for_queries", lambda name, _: models[name])
    model = models["fake"]
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(tmp_path / "a", identity) as writer:
        index([scenes], archive=writer, model=model)
        with TestClient(create_app(ApiSettings(archive=writer.path))) as client:
            assert client.get("/search?q=water").status_code == 200
            assert client.get("/version").json()["model"]["name"] == "fake"
            reindex(writer, models["other"])
            response = client.get("/search?q=water")
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")
            assert "reindexed with model other" in response.json()["detail"]
            for _ in range(100):
                response = client.get("/search?q=water")
                if response.status_code == 200:
                    break
                time.sleep(0.05)
            assert response.json()["features"]
            assert client.get("/version").json()["model"]["name"] == "other"
            assert [job["processID"] for job in client.get("/jobs").json()["jobs"]] == ["reindex", "index"]
