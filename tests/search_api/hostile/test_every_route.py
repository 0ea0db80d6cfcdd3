"""Walks every operation of the OpenAPI document with each bad condition, so that a new route cannot be forgotten."""

import base64
import logging
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import event

from bandsight.archive import Archive
from search_api import model_reload
from search_api.keys import KeyFile, new_key
from search_api.logs import LineFormatter
from search_api.policies import Scope, listed, policy_of
from tests.archive.makers import filled
from tests.search_api.hostile.conftest import Operation, operations_of

KEY = "correct horse battery"
MALFORMED = [
    "Basic é",
    "Basic ",
    "Basic \xff\xfe",
    "Basic !!!!",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Bearer é",
    "Bearer " + "x" * 5000,
    "Bearer\tx",
    "Bearer bandsight_é_x",
    "Digest username=x",
    "\xa0",
]
HIDDEN = {("GET", "/docs"), ("GET", "/openapi.json")}


def is_problem(response: Any) -> bool:
    return bool(response.headers["content-type"] == "application/problem+json" and "Traceback" not in response.text)


def never_fails(operation: Operation, response: Any) -> None:
    assert response.status_code < 500 or (response.status_code in {501, 503} and is_problem(response)), (
        operation.id,
        response.status_code,
        response.text[:300],
    )
    assert response.headers["x-content-type-options"] == "nosniff", operation.id
    assert response.headers["x-request-id"], operation.id


def test_every_route_has_a_policy_and_every_policy_a_route(hostile: Callable[..., TestClient]) -> None:
    with hostile() as client:
        routes = {(one.method, one.route) for one in operations_of(client)} | HIDDEN
    assert set(listed()) == routes, "enter the route in search_api/policies.py"


def test_the_table_finds_the_route_of_every_path(hostile: Callable[..., TestClient]) -> None:
    with hostile() as client:
        for operation in operations_of(client):
            path = operation.url({"search_id": "a"}).partition("?")[0]
            assert policy_of(operation.method, path).route == operation.route
            if operation.method == "GET":
                assert policy_of("HEAD", path).route == operation.route
    assert policy_of("PUT", "/searches/a").scope is Scope.ADMIN
    assert policy_of("POST", "/x").scope is Scope.ADMIN


def test_the_document_has_no_dangling_reference_and_every_operation_its_errors(
    hostile: Callable[..., TestClient],
) -> None:
    with hostile() as client:
        spec = client.app.openapi()
        references = set(re.findall(r'"\$ref":\s*"([^"]+)"', client.get("/openapi.json").text))
        for reference in references:
            found = spec
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
        for operation in operations_of(client):
            if policy_of(operation.method, operation.route).work.waits:
                assert operation.statuses >= {"401", "403", "421", "429", "503"}, operation.id
            if operation.body() is not None:
                assert operation.statuses >= {"400", "408", "413", "415"}, operation.id


def test_every_response_matches_the_openapi_document(hostile: Callable[..., TestClient]) -> None:
    with hostile() as client:
        saved = client.post("/searches", json={"q": "a lake"}).json()["id"]
        client.post("/labels", json={"name": "ponds", "classes": {"pond": "a pond"}})
        statuses = {}
        for operation in sorted(operations_of(client), key=lambda one: one.method == "DELETE"):
            response = operation.send(client, saved)
            never_fails(operation, response)
            statuses[operation.id] = response.status_code
            assert str(response.status_code) in operation.statuses, (operation.id, response.status_code, response.text)
    worked = [status for status in statuses.values() if status < 300]
    assert len(worked) > 0.6 * len(statuses), statuses


@pytest.mark.parametrize("header", MALFORMED)
def test_a_malformed_key_is_never_an_error_of_the_server(hostile: Callable[..., TestClient], header: str) -> None:
    with hostile(key=SecretStr(KEY)) as client:
        for operation in operations_of(client):
            client.app.state.limits.wrong_keys.clear()
            response = operation.send(client, headers={"Authorization": header.encode("latin-1")})
            never_fails(operation, response)
            if policy_of(operation.method, operation.route).scope is not None:
                assert response.status_code == 401, operation.id


