"""Liveness, readiness and Prometheus metrics."""

import json
import math
import re
import threading
from pathlib import Path

import pytest
from anyio import to_thread
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from bandsight.archive import Archive
from bandsight.errors import ArchiveError
from bandsight.search.recall_check import RecallCheck
from bandsight.vectors.local import LocalVectorStore
from search_api.app import create_app
from search_api.settings import ApiSettings
from tests.search_api.test_errors import assert_problem

DOCS = Path(__file__).parents[2] / "docs"


def figures(client: TestClient) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(client: TestClient) -> None:
    for path in ("/tiles/1", "/tiles/2", "/tiles/9999", "/nowhere/at/all"):
        client.get(path)
    found = figures(client)
    assert found["bandsight_http_requests_total", "GET", "/tiles/{tile_id}", "200"] == 2
    assert found["bandsight_http_requests_total", "GET", "/tiles/{tile_id}", "404"] == 1
    assert found["bandsight_http_requests_total", "GET", "other", "404"] == 1
    assert found["bandsight_http_request_seconds_count", "GET", "/tiles/{tile_id}"] == 3
    assert not any("/tiles/1" in name for name in found)


def test_the_archive_shows_its_size_and_generation(client: TestClient, archive: Archive) -> None:
    found = figures(client)
    assert found["bandsight_archive_vectors",] == 12
    assert found["bandsight_archive_generation",] == archive.generation


def test_unexpected_errors_are_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Archive, "tile", lambda *_: 1 / 0)
    client.get("/tiles/1")
    assert figures(client)["bandsight_http_requests_total", "GET", "/tiles/{tile_id}", "500"] == 1


def test_a_server_whose_catalog_fails_is_alive_but_not_ready(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Archive) -> None:
        raise ArchiveError("catalog.sqlite: disk I/O error")

    monkeypatch.setattr(Archive, "refresh", fail)
    assert client.get("/healthz").status_code == 200
    assert_problem(client.get("/readyz"), 503, "disk I/O error")


def test_unknown_methods_share_one_label(client: TestClient) -> None:
    for method in ("FOO", "BAR"):
        assert client.request(method, "/tiles/1").status_code == 405
    found = figures(client)
    assert found["bandsight_http_requests_total", "other", "/tiles/{tile_id}", "405"] == 2
    assert not any("FOO" in name for name in found)


def test_the_recall_of_searches_is_measured_where_there_is_an_index(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = RecallCheck(1)
    monkeypatch.setattr(client.app.state.service.searcher, "check", check)
    body = {"semantic": {"positive": [{"id": 1}]}, "limit": 5}
    assert client.post("/search", json=body).status_code == 200
    check.wait()
    found = figures(client)
    assert found["bandsight_search_recall_checks",] == 0, "without an index, every search is exact"
    assert math.isnan(found["bandsight_search_recall",])
    monkeypatch.setattr(LocalVectorStore, "index_figures", property(lambda _: {"index": "IVF"}))
    assert client.post("/search", json=body).status_code == 200
    check.wait()
    found = figures(client)
    assert (found["bandsight_search_recall_checks",], found["bandsight_search_recall",]) == (1, 1.0)
    assert client.get("/version").json()["recall_check"] == {"queries": 1, "recall": 1.0, "lowest": 1.0}


def test_every_metric_is_documented_and_on_the_dashboard(client: TestClient) -> None:
    response = client.get("/metrics")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    page = (DOCS / "service.md").read_text(encoding="utf-8")
    panels = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))["panels"]
    shown = {
        re.sub("_(total|sum|count|bucket)$", "", name)
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"bandsight_\w+", target["expr"])
    }
    own = {re.sub("_created$", "", name) for name in names if name.startswith("bandsight_")}
    assert shown == own
    # Only the page's readers of Prometheus' own words know when a process started.
    assert {name for name in own if name not in page} == {"bandsight_process_start_time_seconds"}


def test_the_stages_of_a_search_are_timed(client: TestClient) -> None:
    client.get("/search", params={"q": "a lake beside a wood", "sensors": "rgb"})
    client.get("/tiles/1/thumbnail.png")
    found = figures(client)
    for stage in ("filter", "search", "render"):
        assert found["bandsight_stage_seconds_count", stage] >= 1, stage


def test_queues_memory_and_disk_are_metrics(client: TestClient) -> None:
    found = figures(client)
    assert found["bandsight_queue_running", "light"] == 1, "this request"
    assert found["bandsight_queue_waiting", "search"] == 0
    assert found["bandsight_memory_reserved_bytes",] > 0
    assert found["bandsight_process_resident_bytes",] > 10**7
    assert found["bandsight_disk_free_bytes",] > 0
    assert found["bandsight_archive_readable",] == 1
    assert found["bandsight_archive_has_index",] == 0


def test_a_server_without_an_archive_has_metrics_too(tmp_path: Path) -> None:
    with TestClient(create_app(ApiSettings(archive=tmp_path / "none"))) as client:
        assert figures(client)["bandsight_archive_readable",] == 0
        assert client.get("/startupz").json()["status"] == "no archive yet"


def test_a_server_that_stops_is_not_ready_and_still_answers(client: TestClient) -> None:
    client.app.state.draining = True
    assert_problem(client.get("/readyz"), 503, "send requests to another")
    assert client.get("/healthz").status_code == 200
    assert client.get("/tiles/1").status_code == 200


def test_readiness_needs_no_thread_that_others_hold(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.portal is not None
    limiter = client.portal.call(to_thread.current_default_thread_limiter)
    client.portal.call(setattr, limiter, "total_tokens", 1)
    release = threading.Event()
    busy = client.portal.start_task_soon(to_thread.run_sync, release.wait)
    assert client.get("/readyz").status_code == 200
    assert client.get("/startupz").status_code == 200
    release.set()
    busy.result()


def test_the_recall_that_optimize_measured_is_a_metric(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(name[0] == "bandsight_index_recall" for name in figures(client))
    measured = {"index": "IVF", "recall_at_10": 0.995, "recall_at_100": 0.993}
    monkeypatch.setattr(LocalVectorStore, "index_figures", property(lambda _: measured))
    found = figures(client)
    assert (found["bandsight_index_recall", "10"], found["bandsight_index_recall", "100"]) == (0.995, 0.993)
