from collections.abc import Iterator

import pytest

from bandsight.alerts.webhooks import Targets
from tests.alerts.receiver import Receiver, receiver
from tests.doors import bandsight, client  # noqa: F401  (fixtures)
from tests.learning.conftest import archive, path, searcher, template

__all__ = ["archive", "path", "searcher", "template"]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def targets() -> Targets:
    return Targets(allowed=("127.0.0.1",))
