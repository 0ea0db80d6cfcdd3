"""Startup and shutdown, settings, and the web page."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import bandsight.model
from bandsight.errors import ModelMismatchError
from bandsight.search.searcher import SerializedEncoder
from search_api import service as service_module
from search_api.app import create_app
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder

WEB = Path(__file__).parents[2] / "web"


def test_another_model_than_the_archives_is_rejected_at_startup(
    archive_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeEmbedder()
    other.digest = "0" * 64
    monkeypatch.setattr(bandsight.model, "load_for_queries", lambda *_: other)
    client = TestClient(create_app(ApiSettings(archive=archive_path)))
    with pytest.raises(ModelMismatchError, match="--model fake"), client:
        pass


def test_an_app_opens_archive_and_model_by_its_settings(archive_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(*arguments: str) -> FakeEmbedder:
        calls.append(arguments)
        return FakeEmbedder()

    monkeypatch.setattr(bandsight.model, "load_for_queries", load)
    with TestClient(create_app(ApiSettings(archive=archive_path, device="cpu"))) as client:
        assert client.get("/search", params={"q": "a lake"}).status_code == 200
    assert calls == [("fake", "cpu")]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANDSIGHT_ARCHIVE", "/somewhere")
    monkeypatch.setenv("BANDSIGHT_MAX_UPLOAD_BYTES", "1000")
    settings = ApiSettings()
    assert settings.archive == "/somewhere"
    assert settings.max_upload_bytes == 1000
    assert ApiSettings(archive=Path("/other")).archive == Path("/other")


def test_importing_the_app_loads_no_model_library() -> None:
    code = "import sys, search_api.app; print([n for n in ('torch', 'open_clip', 'faiss') if n in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "torch" not in out.stdout
    assert "open_clip" not in out.stdout


def test_the_model_runs_one_query_at_a_time() -> None:
    inside, most = 0, 0

    class Watched(FakeEmbedder):
        def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.01)
            inside -= 1
            return super().embed_texts(texts)

    encoder = SerializedEncoder(Watched())
    threads = [threading.Thread(target=encoder.embed_texts, args=(["a"],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert {"name", "digest", "license", "dim", "image_size"} <= set(vars(encoder))


def test_open_service_serialises_the_model(archive_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandsight.model, "load_for_queries", lambda *_: FakeEmbedder())
    service = service_module.open_service(ApiSettings(archive=archive_path))
    assert isinstance(service.searcher.encoder, SerializedEncoder)
    service.archive.close()


def test_the_page_and_its_files_are_served(client: TestClient) -> None:
    page = client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    parts = re.findall(r'(?:href|src)="(static/[^"]+)"', page.text)
    assert {Path(part).suffix for part in parts} == {".svg", ".js", ".css"}
    for part in parts:
        assert client.get(f"/{part}").status_code == 200


def test_the_page_contacts_no_other_host_and_builds_no_markup_from_data() -> None:
    for path in [*(WEB / "src").rglob("*.ts"), *(WEB / "src").rglob("*.tsx"), *(WEB / "src").rglob("*.css")]:
        # The name of SVG is no address that anybody asks.
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//\w+\.\w", text), path
        assert not re.search(r"nnerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), path
        assert not re.search(r"\son\w+=[\"']", text), path


def test_the_page_requests_existing_routes(client: TestClient) -> None:
    known = [re.sub(r"\{\w+\}", "X", path).lstrip("/") for path in client.get("/openapi.json").json()["paths"]]
    text = "".join(path.read_text(encoding="utf-8") for path in (WEB / "src").rglob("*.ts*"))
    requested = set(re.findall(r"""(?:(?:getJson|postJson)(?:<[^(]*>)?\(|ask\()["`]([a-z]+[^"`?]*)""", text))
    # A template's last part may be a choice, which the pattern above cuts short.
    paths = {re.sub(r"\$\{[^}]+(\}|$)", "X", path) for path in requested}
    assert {"search", "overview", "tiles/X/styles", "searches"} <= paths
    missing = [path for path in paths if not any(re.fullmatch(path.replace("X", "[^/]+"), one) for one in known)]
    assert not missing
