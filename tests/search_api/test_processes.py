"""Jobs over HTTP: accepted, run in processes of their own, stopped, and begun again after a restart."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import verify
from bandsight.cli.loading import identity
from bandsight.errors import QueryError
from bandsight.model import load_model
from search_api.processes.definitions import PROCESSES, CompactInputs, Process
from search_api.processes.sources import check_sources
from tests.archive.makers import filled
from tests.rasters import picture, write
from tests.search_api.stac.conftest import app_of


@pytest.fixture
def archive(tmp_path):
    filled(tmp_path / "archive", 6).close()
    with Archive.open(tmp_path / "archive") as opened:
        yield opened


def client_of(archive: Archive, **settings: object) -> TestClient:
    return TestClient(app_of(archive, **settings), raise_server_exceptions=False)


@pytest.fixture
def client(archive, tmp_path):
    with client_of(archive, allow_writes=True, source_roots=(str(tmp_path / "in"),)) as made:
        yield made


def run(client: TestClient, process: str, **inputs: object) -> dict[str, Any]:
    response = client.post(f"/processes/{process}/execution", json={"inputs": inputs})
    assert response.status_code == 201, response.text
    assert response.headers["location"].endswith(f"/jobs/{response.json()['jobID']}")
    return response.json()


def until(client: TestClient, job: dict[str, Any], *states: str) -> dict[str, Any]:
    """Return a job once it has one of the states."""
    deadline = time.monotonic() + 240
    while (found := client.get(f"/jobs/{job['jobID']}").json())["status"] not in states:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


OVER = ("successful", "failed", "dismissed")


def test_scenes_are_removed_and_the_archive_is_compacted(client, archive, tmp_path):
    first = run(client, "remove", scenes=["/scenes/1.tif"])
    second = run(client, "compact")
    assert first["status"] == "accepted"
    assert "started" not in first
    done = until(client, second, *OVER)
    assert (done["status"], done["progress"], done["processID"]) == ("successful", 100, "compact")
    assert done["created"] <= done["started"] <= done["finished"]
    (link,) = [one["href"] for one in done["links"] if one["rel"].endswith("/results")]
    assert client.get(link).json()["summary"]["segments_after"] == 1
    summary = client.get(f"/jobs/{first['jobID']}/results").json()["summary"]
    assert summary == {"scenes_removed": 1, "generation": 4}
    archive.refresh()
    assert len(archive.scenes()) == 5
    assert verify(archive, full=True) == []


def test_a_failed_job_has_a_reason_and_no_results(client):
    job = until(client, run(client, "remove", scenes=["/scenes/99.tif"]), *OVER)
    assert job["status"] == "failed"
    assert job["message"] == "/scenes/99.tif: this archive has no such scene; hrefs come from a search"
    response = client.get(f"/jobs/{job['jobID']}/results")
    assert response.status_code == 404
    assert "it is failed: /scenes/99.tif" in response.json()["detail"]


def test_an_export_is_a_file_available_only_from_its_job(client, archive):
    job = until(client, run(client, "export", request={"limit": 5}, format="geojson"), *OVER)
    assert job["status"] == "successful", job
    (file,) = client.get(f"/jobs/{job['jobID']}/results").json()["files"]
    assert (file["title"], file["type"]) == ("results.geojson", "application/geo+json")
    response = client.get(file["href"])
    assert len(response.json()["features"]) == 5
    for other in (".request.json", "..%2f..%2fcatalog.sqlite", "none.csv"):
        assert client.get(f"/jobs/{job['jobID']}/files/{other}").status_code == 404
    folder = archive.path / "results" / job["jobID"]
    assert folder.is_dir()
    assert client.delete(f"/jobs/{job['jobID']}").json()["status"] == "dismissed"
    assert not folder.exists()
    assert client.get(f"/jobs/{job['jobID']}").status_code == 404


def test_scenes_are_indexed_with_progress(tmp_path):
    model = load_model("embedded", "cpu")
    ArchiveWriter.create(tmp_path / "archive", identity(model)).close()
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "photo_20200501.tif", picture(3, 448, 448, seed=1), origin=(400_000.0, 5_800_000.0))
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0 no raster")
    with (
        Archive.open(tmp_path / "archive") as archive,
        client_of(archive, allow_writes=True, source_roots=(str(tmp_path / "in"),)) as client,
    ):
        job = until(client, run(client, "index", sources=[str(tmp_path / "in")]), *OVER)
        assert (job["status"], job["message"]) == ("successful", "1 scene failed"), job
        assert job["bandsight:counts"]["added"] == 1
        assert "broken.tif" in job["bandsight:failures"][0]["reason"]
        assert client.get(f"/jobs/{job['jobID']}/results").json()["summary"]["scenes"] == 1
        # One record, not one of the queue and another of the command.
        assert [one["jobID"] for one in client.get("/jobs").json()["jobs"]] == [job["jobID"]]
        archive.refresh()
        assert archive.tile_count > 0


@pytest.fixture
def endless(tmp_path, monkeypatch):
    """A process that waits until it is stopped: it reads from a pipe that nobody writes to."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = Process(
        id="endless",
        title="Endless",
        description="Waits.",
        inputs=CompactInputs,
        command=lambda _, folder: ["export", f"--out={folder / 'x.csv'}", "--", str(pipe)],
    )
    monkeypatch.setitem(PROCESSES, "endless", process)


