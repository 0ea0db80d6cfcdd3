"""A server that starts before its archive exists."""

import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import bandsight.model
from search_api.app import create_app
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder

HTML = {"Accept": "text/html"}


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bandsight.model, "load_for_queries", lambda *_: FakeEmbedder())
    with TestClient(create_app(ApiSettings(archive=tmp_path / "later"))) as client:
        yield client


def test_the_api_explains_what_is_missing_and_what_to_run(waiting: TestClient, tmp_path: Path) -> None:
    response = waiting.get("/collections")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "3"
    assert response.json()["detail"].endswith(f"bandsight index SCENE --archive {tmp_path / 'later'}")
    assert waiting.get("/readyz").status_code == 503
    assert waiting.get("/healthz").status_code == 200


def test_a_browser_gets_the_page_before_there_is_an_archive(waiting: TestClient) -> None:
    response = waiting.get("/", headers=HTML)
    assert response.status_code == 200
    assert "text/html" in response.headers["content-type"]
    assert "script-src 'self';" in response.headers["content-security-policy"]


def test_the_server_opens_the_archive_once_it_exists(waiting: TestClient, archive_path: Path, tmp_path: Path) -> None:
    assert waiting.get("/overview").status_code == 503
    shutil.copytree(archive_path, tmp_path / "later")
    assert waiting.get("/overview").json()["tiles"] == 12
    assert waiting.get("/readyz").status_code == 200


def test_an_archive_that_fails_to_open_is_reported_and_retried(
    waiting: TestClient, archive_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "catalog.sqlite").write_bytes(b"half")
    response = waiting.get("/overview")
    assert response.status_code == 503
    assert "catalog" in response.json()["detail"]
    shutil.rmtree(tmp_path / "later")
    shutil.copytree(archive_path, tmp_path / "later")
    assert waiting.get("/overview").status_code == 200


def test_the_key_is_required_before_there_is_an_archive(tmp_path: Path) -> None:
    settings = ApiSettings(archive=tmp_path / "later", key="0123456789abcdef")
    with TestClient(create_app(settings)) as client:
        assert client.get("/", headers=HTML).status_code == 401


def test_the_built_files_are_cached_and_compressed(waiting: TestClient) -> None:
    page = waiting.get("/", headers=HTML).text
    script = page.split('src="', 1)[1].split('"', 1)[0]
    response = waiting.get(f"/{script}")
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-type"].startswith("text/javascript")
