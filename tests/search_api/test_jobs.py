import pytest

from bandsight.archive import Archive
from bandsight.catalog.jobs import Counts


@pytest.fixture
def served(serve):
    with serve() as client:
        yield client


def test_a_finished_job_is_told_as_ogc_processes_has_it(served):
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
    from search_api.service import Service
    from search_api.settings import ApiSettings
    from tests.fakes import FakeEmbedder

    with Archive.create(tmp_path / "a", archive.model) as writer:
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


def test_a_job_that_is_not_there_is_said_so(served):
    answer = served.get("/jobs/99")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "job 99" in answer.json()["detail"]
    assert served.get("/jobs/x").status_code == 400
    assert served.get("/jobs?limit=0").status_code == 400
