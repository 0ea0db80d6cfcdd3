"""Access control: keys, hosts and origins, and settings with which the server does not start."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bandsight.errors import SettingsError
from search_api.app import create_app
from search_api.settings import ApiSettings
from tests.commands import run_command
from tests.search_api.test_errors import assert_problem

KEY = "correct horse battery"


@pytest.mark.parametrize("host", ["0.0.0.0", "example.org", "::", "192.168.1.5"])  # noqa: S104
def test_listening_beyond_this_machine_needs_a_key(host: str) -> None:
    with pytest.raises(SettingsError, match=rf"host {host}.*BANDSIGHT_KEY.*127\.0\.0\.1"):
        create_app(ApiSettings(host=host))
    create_app(ApiSettings(host=host, key=SecretStr(KEY)))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_on_this_machine_no_key_is_needed(host: str) -> None:
    create_app(ApiSettings(host=host))


def test_a_short_key_is_rejected() -> None:
    with pytest.raises(SettingsError, match="5 characters; need at least 16"):
        create_app(ApiSettings(key=SecretStr("12345")))


def test_the_command_exits_with_one_line_before_loading_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("serve", "--archive", str(tmp_path), "--host", "0.0.0.0")  # noqa: S104
    code, _, error = run_command(capsys, monkeypatch, *arguments)
    assert code == 1
    assert "BANDSIGHT_KEY" in error
    assert error.count("\n") == 1


def test_with_a_key_only_health_works_without_it(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        for path in ("/", "/version", "/openapi.json", "/static/index.html", "/metrics", "/nowhere", "/tiles/1"):
            refused = client.get(path)
            assert_problem(refused, 401, "Authorization", "Bearer")
            assert refused.headers["www-authenticate"].startswith("Bearer ")
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {KEY}", 200),
        (f"bearer {KEY}", 200),
        ("Basic " + base64.b64encode(f"anyone:{KEY}".encode()).decode(), 200),
        (f"Bearer {KEY}x", 401),
        ("Bearer ", 401),
        ("Bearer schlüssel", 401),
        ("Basic " + base64.b64encode(b"anyone:wrong").decode(), 401),
        ("Basic no-base64!", 401),
        (f"Digest {KEY}", 401),
        (KEY, 401),
    ],
)
def test_the_key_comes_as_a_bearer_token_or_as_a_password(
    serve: Callable[..., TestClient], header: str, status: int
) -> None:
    with serve(key=SecretStr(KEY)) as client:
        assert client.get("/version", headers={"Authorization": header.encode("latin-1")}).status_code == status


def test_the_key_never_appears_in_settings_or_responses(serve: Callable[..., TestClient]) -> None:
    assert KEY not in repr(ApiSettings(key=SecretStr(KEY)))
    with serve(key=SecretStr(KEY)) as client:
        assert KEY not in client.get("/version", headers={"Authorization": "Bearer x"}).text


def test_only_configured_origins_may_use_the_api(serve: Callable[..., TestClient]) -> None:
    headers = {"Origin": "https://browser.example"}
    with serve() as client:
        assert "access-control-allow-origin" not in client.get("/version", headers=headers).headers
    with serve(cors_origins=("https://browser.example",), key=SecretStr(KEY)) as client:
        response = client.options("/version", headers=headers | {"Access-Control-Request-Method": "GET"})
        assert response.headers["access-control-allow-origin"] == "https://browser.example"


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:8000", "127.0.0.1.attacker.example", "[::1"])
def test_without_a_key_foreign_host_names_are_rejected(serve: Callable[..., TestClient], host: str) -> None:
    with serve() as client:
        for path in ("/", "/search", "/metrics", "/static/index.html"):
            assert_problem(client.get(path, headers={"Host": host}), 421, "Host", host, "BANDSIGHT_PUBLIC_URL")
        assert client.post("/searches", json={"q": "a lake"}, headers={"Host": host}).status_code == 421
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    with serve(key=SecretStr(KEY)) as client:
        headers = {"Host": host, "Authorization": f"Bearer {KEY}"}
        assert client.get("/version", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.5", "api", "maps.example.org"]
)
def test_local_names_and_the_public_name_are_accepted(serve: Callable[..., TestClient], host: str) -> None:
    with serve(public_url="https://Maps.example.org/bandsight") as client:
        assert client.get("/version", headers={"Host": host}).status_code == 200


def test_the_openapi_document_names_the_public_url(serve: Callable[..., TestClient]) -> None:
    with serve(public_url="https://maps.example.org/bandsight/") as client:
        assert client.get("/openapi.json").json()["servers"] == [{"url": "https://maps.example.org/bandsight"}]
    with serve() as client:
        assert "servers" not in client.get("/openapi.json").json()


FOREIGN = [
    {"Origin": "https://attacker.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://[::1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("key", [None, SecretStr(KEY)])
def test_a_page_of_another_site_cannot_register_or_delete(
    serve: Callable[..., TestClient], key: SecretStr | None, headers: dict[str, str]
) -> None:
    own = {} if key is None else {"Authorization": f"Bearer {KEY}"}
    form = {"files": {"body": (None, '{"q": "a lake"}')}}
    with serve(key=key) as client:
        before = client.get("/searches", headers=own).json()["searches"]
        refused = client.post("/searches", headers=headers | own, **form)
        assert_problem(refused, 403, "Origin", headers["Origin"][:10], "BANDSIGHT_CORS_ORIGINS")
        assert client.delete("/searches/one", headers=headers | own).status_code == 403
        assert client.get("/searches", headers=own).json()["searches"] == before
        assert client.get("/version", headers=headers | own).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"Origin": "http://elsewhere", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://maps.example.org"},
        {"Origin": "https://browser.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_programs_the_page_and_configured_origins_can_register_searches(
    serve: Callable[..., TestClient], headers: dict[str, str]
) -> None:
    origins = ("https://browser.example",)
    with serve(public_url="https://maps.example.org/bandsight", cors_origins=origins) as client:
        assert client.post("/searches", json={"q": "a lake"}, headers=headers).status_code == 201
