"""Lines of the logs: one for each request, with the id of its request, and never a thousand of one kind."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from search_api.logs import ACCESS, AUDIT, REQUEST_ID, CollapseFilter, LineFormatter, audit_to, set_up_logging

KEY = "correct horse battery"


@pytest.fixture
def loggers() -> Iterator[None]:
    """Puts the handlers of all loggers back."""
    names = ["", ACCESS, AUDIT, "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in map(logging.getLogger, names)]
    yield
    for logger, handlers, level, propagate in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize("form", ["json", "text"])
def test_each_request_is_a_line_with_id_key_route_status_time_and_sizes(
    serve: Callable[..., TestClient], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    with serve(key=SecretStr(KEY)) as client:
        set_up_logging(form, "info", access_log=True)  # type: ignore[arg-type]
        response = client.get("/tiles/1?x=secret", headers={"Authorization": f"Bearer {KEY}"})
        client.get("/tiles/1")
    lines = [line for line in capsys.readouterr().err.splitlines() if "/tiles/{tile_id}" in line]
    assert len(lines) == 2
    assert not any(KEY in line or "secret" in line for line in lines)
    if form == "text":
        assert f"id={response.headers['x-request-id']}" in lines[0]
        assert "key=server" in lines[0]
        assert "status=400" in lines[0]
        assert "key=-" in lines[1]
        return
    found = json.loads(lines[0])
    assert found["id"] == response.headers["x-request-id"]
    assert (found["key"], found["method"], found["status"]) == ("server", "GET", 400)
    assert (found["route"], found["path"]) == ("/tiles/{tile_id}", "/tiles/1")
    assert found["sent"] == len(response.content)
    assert found["ms"] > 0
    assert json.loads(lines[1])["status"] == 401


@pytest.mark.usefixtures("loggers")
def test_changes_sign_ins_and_refused_keys_are_in_the_audit_log(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    file = tmp_path / "audit.log"
    audit_to(str(file))
    page = {"Origin": "http://testserver"}
    with serve(key=SecretStr(KEY)) as client:
        client.get("/version", headers={"Authorization": "Bearer nothing"})
        client.post("/session", json={"key": KEY}, headers=page)
        client.get("/version")
        made = client.post("/searches", json={"q": "a lake"}, headers=page).json()["id"]
        client.delete(f"/searches/{made}", headers=page)
        client.delete("/session", headers=page)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["key.wrong", "session.begin", "change", "change", "session.end"]
    assert (lines[2]["key"], lines[2]["path"], lines[2]["status"]) == ("server", "/searches", 201)
    assert KEY not in file.read_text()


def test_a_proxys_request_id_is_kept_if_valid(client: TestClient) -> None:
    assert client.get("/version", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for wrong in ("a b", "x" * 65, ""):
        assert len(client.get("/version", headers={"X-Request-Id": wrong}).headers["x-request-id"]) == 16


def test_lines_of_one_kind_are_collapsed_and_counted() -> None:
    now = 0.0
    collapse, passed = CollapseFilter(lambda: now), []

    def log(template: str, *values: object, name: str = "x") -> None:
        record = logging.LogRecord(name, logging.WARNING, "", 0, template, values, None)
        if collapse.filter(record):
            passed.append(record.getMessage())

    for number in range(1000):
        log("socket %d failed", number)
    log("another kind")
    assert len(passed) == 6
    now = 11.0
    log("socket %d failed", 1000)
    assert passed[-1] == "socket 1000 failed (and 995 similar lines)"
    for _ in range(20):
        log("", name=ACCESS)
    assert len(passed) == 27, "lines of requests are never left out"


def failing(message: str) -> bool:
    raise ValueError(message)


def test_control_characters_are_escaped_and_tracebacks_keep_their_lines() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "found %s", ("a\n\x1b[31m",), None)
    token = REQUEST_ID.set("r1")
    try:
        line = LineFormatter("text").format(record)
        assert line.endswith("error found a\\x0a\\x1b[31m request=r1")
        with suppress(ValueError):
            try:
                failing("one\rtwo\nforged")
            finally:
                record.exc_info = sys.exc_info()
        text = LineFormatter("text").format(record)
        assert "one\\x0dtwo\n  forged" in text
        assert all(line.startswith("  ") for line in text.split("\n")[1:])
        assert "ValueError" in json.loads(LineFormatter("json").format(record))["traceback"]
    finally:
        REQUEST_ID.reset(token)
