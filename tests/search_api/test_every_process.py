"""Every kind of job over HTTP, one after another on one archive, as a client sees it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bandsight.archive import Archive, ArchiveWriter
from bandsight.cli.loading import identity
from bandsight.model import load_model
from bandsight.search.searcher import SerializedEncoder
from search_api.app import create_app
from search_api.processes.definitions import PROCESSES
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.rasters import picture, write
from tests.search_api.test_processes import OVER, run, until


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes, labelled images, and an empty archive."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "in").mkdir()
    for number in range(2):
        origin = (400_000.0 + 20_000 * number, 5_800_000.0)
        write(folder / "in" / f"s{number}_20200501.tif", picture(3, 448, 448, seed=number), origin=origin)
    for cls, color in (("water", (20, 40, 90)), ("forest", (30, 80, 20))):
        (folder / "in" / "labelled" / cls).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (64, 64), color).save(folder / "in" / "labelled" / cls / f"{number}.png")
    ArchiveWriter.create(folder / "archive", identity(load_model("embedded", "cpu"))).close()
    return folder


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[TestClient]:
    with Archive.open(place / "archive") as archive:
        settings = ApiSettings(
            archive=place / "archive", allow_writes=True, device="cpu", source_roots=(str(place / "in"),)
        )
        service = Service(settings, archive, SerializedEncoder(load_model("embedded", "cpu")))
        with TestClient(create_app(settings, service), raise_server_exceptions=False) as made:
            yield made


def done(client: TestClient, process: str, **inputs: object) -> dict[str, Any]:
    """Run a job and return its results."""
    job = until(client, run(client, process, **inputs), *OVER)
    assert (job["status"], job["progress"]) == ("successful", 100), job
    return client.get(f"/jobs/{job['jobID']}/results").json()


def files_of(client: TestClient, results: dict[str, Any]) -> dict[str, Any]:
    """Download the files of a job."""
    found = {}
    for one in results["files"]:
        response = client.get(one["href"])
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == one["type"]
        found[one["title"]] = response
    return found


def test_every_process_works_from_request_to_files(client: TestClient, place: Path) -> None:
    results = {"index": done(client, "index", sources=[str(place / "in" / "*.tif")], scales="1", tile_px=64)}
    tiles = results["index"]["summary"]["tiles"]
    assert tiles >= 50

    results["export"] = done(client, "export", request={"limit": 20, "q": "a lake"}, format="geojson")
    assert len(files_of(client, results["export"])["results.geojson"].json()["features"]) == 20
    assert results["export"]["summary"]["file"] == "results.geojson"

    results["evaluate"] = done(client, "evaluate", data=[str(place / "in" / "labelled")])
    evaluated = files_of(client, results["evaluate"])
    assert set(evaluated) == {"evaluation.json", "evaluation.md"}
    assert evaluated["evaluation.json"].json()["results"]["labelled"]["images"] == 4

    ids = [int(one["id"]) for one in client.post("/search", json={"q": "water", "limit": 40}).json()["features"]]
    client.post("/labels", json={"name": "ponds", "classes": {"pond": "a pond"}})
    for cls, own in (("pond", ids[:10]), ("none", ids[-10:])):
        assert client.post("/labels/ponds/items", json={"tiles": own, "class": cls}).status_code < 300
    trained = client.post("/labels/ponds/classifiers", json={})
    assert trained.status_code < 300, trained.text
    results["apply-classifier"] = done(client, "apply-classifier", classifier="ponds/pond", threshold=0.1)
    assert {"tiles.geojson", "polygons.geojson", "layer.json"} <= set(files_of(client, results["apply-classifier"]))

    results["optimize"] = done(client, "optimize")
    assert results["optimize"]["summary"]["index"] == "none", "too small to need one"

    scene = client.get("/search?limit=1000").json()["features"]
    href = next(one["assets"]["data"]["href"] for one in scene if "data" in one.get("assets", {}))
    results["remove"] = done(client, "remove", scenes=[href])
    assert results["remove"]["summary"]["scenes_removed"] == 1
    results["compact"] = done(client, "compact")
    assert results["compact"]["summary"]["segments_after"] == 1

    assert {*results, "build-atlas"} == set(PROCESSES), "every process"
    for name, one in results.items():
        assert str(place / "archive") not in json.dumps(one), f"{name}: a path of the server"


@pytest.mark.slow
def test_an_atlas_is_laid_out(client: TestClient, place: Path) -> None:
    done(client, "index", sources=[str(place / "in" / "*.tif")], scales="1", tile_px=64)
    assert done(client, "build-atlas", sample=50)["summary"]["sample"] == 50


def test_messages_of_failed_jobs_have_no_path_of_the_archive(client: TestClient, place: Path) -> None:
    for process, inputs in (
        ("apply-classifier", {"classifier": "nothing"}),
        ("evaluate", {"data": [str(place / "in" / "none")]}),
        ("index", {"sources": [str(place / "in" / "none.tif")]}),
    ):
        job = until(client, run(client, process, **inputs), *OVER)
        assert job["status"] == "failed", job
        assert job["message"]
        assert str(place / "archive") not in json.dumps(job)
