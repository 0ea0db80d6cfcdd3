"""Several archives on one server."""

import base64
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bandsight.errors import SettingsError
from search_api.keys import KeyFile, new_key
from search_api.policies import Scope
from search_api.settings import load_settings
from search_api.several import ArchivesApp, app_of
from tests.archive.makers import filled
from tests.commands import run_command
from tests.fakes import FakeEmbedder

KEY = "correct horse battery"


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two archives with different numbers of scenes."""
    monkeypatch.setattr("bandsight.model.load_for_queries", lambda *_: FakeEmbedder())
    found = {}
    for name, scenes in (("alps", 3), ("sea", 5)):
        with filled(tmp_path / name, scenes, 2):
            found[name] = str(tmp_path / name)
    return found


@pytest.fixture
def serve(archives: dict[str, str]) -> Callable[..., TestClient]:
    def make(**settings: Any) -> TestClient:
        chosen = load_settings(**{"archives": archives} | settings)
        return TestClient(app_of(chosen), raise_server_exceptions=False, base_url="http://localhost")

    return make


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def hrefs(document: Any) -> list[str]:
    return re.findall(r'"href": "([^"]+)"', json.dumps(document))


def test_each_archive_is_served_under_its_name(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        counts = {name: len(client.get(f"/{name}/search?limit=100").json()["features"]) for name in ("alps", "sea")}
        assert counts == {"alps": 9, "sea": 15}, "scenes and tiles"
        children = [one["href"] for one in client.get("/").json()["links"] if one["rel"] == "child"]
        assert children == ["http://localhost/alps/", "http://localhost/sea/"]
        for child in children:
            for href in hrefs(client.get(child).json()):
                assert href.startswith(child)
                assert client.get(href.partition("?")[0]).status_code in {200, 405}
        assert client.get("/alps", follow_redirects=False).headers["location"] == "alps/"
        assert 'href="static/' in client.get("/alps/", headers={"Accept": "text/html"}).text
        assert client.get("/alps/static/docs.html").status_code == 200
        assert '<a href="sea/">' in client.get("/", headers={"Accept": "text/html"}).text
        assert client.get("/nowhere/search").status_code == 404
        assert client.get("/search").status_code == 404


def test_saved_searches_belong_to_one_archive(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        saved = client.post("/alps/searches", json={"q": "a lake"})
        assert saved.status_code == 201
        assert saved.headers["location"].startswith("http://localhost/alps/searches/")
        search = saved.json()["id"]
        assert client.get(f"/alps/searches/{search}").status_code == 200
        assert client.get(f"/sea/searches/{search}").status_code == 404


def test_archives_with_the_same_model_share_it(serve: Callable[..., TestClient], monkeypatch: Any) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("bandsight.model.load_for_queries", lambda *_: loaded.append("") or FakeEmbedder())
    with serve() as client:
        for name in ("alps", "sea"):
            assert client.get(f"/{name}/search?q=a+lake").status_code == 200
        assert len(loaded) == 1


def test_an_archive_has_keys_of_its_own(serve: Callable[..., TestClient], archives: dict[str, str]) -> None:
    key, text = new_key("app", [Scope.READ], quota_per_day=5)
    KeyFile(Path(archives["alps"]) / "keys.json").add(key)
    with serve() as client:
        assert client.get("/alps/search").status_code == 401
        assert client.get("/sea/search").status_code == 200, "it has no keys"
        assert client.get("/alps/search", headers=bearer(text)).status_code == 200
        names = [one["title"] for one in client.get("/").json()["links"] if one["rel"] == "child"]
        assert names == ["sea"], "only what the caller may open"
        names = [one["title"] for one in client.get("/", headers=bearer(text)).json()["links"] if one["rel"] == "child"]
        assert names == ["alps", "sea"]
        assert 'archive="alps"' not in client.get("/metrics").text
        assert 'archive="sea"' not in client.get("/alps/metrics", headers=bearer(text)).text


def test_keys_of_the_same_name_have_a_quota_each(serve: Callable[..., TestClient], archives: dict[str, str]) -> None:
    texts = {}
    for name, place in archives.items():
        key, texts[name] = new_key("app", [Scope.READ], quota_per_day=2)
        KeyFile(Path(place) / "keys.json").add(key)
    with serve() as client:
        for name in archives:
            assert [client.get(f"/{name}/search", headers=bearer(texts[name])).status_code for _ in range(3)] == [
                *(200, 200, 429),
            ]
        assert client.get("/sea/search", headers=bearer(texts["alps"])).status_code == 401
        assert client.get("/").status_code == 401, "no archive is open without a key"


def test_the_servers_key_opens_all_of_them(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        for path in ("/", "/metrics", "/alps/search", "/sea/version"):
            assert client.get(path).status_code == 401, path
            assert client.get(path, headers=bearer(KEY)).status_code == 200, path
        password = base64.b64encode(f"x:{KEY}".encode()).decode()
        assert client.get("/", headers={"Authorization": f"Basic {password}"}).status_code == 200
        page = client.get("/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert page.status_code == 401
        signed = client.post("/alps/session", json={"key": KEY}, headers={"Origin": "http://localhost"})
        assert signed.json()["signed_in"] is True
        assert "Path=" not in signed.headers["set-cookie"], "the browser takes the archive's folder"


def test_metrics_name_the_archive(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        client.get("/alps/search")
        text = client.get("/metrics").text
        assert 'bandsight_archive_vectors{archive="alps"} 6.0' in text
        assert 'bandsight_archive_vectors{archive="sea"} 10.0' in text
        assert 'bandsight_http_requests_total{archive="alps",method="GET",route="/search",status="200"} 1.0' in text
        assert "bandsight_process_resident_bytes " in text
        assert 'archive="sea"' not in client.get("/alps/metrics").text


def test_one_archive_that_is_gone_does_not_stop_the_others(
    serve: Callable[..., TestClient], archives: dict[str, str]
) -> None:
    with serve() as client:
        shutil.rmtree(archives["alps"])
        assert client.get("/sea/search").status_code == 200
        assert client.get("/alps/search").status_code == 503
        assert client.get("/alps/readyz").status_code == 503
        assert client.get("/readyz").json() == {"status": "ok", "ready": 1, "archives": 2}
        shutil.rmtree(archives["sea"])
        refused = client.get("/readyz")
        assert refused.status_code == 503
        assert "alps: " in refused.json()["detail"]


def test_a_damaged_archive_is_a_problem_until_it_is_restored(
    serve: Callable[..., TestClient], archives: dict[str, str], tmp_path: Path
) -> None:
    catalog = Path(archives["alps"]) / "catalog.sqlite"
    kept = catalog.read_bytes()
    catalog.write_bytes(b"no database" * 1000)
    with serve() as client:
        assert client.get("/sea/search").status_code == 200
        assert client.get("/alps/search").status_code == 503
        catalog.write_bytes(kept)
        assert client.get("/alps/search").status_code == 200


def test_a_prefix_of_a_proxy_comes_before_the_name() -> None:
    forwarded = {"X-Forwarded-Prefix": "/eo", "X-Forwarded-Host": "example.org", "X-Forwarded-Proto": "https"}
    app = ArchivesApp(load_settings(archives={"alps": "x"}, trusted_proxies=("127.0.0.1",), allow_anonymous=True))
    with TestClient(app, client=("127.0.0.1", 1), raise_server_exceptions=False) as client:
        links = client.get("/", headers=forwarded).json()["links"]
        assert links[-1]["href"] == "https://example.org/eo/alps/"


def test_a_public_url_is_the_root_of_all(serve: Callable[..., TestClient]) -> None:
    with serve(public_url="https://example.org/eo") as client:
        assert hrefs(client.get("/sea/").json())[0] == "https://example.org/eo/sea/"


def test_hosts_of_other_names_are_refused_at_the_root_too(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        for path in ("/", "/metrics", "/alps/", "/sea/search"):
            assert client.get(path, headers={"Host": "evil.example"}).status_code == 421, path


def test_a_drain_makes_every_archive_unready(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        for state in client.app.states:
            state.draining = True
        for path in ("/readyz", "/alps/readyz", "/sea/readyz"):
            assert client.get(path).status_code == 503
        assert client.get("/alps/search").status_code == 200


def test_log_lines_have_the_whole_path(serve: Callable[..., TestClient], caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("bandsight.access").propagate = True
    with serve() as client, caplog.at_level(logging.INFO):
        client.get("/alps/search")
    assert "/alps/search" in [record.fields["path"] for record in caplog.records if hasattr(record, "fields")]


@pytest.mark.parametrize("name", ["metrics", "Alps", "a/b", "", "..", "é"])
def test_names_that_cannot_be_served_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="BANDSIGHT_ARCHIVES: found the name"):
        load_settings(archives={name: "x"})


def test_elsewhere_each_archive_needs_keys(archives: dict[str, str]) -> None:
    key, _ = new_key("app", [Scope.READ])
    KeyFile(Path(archives["alps"]) / "keys.json").add(key)
    with pytest.raises(SettingsError, match=re.escape(archives["sea"])):
        load_settings(archives=archives, host="0.0.0.0")  # noqa: S104


def test_the_command_names_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BANDSIGHT_ARCHIVE", raising=False)
    for arguments, word in (((), "pass --archive, or --mount"), (("--mount", "alps"), "need NAME=ARCHIVE")):
        code, _, error = run_command(capsys, monkeypatch, "serve", *arguments)
        assert code == 1
        assert word in error
