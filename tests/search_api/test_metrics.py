"""Liveness, readiness and Prometheus metrics."""

import math

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from bandsight.archive import Archive
from bandsight.errors import ArchiveError
from bandsight.search.recall_check import RecallCheck
from tests.search_api.test_errors import assert_problem


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
    monkeypatch.setattr(Archive, "index_figures", property(lambda _: {"index": "IVF"}))
    assert client.post("/search", json=body).status_code == 200
    check.wait()
    found = figures(client)
    assert (found["bandsight_search_recall_checks",], found["bandsight_search_recall",]) == (1, 1.0)
    assert client.get("/version").json()["recall_check"] == {"queries": 1, "recall": 1.0, "lowest": 1.0}
