"""Connections of a real server: time limits, room for others, graceful stops, workers that are replaced."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.errors import CancelledWorkError
from bandsight.search.searcher import SerializedEncoder
from bandsight.work import cancelled_when, check_cancelled
from search_api.app import create_app
from search_api.server import Server, ServerConfig
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
HALF = b"GET /version HTTP/1.1\r\nHost: localhost\r\nX-Wait: "


@contextmanager
def running(app: Any, **settings: Any) -> Iterator[tuple[int, Server]]:
    """Serves an app in a thread; yields its port and the server."""
    server = Server(ServerConfig(app, ApiSettings(port=0, **settings)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


@pytest.fixture
def app_of(archive: Archive) -> Callable[..., Any]:
    def make(**settings: Any) -> Any:
        chosen = ApiSettings(archive=archive.path, **settings)
        return create_app(chosen, Service(chosen, archive, FakeEmbedder()))

    return make


def connect(port: int, data: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    opened.sendall(data)
    return opened


def until_closed(connection: socket.socket) -> bytes:
    """Return what the server sends before it closes the connection; fails where it does not."""
    received = b""
    try:
        while part := connection.recv(1 << 16):
            received += part
    except ConnectionResetError:
        pass
    return received


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_half_sent_heads_are_closed_and_whole_requests_are_not(app_of: Callable[..., Any]) -> None:
    with running(app_of(), head_timeout_s=0.3) as (port, _):
        for start in (b"", b"G", HALF):
            with connect(port, start) as held:
                assert until_closed(held) == b""
        assert get(port, "/version") == 200


def test_a_second_head_on_a_connection_has_a_time_limit_too(app_of: Callable[..., Any]) -> None:
    with running(app_of(), head_timeout_s=0.3) as (port, _), connect(port) as held:
        held.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF)
        assert until_closed(held).startswith(b"HTTP/1.1 200")


def test_a_half_sent_body_is_a_408(app_of: Callable[..., Any]) -> None:
    head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with running(app_of(body_timeout_s=0.3)) as (port, _), connect(port, head) as held:
        answer = until_closed(held)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


def test_idle_connections_make_room_for_others(app_of: Callable[..., Any]) -> None:
    with running(app_of(), max_connections=6) as (port, server):
        held = [connect(port, HALF) for _ in range(20)]
        assert get(port, "/healthz") == 200
        assert len(server.server_state.connections) <= 6
        assert until_closed(held[0]) == b"", "the one that has waited longest"
        for one in held:
            one.close()


async def _flood(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(200):
        await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def test_a_client_that_does_not_read_is_disconnected() -> None:
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(_flood, send_timeout_s=0.3) as (port, server), connect(port, request) as held:
        assert held.recv(1) == b"H"
        while server.server_state.connections:
            threading.Event().wait(0.01)
        assert len(until_closed(held)) < 200 * 2**20


def test_running_requests_end_before_the_server_does(
    app_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release, statuses = threading.Event(), threading.Event(), []

    def slow(archive: Archive, tile_id: int) -> Any:
        begun.set()
        assert release.wait(WAIT_S)
        return original(archive, tile_id)

    original = Archive.tile
    monkeypatch.setattr(Archive, "tile", slow)
    with running(app_of()) as (port, server):
        client = threading.Thread(target=lambda: statuses.append(get(port, "/tiles/1")))
        client.start()
        assert begun.wait(WAIT_S)
        server.should_exit = True
        release.set()
        client.join(WAIT_S)
    assert statuses == [200]


def test_long_encoding_stops_when_the_client_disconnects_and_others_get_their_turn() -> None:
    sizes: list[int] = []

    class Counting(FakeEmbedder):
        def embed_texts(self, texts: list[str]) -> Any:
            sizes.append(len(texts))
            return super().embed_texts(texts)

    encoder, texts = SerializedEncoder(Counting()), [f"sentence {number}" for number in range(40)]
    vectors = encoder.embed_texts(texts)
    assert sizes == [16, 16, 8]
    np.testing.assert_array_equal(vectors, np.concatenate([FakeEmbedder().embed_texts([text]) for text in texts]))
    asked = [f"other {number}" for number in range(40)]
    with (
        cancelled_when(lambda: len(sizes) > 3),
        pytest.raises(CancelledWorkError, match="closed the connection"),
    ):
        encoder.embed_texts(asked)
    assert sizes == [16, 16, 8, 16]
    check_cancelled()


@pytest.fixture
def served_archive(tmp_path: Path) -> Path:
    from bandsight.model import load_for_queries

    model = load_for_queries("embedded", "cpu")
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    ArchiveWriter.create(tmp_path / "archive", identity).close()
    return tmp_path / "archive"


def test_workers_are_replaced_and_stopped_without_a_failed_request(served_archive: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "bandsight.cli", "serve", "--archive", str(served_archive)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "2", "--device", "cpu"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "BANDSIGHT_ACCESS_LOG": "true"},
            stderr=log,
        )
        try:
            _answers(port, server)
            before = {child.pid for child in psutil.Process(server.pid).children()}
            workers = {pid for pid in before if "spawn_main" in " ".join(psutil.Process(pid).cmdline())}
            assert len(workers) == 2
            statuses: list[int] = []
            stop = threading.Event()

            def ask() -> None:
                while not stop.is_set():
                    statuses.append(get(port, "/version"))

            client = threading.Thread(target=ask)
            client.start()
            server.send_signal(signal.SIGHUP)
            while any(psutil.pid_exists(pid) for pid in workers):
                assert server.poll() is None
                stop.wait(0.05)
            stop.set()
            client.join(WAIT_S)
            assert set(statuses) == {200}
            text = http_text(port, "/metrics")
            count = re.search(r'requests_total\{method="GET",route="/version",status="200"\} (\d+)', text)
            assert count is not None
            assert int(count[1]) >= len(statuses), "the figures of all workers, also of those that have ended"
            server.terminate()
            assert server.wait(WAIT_S) == 0
        finally:
            server.kill()
            server.wait()


def http_text(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def _answers(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Wait until a server answers."""
    while True:
        assert server.poll() is None
        try:
            if get(port, "/startupz") == 200:
                return
        except OSError:
            threading.Event().wait(0.1)