def test_a_running_job_is_stopped_and_the_next_one_starts(endless, client):
    first, second = run(client, "endless"), run(client, "compact")
    until(client, first, "running")
    assert client.get(f"/jobs/{second['jobID']}").json()["status"] == "accepted"
    assert client.delete(f"/jobs/{first['jobID']}").json()["status"] == "dismissed"
    assert until(client, second, *OVER)["status"] == "successful"
    assert client.get(f"/jobs/{first['jobID']}").json()["message"] == "dismissed by a request"


def test_a_waiting_job_is_dismissed(archive):
    with client_of(archive, allow_writes=True, run_jobs=False) as client:
        job = run(client, "compact")
        assert client.delete(f"/jobs/{job['jobID']}").json()["status"] == "dismissed"
        assert archive.job_queue.take() is None


def test_the_queue_survives_a_restart_in_the_middle_of_a_job(endless, archive, monkeypatch):
    with client_of(archive, allow_writes=True) as client:
        first, second = run(client, "endless"), run(client, "compact")
        until(client, first, "running")
    assert [job.state for job in archive.jobs.newest()] == ["accepted", "accepted"]
    monkeypatch.setitem(PROCESSES, "endless", PROCESSES["compact"])
    with client_of(archive, allow_writes=True) as client:
        assert until(client, first, *OVER)["status"] == "successful"
        assert until(client, second, *OVER)["status"] == "successful"


def test_a_job_whose_server_was_killed_is_restarted_a_limited_number_of_times(archive):
    queue = archive.job_queue
    job_id = queue.add("compact", [], {})
    for attempt in (1, 2, 3):
        assert queue.take() == job_id
        assert archive.jobs.get(job_id).attempts == attempt
        queue.recover()
    job = archive.jobs.get(job_id)
    assert (job.state, job.message) == (
        "failed",
        "the process that worked on it ended 3 times; see the server's log",
    )


def test_one_process_at_a_time_runs_jobs_of_the_queue(archive):
    lock = archive.job_queue.lock()
    assert lock is not None
    with client_of(archive, allow_writes=True) as client:
        job = run(client, "compact")
        assert archive.job_queue.lock() is None
        assert client.get(f"/jobs/{job['jobID']}").json()["status"] == "accepted"
        lock.release()
        assert until(client, job, *OVER)["status"] == "successful"


def test_files_that_no_job_owns_are_deleted(archive):
    orphan = archive.path / "results" / "77"
    orphan.mkdir(parents=True)
    archive.job_queue.recover()
    assert not orphan.exists()


def test_a_server_takes_no_jobs_unless_its_operator_allows_it(archive):
    with client_of(archive) as client:
        for response in (client.post("/processes/compact/execution", json={}), client.delete("/jobs/1")):
            assert response.status_code == 403
            assert "BANDSIGHT_ALLOW_WRITES=true" in response.json()["detail"]
        assert client.get("/processes").status_code == 200


