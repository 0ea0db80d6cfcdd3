"""Archives with an atlas, made once and copied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandsight.archive import Archive
from bandsight.atlas.atlas import build, save
from bandsight.search.searcher import Searcher
from tests.atlas.makers import KINDS, grouped_archive
from tests.fakes import FakeEmbedder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 tiles of three kinds, laid out."""
    path = tmp_path_factory.mktemp("grouped") / "archive"
    with grouped_archive(path) as archive:
        save(archive, build(archive, FakeEmbedder(), words=[*KINDS, "a beach"]))
    return path


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
