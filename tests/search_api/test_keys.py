"""Keys in a file: made, found, limited, rotated and removed while the server runs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bandsight.errors import NotFoundError, SettingsError
from search_api import keys as keys_module
from search_api.app import create_app
from search_api.counters import Counters, Table
from search_api.keys import KeyFile, KeyRing, new_key
from search_api.policies import Scope
from search_api.rate_limits import Quota, RateLimit
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.commands import run_command
from tests.fakes import FakeEmbedder
from tests.search_api.test_decoding import png
from tests.search_api.test_errors import assert_problem


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def keyed(archive, file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TestClient]:
    """Returns a client of a server with the keys of the file, which it looks at with each request."""
    monkeypatch.setattr(keys_module, "_RELOAD_S", 0)

    def make(**settings: object) -> TestClient:
        chosen = ApiSettings(archive=archive.path, keys_file=file.path, **settings)
        return TestClient(create_app(chosen, Service(chosen, archive, FakeEmbedder())), raise_server_exceptions=False)

    return make


def test_the_file_has_no_secret_and_only_its_owner_reads_it(file: KeyFile) -> None:
    key, text = new_key("viewer", [Scope.READ])
    file.add(key)
    assert text not in file.path.read_text()
    assert text.rpartition("_")[2] not in file.path.read_text()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.read() == [key]
    assert KeyRing(file=file).find(text.encode()) == key


@pytest.mark.parametrize("wrong", [b"", b"x", b"bandsight__", b"bandsight_\xff\xfe_x", b"a_b_c_d", b"_" * 1000])
def test_other_texts_are_not_keys(file: KeyFile, wrong: bytes) -> None:
    key, text = new_key("viewer", [Scope.READ])
    file.add(key)
    ring = KeyRing(file=file)
    assert ring.find(wrong) is None
    assert ring.find(text.encode() + b"x") is None
    assert ring.find(text[:-1].encode()) is None


def test_an_expired_key_is_refused_but_the_server_still_needs_one(file: KeyFile) -> None:
    key, text = new_key("guest", [Scope.READ], lifetime=timedelta(hours=1))
    file.add(key)
    later = (datetime.now(UTC) + timedelta(hours=2)).timestamp()
    ring = KeyRing(file=file, clock=lambda: later)
    assert ring.find(text.encode()) is None
    assert ring.needs_key


def test_rotation_keeps_the_previous_key_for_a_grace_period(file: KeyFile) -> None:
    key, old = new_key("app", [Scope.WRITE], rate_per_minute=7, quota_per_day=9)
    file.add(key)
    fresh = file.rotate("app", timedelta(hours=1))
    now = datetime.now(UTC)
    for hours, works in ((0, True), (2, False)):
        ring = KeyRing(file=file, clock=lambda at=now + timedelta(hours=hours): at.timestamp())
        assert (ring.find(old.encode()) is not None) is works
        found = ring.find(fresh.encode())
        assert found is not None
        assert (found.scopes, found.rate_per_minute, found.quota_per_day) == (key.scopes, 7, 9)
    assert file.remove("app") == 2
    with pytest.raises(NotFoundError, match="existing keys: none"):
        file.remove("app")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "keys": []}', '{"version": 1, "keys": [{}]}', "null"])
def test_a_damaged_file_is_refused_at_the_start(file: KeyFile, text: str) -> None:
    file.path.write_text(text)
    with pytest.raises(SettingsError, match=r"keys\.json: not a key file"):
        KeyRing(file=file)


def test_a_running_server_keeps_its_keys_when_the_file_is_damaged_or_gone(file: KeyFile, keyed) -> None:
    key, text = new_key("app", [Scope.READ])
    file.add(key)
    with keyed() as client:
        assert client.get("/version", headers=bearer(text)).status_code == 200
        file.path.write_text("{")
        assert client.get("/version", headers=bearer(text)).status_code == 200
        file.path.unlink()
        assert client.get("/version", headers=bearer(text)).status_code == 200
        assert client.get("/version").status_code == 401


def test_keys_are_added_and_removed_without_a_restart(file: KeyFile, keyed) -> None:
    with keyed() as client:
        assert client.get("/version").status_code == 200, "no keys: open on this machine"
        key, text = new_key("app", [Scope.READ])
        file.add(key)
        assert client.get("/version").status_code == 401
        assert client.get("/version", headers=bearer(text)).status_code == 200
        fresh = file.rotate("app", timedelta(0))
        assert client.get("/version", headers=bearer(text)).status_code == 401
        assert client.get("/version", headers=bearer(fresh)).status_code == 200
        other, _ = new_key("other", [Scope.READ])
        file.add(other)
        file.remove("app")
        assert client.get("/version", headers=bearer(fresh)).status_code == 401


def test_each_scope_opens_its_routes_only(file: KeyFile, keyed) -> None:
    texts = {}
    for scope in Scope:
        key, texts[scope] = new_key(f"with-{scope}", [scope])
        file.add(key)
    requests: dict[Scope, Callable[[TestClient, dict[str, str]], int]] = {
        Scope.READ: lambda client, key: client.get("/search?q=a+lake", headers=key).status_code,
        Scope.PICTURES: lambda client, key: client.post("/search", files={"image": png()}, headers=key).status_code,
        Scope.WRITE: lambda client, key: client.post("/searches", json={"q": "a lake"}, headers=key).status_code,
        Scope.ADMIN: lambda client, key: client.post("/not/listed", headers=key).status_code,
    }
    passes = {
        Scope.READ: [200, 403, 403, 403],
        Scope.PICTURES: [200, 200, 403, 403],
        Scope.WRITE: [200, 403, 201, 403],
        Scope.ADMIN: [200, 200, 201, 404],
    }
    with keyed() as client:
        for scope, expected in passes.items():
            assert [send(client, bearer(texts[scope])) for send in requests.values()] == expected, scope
        refused = client.post("/searches", json={"q": "a lake"}, headers=bearer(texts[Scope.READ]))
        assert_problem(refused, 403, "with-read", "lacks the scope write")


def test_a_session_has_the_scopes_of_its_key_and_ends_with_it(file: KeyFile, keyed) -> None:
    key, text = new_key("reader", [Scope.READ])
    file.add(key)
    page = {"Origin": "http://testserver"}
    with keyed() as client:
        assert client.post("/session", json={"key": text}, headers=page).json()["signed_in"] is True
        assert client.get("/version").status_code == 200
        assert_problem(client.post("/searches", json={"q": "a lake"}, headers=page), 403, "reader", "scope write")
        other, _ = new_key("other", [Scope.READ])
        file.add(other)
        file.remove("reader")
        assert client.get("/version").status_code == 401
        assert client.get("/session").json() == {"key_required": True, "signed_in": False}


def test_a_keys_rate_and_quota_are_limits_with_retry_after(file: KeyFile, keyed) -> None:
    for name, limits in (("slow", {"rate_per_minute": 3}), ("few", {"quota_per_day": 2})):
        key, text = new_key(name, [Scope.READ], **limits)
        file.add(key)
        with keyed() as client:
            statuses = [client.get("/version", headers=bearer(text)).status_code for _ in range(4)]
            assert statuses.count(200) == (3 if name == "slow" else 2)
            refused = client.get("/version", headers=bearer(text))
            assert_problem(refused, 429, name, "try again in")
            assert int(refused.headers["retry-after"]) > 0
            assert client.get("/healthz").status_code == 200


def test_the_rate_of_an_address_limits_requests_without_keys(serve: Callable[..., TestClient]) -> None:
    with serve(rate_per_minute=4) as client:
        assert [client.get("/search?q=a").status_code for _ in range(3)] == [200, 200, 429]
    with serve() as client:
        assert {client.get("/version").status_code for _ in range(200)} == {200}


def test_rate_units_refill_steadily_and_quotas_daily() -> None:
    now = 0.0
    counters = Counters()
    rate, quota = RateLimit(Table(counters, 0), lambda: now), Quota(Table(counters, 1), lambda: now)
    assert [rate.spend("a", 10, 20) for _ in range(3)] == [0, 0, 30]
    assert rate.spend("b", 10, 20) == 0
    assert rate.spend("c", 50, 20) == 0, "a request larger than the limit passes when nothing else was spent"
    now = 30.0
    assert rate.spend("a", 10, 20) == 0
    assert [quota.spend("k", 1) for _ in range(2)] == [0, 86_370]
    now = 86_400.0
    assert quota.spend("k", 1) == 0


def test_the_command_creates_lists_rotates_and_removes_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--archive", str(tmp_path))
    audit = tmp_path / "audit.log"
    monkeypatch.setenv("BANDSIGHT_AUDIT_FILE", str(audit))

    def run(*arguments: str) -> tuple[int, str, str]:
        return run_command(capsys, monkeypatch, "keys", *arguments, *where)

    code, text, _ = run("add", "viewer", "--scope", "read", "--scope", "pictures", "--expires", "90d", "--quota", "500")
    assert code == 0
    found = KeyRing(file=KeyFile(tmp_path / "keys.json")).find(text.strip().encode())
    assert found is not None
    assert (found.name, found.scopes, found.quota_per_day) == ("viewer", {Scope.READ, Scope.PICTURES}, 500)
    assert found.expires is not None
    assert found.expires - found.created == timedelta(days=90)
    code, _, error = run("add", "viewer")
    assert code == 1
    assert "bandsight keys rotate viewer" in error
    assert run("rotate", "viewer", "--grace", "1h")[1].strip() != text.strip()
    code, listed, _ = run("list")
    assert listed.count("viewer") == 2
    assert text.strip() not in listed
    assert [one["name"] for one in json.loads(run("list", "--json")[1])] == ["viewer", "viewer"]
    assert run("remove", "viewer")[2].strip() == "viewer: 2 keys removed"
    assert [json.loads(line)["event"] for line in audit.read_text().splitlines()] == [
        "keys.add",
        "keys.rotate",
        "keys.remove",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "a b"), ["name 'a b'", "map-viewer"]),
        (("add", "x", "--scope", "all"), ["--scope", "'all'", "read, pictures, write, admin"]),
        (("add", "x", "--expires", "soon"), ["'soon'", "90d"]),
        (("add", "x", "--rate", "0"), ["rate_per_minute", "found 0"]),
        (("remove", "x"), ["'x'", "does not exist"]),
        (("rotate", "x"), ["'x'", "does not exist"]),
    ],
)
def test_invalid_values_are_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: list[str],
) -> None:
    code, _, error = run_command(capsys, monkeypatch, "keys", *arguments, "--archive", str(tmp_path))
    assert code == 1
    assert error.count("\n") == 1
    for word in words:
        assert word in error
