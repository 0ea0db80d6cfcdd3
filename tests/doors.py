"""The interfaces to an archive, with a fake model: the command line and both clients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from bandsight.archive import Archive
from bandsight.cli import loading
from bandsight.client import Client, connect
from bandsight.client.local import LocalBackend
from bandsight.search.searcher import Searcher
from tests.commands import run_command
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of, served


def commands_on(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command on an archive and returns its status, output and errors."""
    monkeypatch.setattr(loading, "load_for_queries", lambda *_: FakeEmbedder())

    def call(*arguments: str) -> tuple[int, str, str]:
        return run_command(capsys, monkeypatch, *arguments, "--archive", str(path))

    return call


@pytest.fixture
def bandsight(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run commands on the archive of the fixture `path`; see `commands_on`."""
    return commands_on(path, capsys, monkeypatch)


@pytest.fixture(params=["local", "remote"])
def client(request: pytest.FixtureRequest, path: Path) -> Iterator[Client]:
    """Yield both clients of the archive of the fixture `path`."""
    with client_of(path, request.param) as made:
        yield made


@contextmanager
def client_of(path: Path, kind: Literal["local", "remote"]) -> Iterator[Client]:
    """Yield a client of an archive in this process, or of a server."""
    if kind == "local":
        with Client(LocalBackend(Searcher(Archive.open(path), FakeEmbedder))) as made:
            yield made
    else:
        with Archive.open(path) as archive, served(app_of(archive)) as url, connect(url) as made:
            yield made
