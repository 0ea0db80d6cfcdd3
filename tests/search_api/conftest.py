"""An archive of small scenes, and an app that serves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from indexer.pipeline import index
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write

SIDE = FakeEmbedder.image_size
DECIBELS = -25 + picture(2, 2 * SIDE, 2 * SIDE, seed=3).astype(np.float32) / 255 * 20


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes of 4 tiles each: optical near Berlin, optical next to ±180°, radar near Berlin."""
    folder = tmp_path_factory.mktemp("scenes")
    grid = SIDE * 10
    near = (1250.0 * grid, 18125.0 * grid)
    size = 2 * SIDE
    write(folder / "photo_20200501.tif", picture(3, size, size, seed=1), origin=near)
    write(
        folder / "fiji_20210601.tif",
        picture(3, size, size, seed=2),
        crs="EPSG:4326",
        origin=(180 - SIDE * 0.001, -16.0),
        gsd=0.001,
    )
    write(folder / "S1A_IW_GRDH_20200701.tif", DECIBELS, origin=near)
    return folder


@pytest.fixture(scope="session")
def archive_path(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "archive"
    model = FakeEmbedder()
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(path, identity) as archive:
        summary = index([scenes], archive=archive, model=model)
    assert not summary.failed
    assert summary.tiles == 12
    return path


@pytest.fixture(scope="session")
def archive(archive_path: Path) -> Iterator[Archive]:
    with Archive.open(archive_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def serve(archive: Archive) -> Callable[..., TestClient]:
    """Returns a client of an app with these settings; server errors are returned as responses."""

    def make(**settings: object) -> TestClient:
        chosen = ApiSettings(archive=archive.path, **settings)
        app = create_app(chosen, Service(chosen, archive, FakeEmbedder()))
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> Iterator[TestClient]:
    with serve() as client:
        yield client
