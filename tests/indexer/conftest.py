from collections.abc import Iterator
from pathlib import Path

import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from tests.fakes import FakeEmbedder


def identity(encoder: FakeEmbedder) -> ModelIdentity:
    return ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)


@pytest.fixture
def encoder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def archive(tmp_path: Path, encoder: FakeEmbedder) -> Iterator[Archive]:
    with ArchiveWriter.create(tmp_path / "archive", identity(encoder)) as opened:
        yield opened
