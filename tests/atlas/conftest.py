"""Archives with an atlas, made once and copied for each test."""

from pathlib import Path

import pytest

from bandsight.atlas.atlas import build, save
from tests.archive_copies import archive, path, searcher  # noqa: F401  (fixtures)
from tests.atlas.makers import KINDS, grouped_archive
from tests.doors import bandsight, client  # noqa: F401  (fixtures)
from tests.fakes import FakeEmbedder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 tiles of three kinds, laid out."""
    made_at = tmp_path_factory.mktemp("grouped") / "archive"
    with grouped_archive(made_at) as made:
        save(made, build(made, FakeEmbedder(), words=[*KINDS, "a beach"]))
    return made_at
