"""A server that begins before its archive."""

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
    monkeypatch.setattr(bandsight.model, "load_model", lambda *_: FakeEmbedder())
    with TestClient(create_app(ApiSettings(archive=tmp_path / "later"))) as client:
        yield client


def test_programs_are_told_what_is_missing_and_what_to_run(waiting: TestClient, tmp_path: Path) -> None:
    answer = waiting.get("/collections")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    assert answer.json()["detail"].endswith(f"bandsight index SCENE --archive {tmp_path / 'later'}")
    assert waiting.get("/readyz").status_code == 503
    assert waiting.get("/healthz").status_code == 200


def test_a_browser_gets_the_page_before_there_is_an_archive(waiting: TestClient) -> None:
    answer = waiting.get("/", headers=HTML)
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]
    assert "script-src 'self';" in answer.headers["content-security-policy"]


def test_the_server_goes_on_once_the_archive_is_there(waiting: TestClient, archive_path: Path, tmp_path: Path) -> None:
    assert waiting.get("/overview").status_code == 503
    shutil.copytree(archive_path, tmp_path / "later")
    assert waiting.get("/overview").json()["tiles"] == 12
    assert waiting.get("/readyz").status_code == 200


def test_an_archive_that_cannot_be_opened_is_said_and_tried_again(
    waiting: TestClient, archive_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "catalog.sqlite").write_bytes(b"half")
    answer = waiting.get("/overview")
    assert answer.status_code == 503
    assert "catalog" in answer.json()["detail"]
    shutil.rmtree(tmp_path / "later")
    shutil.copytree(archive_path, tmp_path / "later")
    assert waiting.get("/overview").status_code == 200


def test_a_key_is_asked_for_before_there_is_an_archive(tmp_path: Path) -> None:
    settings = ApiSettings(archive=tmp_path / "later", key="0123456789abcdef")
    with TestClient(create_app(settings)) as client:
        assert client.get("/", headers=HTML).status_code == 401


def test_the_built_files_are_kept_and_sent_compressed(waiting: TestClient) -> None:
    page = waiting.get("/", headers=HTML).text
    script = page.split('src="', 1)[1].split('"', 1)[0]
    answer = waiting.get(f"/{script}")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")
