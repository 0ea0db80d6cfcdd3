"""Archives that are made once and copied for each test."""

from pathlib import Path

import pytest

from tests.archive_copies import archive, path, searcher  # noqa: F401  (fixtures)
from tests.doors import bandsight, client  # noqa: F401  (fixtures)
from tests.learning.makers import SENTENCE, pond_archive


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 places on two dates, and an empty collection of labels."""
    made_at = tmp_path_factory.mktemp("ponds") / "archive"
    with pond_archive(made_at, dates=2) as made:
        made.labels.create("ponds", {"pond": SENTENCE})
    return made_at
