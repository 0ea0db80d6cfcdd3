"""The two clients of one archive: of its folder, and of a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bandsight import connect
from bandsight.archive import Archive
from bandsight.client import Client
from bandsight.client.local import LocalBackend
from bandsight.search.searcher import Searcher
from tests.fakes import FakeEmbedder
from tests.search_api.conftest import archive, archive_path, scenes
from tests.search_api.stac.conftest import app_of, served

__all__ = ["archive", "archive_path", "scenes"]


def client_of(path: Path) -> Client:
    """Return a client of a folder that encodes with the fake model."""
    return Client(LocalBackend(Searcher(Archive.open(path), FakeEmbedder)))


@pytest.fixture(scope="module")
def local(archive_path: Path) -> Iterator[Client]:
    with client_of(archive_path) as client:
        yield client


@pytest.fixture(scope="module")
def remote(archive: Archive) -> Iterator[Client]:
    with served(app_of(archive)) as url, connect(url) as client:
        yield client


@pytest.fixture(scope="module", params=["local", "remote"])
def client(request: pytest.FixtureRequest) -> Client:
    """Either of them."""
    return request.getfixturevalue(request.param)