@pytest.mark.parametrize(
    ("process", "inputs", "message"),
    [
        ("index", {"sources": ["/etc/passwd"]}, "is not under any of the server's source roots"),
        ("index", {"sources": ["{in}/../secret"]}, "is not under any"),
        ("index", {"sources": ["relative"]}, "is not under any"),
        ("index", {"sources": []}, "sources: found []"),
        ("index", {}, "sources: missing"),
        ("index", {"sources": ["{in}"], "tile_px": 1}, "tile_px: found 1"),
        ("index", {"sources": ["{in}"], "shell": "x"}, "shell: found"),
        ("evaluate", {"data": ["/etc"]}, "is not under any"),
        ("export", {"request": {"limit": 0}}, "limit: found 0"),
        ("export", {"request": {}, "format": "exe"}, "exe"),
        ("apply-classifier", {"classifier": "x", "threshold": 2}, "threshold: found 2"),
    ],
)
def test_invalid_inputs_are_rejected_immediately(client, tmp_path, process, inputs, message):
    text = json.dumps(inputs).replace("{in}", str(tmp_path / "in"))
    response = client.post(f"/processes/{process}/execution", json={"inputs": json.loads(text)})
    assert response.status_code == 400
    assert message in response.json()["detail"]


def test_an_unknown_process_is_404(client):
    for response in (client.get("/processes/format"), client.post("/processes/format/execution", json={})):
        assert response.status_code == 404
        assert "available: index, remove, optimize" in response.json()["detail"]


def test_processes_are_described_with_schemas_of_their_inputs(client):
    listed = client.get("/processes").json()["processes"]
    assert [one["id"] for one in listed] == [
        *("index", "remove", "optimize", "compact", "export", "evaluate", "apply-classifier", "build-atlas"),
    ]
    for one in listed:
        assert one["jobControlOptions"] == ["async-execute", "dismiss"]
        described = client.get(f"/processes/{one['id']}").json()
        assert set(described["inputs"]) == set(PROCESSES[one["id"]].inputs.model_fields)
        assert "summary" in described["outputs"]
    assert client.get("/processes/index").json()["inputs"]["sources"]["minOccurs"] == 1
    conformance = client.get("/conformance").json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core" in conformance
    rels = [one["rel"] for one in client.get("/").json()["links"]]
    assert "http://www.opengis.net/def/rel/ogc/1.0/processes" in rels


ROOTS = ("/data/in", "https://example.org/scenes/", "s3://bucket/a")


@pytest.mark.parametrize(
    "source",
    [
        *("/data/in", "/data/in/a.tif", "/data/in/*/b?.tif", "https://example.org/scenes/a.tif?sig=x"),
        *("stac:https://example.org/scenes/stac", "s3://bucket/a/b.tif"),
    ],
)
def test_sources_under_a_root_are_allowed(source):
    check_sources([source], ROOTS)


@pytest.mark.parametrize(
    "source",
    [
        *("/data/inside", "/data/in/../x", "/data/in/*/../../x", "/data/*/a.tif", "/vsicurl/http://x", "in/a.tif", ""),
        *("https://example.org/scenesx/a", "https://example.org/scenes/../a", "https://example.org/scenes/%2e%2e/a"),
        *("https://example.org@evil.test/scenes/a", "https://example.org:444/scenes/a", "http://example.org/scenes/a"),
        *("https://me:pw@example.org/scenes/a", "s3://bucket/ab", "s3://other/a/b", "file:///data/in/a.tif", "-x"),
    ],
)
def test_sources_elsewhere_are_refused(source):
    with pytest.raises(QueryError, match="is not under any of the server's source roots"):
        check_sources([source], ROOTS)


def test_a_link_that_leads_out_of_a_root_is_refused(tmp_path: Path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "link").symlink_to(elsewhere)
    check_sources([f"{root}/a.tif"], [str(root)])
    for source in (f"{root}/link/a.tif", f"{root}/link/*.tif", f"{root}/link"):
        with pytest.raises(QueryError, match="is not under any"):
            check_sources([source], [str(root)])
