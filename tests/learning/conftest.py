"""Archives that are made once and copied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandsight.archive import Archive
from bandsight.search.searcher import Searcher
from tests.fakes import FakeEmbedder
from tests.learning.makers import SENTENCE, pond_archive


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 places on two dates, and an empty collection of labels."""
    path = tmp_path_factory.mktemp("ponds") / "archive"
    with pond_archive(path, dates=2) as made:
        made.labels.create("ponds", {"pond": SENTENCE})
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
