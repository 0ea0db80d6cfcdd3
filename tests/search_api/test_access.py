"""Access control: keys, hosts and origins, and settings with which the server does not start."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bandsight.errors import SettingsError
from search_api.app import create_app
from search_api.counters import Counters, Table
from search_api.keys import Key, KeyRing
from search_api.rate_limits import WrongKeyLimit
from search_api.sessions import SESSION_DAYS, Sessions
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
        for path in ("/", "/version", "/openapi.json", "/metrics", "/nowhere", "/tiles/1"):
            refused = client.get(path)
            assert_problem(refused, 401, "Authorization", "Bearer")
            assert [value.split()[0] for value in refused.headers.get_list("www-authenticate")] == ["Bearer", "Basic"]
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
        assert client.get("/openapi.json").json()["servers"] == [{"url": "http://testserver"}]


HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_browsers_get_the_page_that_asks_for_the_key(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        page = client.get("/", headers=HTML)
        assert page.status_code == 401
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers.get_list("www-authenticate") == ['Bearer realm="bandsight"']
        assert page.headers["cache-control"] == "no-store"
        assert '<div id="app" data-sign-in' in page.text
        for file in re.findall(r'(?:href|src)="(static/[^"]+)"', page.text):
            assert client.get(f"/{file}").status_code == 200


def test_a_browser_that_opens_another_path_comes_back_to_it(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        for path, location in (
            ("/collections?limit=2", "./#next=collections%3Flimit%3D2"),
            ("/tiles/1/crop.tif", "../../#next=tiles%2F1%2Fcrop.tif"),
        ):
            response = client.get(path, headers=HTML, follow_redirects=False)
            assert (response.status_code, response.headers["location"]) == (303, location)
        # A part of a page, e.g. an image, is no navigation.
        assert client.get("/tiles/1/thumbnail.png", headers=HTML | {"Sec-Fetch-Mode": "no-cors"}).status_code == 401


@pytest.mark.parametrize("mark", [{"Sec-Fetch-Mode": "cors"}, {"Referer": "http://testserver/"}])
def test_browsers_are_not_told_of_passwords_and_show_no_prompt(
    serve: Callable[..., TestClient], mark: dict[str, str]
) -> None:
    with serve(key=SecretStr(KEY)) as client:
        refused = client.get("/overview", headers=mark)
        assert refused.headers.get_list("www-authenticate") == ['Bearer realm="bandsight"']


PAGE = {"Origin": "http://testserver"}


def test_the_key_is_exchanged_for_a_cookie(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        assert client.get("/session").json() == {"key_required": True, "signed_in": False}
        assert_problem(client.post("/session", json={"key": f"{KEY}x"}, headers=PAGE), 401, "not valid on this server")
        assert client.get("/version").status_code == 401
        response = client.post("/session", json={"key": KEY}, headers=PAGE)
        assert response.json() == {"key_required": True, "signed_in": True}
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path" not in cookie
        assert "Secure" not in cookie
        assert KEY not in cookie
        assert client.get("/version").status_code == 200
        assert client.get("/session").json() == {"key_required": True, "signed_in": True}
        assert client.post("/searches", json={"q": "a lake"}, headers=PAGE).status_code == 201
        assert "data-sign-in" not in client.get("/", headers=HTML).text
        client.delete("/session", headers=PAGE)
        assert client.get("/version").status_code == 401


def test_over_https_the_cookie_is_secure(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        headers = {"Origin": "https://testserver", "Sec-Fetch-Site": "same-origin"}
        assert "Secure" in client.post("/session", json={"key": KEY}, headers=headers).headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://testserver:81", "Sec-Fetch-Site": "same-site"},
        # A page that may use the API with the key, but not with the cookie of this server's users.
        {"Origin": "https://browser.example"},
        {"Origin": "https://browser.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_cookie_allows_changes_to_the_servers_own_page_only(
    serve: Callable[..., TestClient], headers: dict[str, str]
) -> None:
    with serve(key=SecretStr(KEY), cors_origins=("https://browser.example",)) as client:
        client.post("/session", json={"key": KEY}, headers=PAGE)
        before = client.get("/searches").json()["searches"]
        assert_problem(client.post("/searches", json={"q": "a sea"}, headers=headers), 403, "Origin")
        assert client.delete("/searches/one", headers=headers).status_code == 403
        assert client.get("/searches").json()["searches"] == before


@pytest.mark.parametrize(
    "value", ["", ".", "9999999999", "server.9999999999.", "x.y", f"server.9999999999.{'0' * 64}", "é.é", "server.é.é"]
)
def test_forged_cookies_are_rejected(value: str) -> None:
    assert Sessions(KeyRing(KEY)).key_of(value) is None
    assert Sessions(KeyRing(KEY)).key_of(None) is None


def server_key(ring: KeyRing) -> Key:
    key = ring.by_id("server")
    assert key is not None
    return key


def test_a_session_ends_after_its_days_or_with_a_new_key() -> None:
    now = 0.0
    ring = KeyRing(KEY)
    sessions = Sessions(ring, "a", lambda: now)
    cookie = sessions.issue(server_key(ring))
    assert sessions.key_of(cookie) == server_key(ring)
    assert Sessions(KeyRing(f"{KEY}2"), "a", lambda: now).key_of(cookie) is None
    assert Sessions(ring, "b").cookie != sessions.cookie
    now = SESSION_DAYS * 86_400.0
    assert sessions.key_of(cookie) is None


def test_many_wrong_keys_from_one_address_are_delayed(serve: Callable[..., TestClient]) -> None:
    with serve(key=SecretStr(KEY)) as client:
        assert client.get("/version", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        for _ in range(10):
            assert client.post("/session", json={"key": "a wrong one"}, headers=PAGE).status_code == 401
        for key in ("a wrong one", KEY):
            refused = client.post("/session", json={"key": key}, headers=PAGE)
            assert_problem(refused, 429, "too many wrong keys", "try again in")
            assert 0 < int(refused.headers["retry-after"]) <= 60
        # Programs whose key was right before are not affected.
        assert client.get("/version", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_wrong_keys_are_forgotten_after_a_minute() -> None:
    now = 0.0
    counters = Counters()
    limit = WrongKeyLimit(Table(counters, 0), Table(counters, 1), lambda: now)
    for _ in range(10):
        limit.count("a")
    assert limit.wait_s("a") == 60
    assert limit.wait_s("b") == 0
    now = 60.0
    assert limit.wait_s("a") == 0


def test_without_a_key_there_is_nothing_to_sign_in_to(client: TestClient) -> None:
    assert client.get("/session").json() == {"key_required": False, "signed_in": False}
    response = client.post("/session", json={"key": KEY}, headers=PAGE)
    assert response.json() == {"key_required": False, "signed_in": False}
    assert "set-cookie" not in response.headers


FOREIGN = [
    {"Origin": "https://attacker.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://[::1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("key", [None, SecretStr(KEY)])
def test_a_page_of_another_site_cannot_save_or_delete_searches(
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
def test_programs_the_page_and_configured_origins_can_save_searches(
    serve: Callable[..., TestClient], headers: dict[str, str]
) -> None:
    origins = ("https://browser.example",)
    with serve(public_url="https://maps.example.org/bandsight", cors_origins=origins) as client:
        assert client.post("/searches", json={"q": "a lake"}, headers=headers).status_code == 201