def test_wrong_expired_and_narrow_keys_are_refused_by_every_route(
    hostile: Callable[..., TestClient], tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    expired, expired_text = new_key("expired", [Scope.ADMIN], lifetime=timedelta(seconds=-1))
    narrow, narrow_text = new_key("narrow", [Scope.READ])
    file.add(expired)
    file.add(narrow)
    with hostile() as client:
        for operation in operations_of(client):
            scope = policy_of(operation.method, operation.route).scope
            if scope is None:
                continue
            for text, status in ((expired_text, 401), ("bandsight_x_y", 401), (narrow_text, 403)):
                client.app.state.limits.wrong_keys.clear()
                if status == 403 and scope is Scope.READ:
                    continue
                response = operation.send(client, headers={"Authorization": f"Bearer {text}"})
                assert response.status_code == status, (operation.id, text)
                assert is_problem(response), operation.id


def test_guessed_keys_are_slowed_down_on_every_route(hostile: Callable[..., TestClient]) -> None:
    with hostile(key=SecretStr(KEY)) as client:
        for operation in operations_of(client):
            if policy_of(operation.method, operation.route).scope is None:
                continue
            client.app.state.limits.wrong_keys.clear()
            guesses = [
                operation.send(client, headers={"Authorization": f"Bearer {KEY}{number}"}).status_code
                for number in range(12)
            ]
            assert guesses == [401] * 10 + [429] * 2, operation.id
            right = operation.send(client, headers={"Authorization": f"Bearer {KEY}"})
            assert right.status_code == 429, f"{operation.id}: a guess that is right must not show it"


def test_an_archive_whose_folder_is_gone_is_a_problem_on_every_route(
    hostile: Callable[..., TestClient], own_archive: Archive
) -> None:
    with hostile() as client:
        saved = client.post("/searches", json={"q": "a lake"}).json()["id"]
        shutil.move(own_archive.path, own_archive.path.parent / "elsewhere")
        for operation in operations_of(client):
            never_fails(operation, operation.send(client, saved))
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert "bandsight_archive_readable 0.0" in client.get("/metrics").text
        refused = client.delete(f"/searches/{saved}")
        assert refused.status_code == 503
        assert "deleted" in refused.json()["detail"]


def test_a_catalog_that_cannot_be_written_is_a_problem_on_every_route(
    hostile: Callable[..., TestClient], own_archive: Archive
) -> None:
    with hostile() as client:
        saved = client.post("/searches", json={"q": "a lake"}).json()["id"]

        def forbid(connection: Any, *_: Any) -> None:
            connection.execute("PRAGMA query_only = ON")

        event.listen(own_archive.database._engine, "checkout", forbid)  # type: ignore[attr-defined]
        for operation in operations_of(client):
            never_fails(operation, operation.send(client, saved))
        assert client.delete(f"/searches/{saved}").status_code == 503
        assert client.get("/search?q=a+lake").status_code == 200


def test_an_archive_that_is_replaced_is_noticed_on_every_route_and_opened(
    hostile: Callable[..., TestClient], own_archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(model_reload, "open_service", lambda settings, _: opened.append(settings))
    with filled(tmp_path / "other", 2, 2):
        pass
    with hostile() as client:
        saved = client.post("/searches", json={"q": "a lake"}).json()["id"]
        shutil.move(own_archive.path, own_archive.path.parent / "former")
        shutil.copytree(tmp_path / "other", own_archive.path)
        service = client.app.state.service
        for operation in operations_of(client):
            never_fails(operation, operation.send(client, saved))
            client.app.state.service = service
        refused = client.get(f"/searches/{saved}")
        assert refused.status_code == 503
        assert "replaced since it was opened" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert len(opened) == 1, "not every request tries"


def test_control_characters_never_reach_the_log(
    hostile: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    evil = "%1b[31m%0d%0aINFO%20forged%00%7f%e2%80%a8"
    formatters = [LineFormatter("text"), LineFormatter("json")]
    with hostile(access_log=True) as client, caplog.at_level(logging.INFO):
        logging.getLogger("bandsight.access").propagate = True
        for operation in operations_of(client):
            values = dict.fromkeys(re.findall(r"\{(\w+)\}", operation.route), evil)
            path = operation.url({**values, "search_id": evil}).partition("?")[0] + f"?x={evil}"
            never_fails(
                operation, client.request(operation.method, path, headers={"X-Request-Id": "a b", "User-Agent": "\x1b"})
            )
    assert caplog.records
    for record in caplog.records:
        for formatter in formatters:
            line = formatter.format(record)
            if not record.exc_info:
                assert not re.search("[\x00-\x1f\x7f-\x9f\u2028]", line), line


def test_pages_of_other_sites_cannot_embed_anything_unless_cors_allows_it(hostile: Callable[..., TestClient]) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Referer": "https://other.example/page"}
    with hostile() as client:
        for operation in operations_of(client):
            if operation.method == "GET" and policy_of("GET", operation.route).work.waits:
                refused = operation.send(client, headers=embedded)
                assert refused.status_code == 403, operation.id
                assert refused.headers["cross-origin-resource-policy"] == "same-origin"
        assert client.get("/", headers=embedded | {"Sec-Fetch-Mode": "navigate"}).status_code == 200, "links work"
        own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
        assert client.get("/version", headers=own).status_code == 200
    with hostile(cors_origins=("https://other.example",)) as client:
        shown = client.get("/heatmap.png?q=a+lake&width=16", headers=embedded)
        assert shown.status_code == 200
        assert shown.headers["cross-origin-resource-policy"] == "cross-origin"


def test_a_body_that_is_too_large_is_refused_by_every_route_that_takes_one(hostile: Callable[..., TestClient]) -> None:
    with hostile() as client:
        for operation in operations_of(client):
            if operation.body() is None:
                continue
            path = operation.url({"search_id": "a"})
            headers = {"Content-Type": "application/json"}
            large = client.request(operation.method, path, content=b" " * (9 * 2**20), headers=headers)
            assert large.status_code == 413, operation.id
            chunks = (b" " * 2**20 for _ in range(9))
            assert client.request(operation.method, path, content=chunks, headers=headers).status_code == 413


def test_the_work_of_every_body_is_limited(hostile: Callable[..., TestClient]) -> None:
    huge = {"text": ["x"] * 300, "area": {"coordinates": [[1, 2]] * 60_000}, "labels": {"a": ["y"] * 300}}
    with hostile() as client:
        for operation in operations_of(client):
            body = operation.body()
            if not isinstance(body, dict) or operation.route == "/session":
                continue
            refused = client.request(operation.method, operation.url({"search_id": "a"}), json={**body, **huge})
            assert refused.status_code in {400, 404}, (operation.id, refused.status_code)
