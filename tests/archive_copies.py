"""Fixtures that give each test its own copy of an archive; the folder's conftest makes the `template` once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandsight.archive import Archive
from bandsight.search.searcher import Searcher
from tests.fakes import FakeEmbedder


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "a"))


@pytest.fixture
def archive(path: Path) -> Iterator[Archive]:
    with Archive.open(path) as made:
        yield made


@pytest.fixture
def searcher(archive: Archive) -> Searcher:
    return Searcher(archive, FakeEmbedder)
