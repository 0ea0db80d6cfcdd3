"""A larger archive made of numbers, and a server of it on loopback for real clients."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from bandsight.archive import Archive
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.archive.makers import filled
from tests.fakes import FakeEmbedder

SCENES, TILES = 12, 4


def app_of(archive: Archive, **settings: object) -> FastAPI:
    chosen = ApiSettings(archive=archive.path, **settings)
    return create_app(chosen, Service(chosen, archive, FakeEmbedder()))


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Twelve scenes of four tiles each, in three collections, two of them beside ±180°; two without a time."""
    with filled(tmp_path_factory.mktemp("stac") / "archive", SCENES, TILES) as archive:
        yield archive


@pytest.fixture(scope="session")
def stac(many: Archive) -> Iterator[TestClient]:
    with TestClient(app_of(many), raise_server_exceptions=False) as client:
        yield client


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serves an app on loopback and gives its root."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def root(many: Archive) -> Iterator[str]:
    with served(app_of(many)) as url:
        yield url


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    with filled(tmp_path / "empty", 0) as archive, TestClient(app_of(archive), raise_server_exceptions=False) as client:
        yield client
