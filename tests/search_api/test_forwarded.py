"""Behind a proxy: X-Forwarded headers count when they come from a trusted proxy, and only then."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bandsight import connect
from bandsight.archive import Archive
from bandsight.errors import SettingsError
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder
from tests.proxy import proxied
from tests.search_api.stac.conftest import served

SENT = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "maps.example.org",
    "X-Forwarded-Prefix": "/bandsight",
}
KEY = SecretStr("correct horse battery")
BEARER = {"Authorization": f"Bearer {KEY.get_secret_value()}"}


def client_at(archive: Archive, address: str, **settings: object) -> TestClient:
    chosen = ApiSettings(archive=archive.path, key=KEY, **settings)
    app = create_app(chosen, Service(chosen, archive, FakeEmbedder()))
    return TestClient(app, client=(address, 1), headers=BEARER, raise_server_exceptions=False)


@pytest.fixture
def trusting(archive: Archive) -> Iterator[TestClient]:
    with client_at(archive, "10.1.2.3", trusted_proxies=("10.0.0.0/8",)) as client:
        yield client


def test_links_tile_urls_and_servers_take_the_address_from_a_trusted_proxy(trusting: TestClient) -> None:
    root = "https://maps.example.org/bandsight"
    landing = trusting.get("/", headers=SENT).json()
    assert all(link["href"].startswith(root) for link in landing["links"])
    name = trusting.get("/collections", headers=SENT).json()["collections"][0]["id"]
    tiles = trusting.get(f"/collections/{name}/tilejson.json", headers=SENT).json()["tiles"]
    assert tiles[0].startswith(f"{root}/collections/")
    assert trusting.get("/openapi.json", headers=SENT).json()["servers"] == [{"url": root}]


@pytest.mark.parametrize("address", ["192.168.0.7", "203.0.113.1", "unix", "::1"])
def test_headers_of_others_are_ignored(archive: Archive, address: str) -> None:
    for trusted in ((), ("10.0.0.0/8",)):
        with client_at(archive, address, trusted_proxies=trusted) as client:
            assert client.get("/openapi.json", headers=SENT).json()["servers"] == [{"url": "http://testserver"}]


def test_a_public_url_takes_precedence_over_the_proxys_headers(archive: Archive) -> None:
    with client_at(archive, "10.1.2.3", trusted_proxies=("10.1.2.3",), public_url="https://own.example/") as client:
        assert client.get("/openapi.json", headers=SENT).json()["servers"] == [{"url": "https://own.example"}]


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"X-Forwarded-Proto": "gopher"}, "http://testserver"),
        ({"X-Forwarded-Host": "a b"}, "http://testserver"),
        ({"X-Forwarded-Host": "evil.example, maps.example.org:8443"}, "http://maps.example.org:8443"),
        ({"X-Forwarded-Host": "[::1]:80"}, "http://[::1]:80"),
        ({"X-Forwarded-Prefix": "//evil.example"}, "http://testserver"),
        ({"X-Forwarded-Prefix": "/a/b/"}, "http://testserver/a/b"),
        ({"X-Forwarded-Prefix": "/"}, "http://testserver"),
        ({"X-Forwarded-Prefix": "/search"}, "http://testserver/search"),
    ],
)
def test_malformed_headers_are_ignored_and_the_last_value_counts(
    trusting: TestClient, headers: dict[str, str], url: str
) -> None:
    assert trusting.get("/openapi.json", headers=headers).json()["servers"] == [{"url": url}]
    assert trusting.get("/search", headers=headers).status_code == 200


def test_wrong_keys_are_counted_for_the_client_and_not_for_the_proxy(trusting: TestClient) -> None:
    for _ in range(11):
        last = trusting.post("/session", json={"key": "wrong"}, headers=SENT)
    assert last.status_code == 429
    # What a client itself writes into the header stands before what the proxy adds.
    spoofed = SENT | {"X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.0.0.1"}
    assert trusting.post("/session", json={"key": "wrong"}, headers=spoofed).status_code == 429
    other = SENT | {"X-Forwarded-For": "203.0.113.10"}
    assert trusting.post("/session", json={"key": "wrong"}, headers=other).status_code == 401


def test_the_servers_own_page_is_recognised_by_the_forwarded_host(trusting: TestClient) -> None:
    origin = {"Origin": "https://maps.example.org"}
    assert trusting.post("/searches", json={"q": "a lake"}, headers=SENT | origin).status_code == 201
    assert trusting.post("/searches", json={"q": "a lake"}, headers=origin).status_code == 403
    cookie = trusting.post("/session", json={"key": KEY.get_secret_value()}, headers=SENT | origin)
    assert "Secure" in cookie.headers["set-cookie"]


def test_a_proxy_that_is_no_address_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=r"BANDSIGHT_TRUSTED_PROXIES.*nginx.*127\.0\.0\.1"):
        create_app(ApiSettings(trusted_proxies=("nginx",)))


@pytest.mark.parametrize("keep_host", [False, True])
def test_a_client_follows_links_through_a_proxy_that_serves_a_path(archive: Archive, keep_host: bool) -> None:
    settings = ApiSettings(archive=archive.path, trusted_proxies=("127.0.0.1",))
    app = create_app(settings, Service(settings, archive, FakeEmbedder()))
    with (
        served(app) as own,
        proxied(own, "/tools/bandsight", forwarded=True, keep_host=keep_host) as port,
        connect(f"http://127.0.0.1:{port}/tools/bandsight") as client,
    ):
        items = client.search("a lake", limit=3)
        assert len(items) == 3
        prefix = f"http://127.0.0.1:{port}/tools/bandsight/"
        assert all(link.href.startswith(prefix) for item in items for link in item.links if link.rel == "self")
