"""The overview of the archive."""

from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from bandsight.archive import Archive, ArchiveWriter
from search_api.app import create_app
from search_api.example_queries import CANDIDATES, example_queries
from search_api.overview import tiles_per_scene
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder


def test_the_overview_agrees_with_the_archive(client: TestClient, archive: Archive) -> None:
    body = client.get("/overview").json()
    assert body["tiles"] == archive.tile_count == 12
    assert body["scenes"] == len(archive.scenes()) == len(body["coverage"]["features"]) == 3
    assert sum(row["tiles"] for row in body["sensors"]) == 12
    assert sum(row["tiles"] for row in body["collections"]) == 12
    assert sum(row["tiles"] for row in body["months"]) == 12
    assert {row["month"] for row in body["months"]} == {"2020-05", "2020-07", "2021-06"}
    assert body["model"]["digest"] == archive.model.digest
    assert body["coverage_complete"] is True
    assert body["has_cells"] is False
    assert body["index"]["index"] == "none"


def test_the_box_of_an_archive_on_both_sides_of_the_date_line_crosses_it(client: TestClient) -> None:
    west, _, east, _ = client.get("/overview").json()["bbox"]
    assert -180 <= west <= 180
    assert -180 <= east <= 180


def test_tiles_per_scene_agree_with_a_count_of_the_tiles(archive: Archive) -> None:
    counted: dict[int, int] = {}
    for tile in range(1, archive.newest_tile + 1):
        scene = archive.tile(tile).scene_id
        counted[scene] = counted.get(scene, 0) + 1
    assert tiles_per_scene(archive) == counted


def test_example_queries_have_distinct_tiles(archive: Archive) -> None:
    found = example_queries(archive, FakeEmbedder())
    assert {one["text"] for one in found} <= set(CANDIDATES)
    assert len({one["tile"] for one in found}) == len(found)
    assert [one["probability"] for one in found] == sorted((one["probability"] for one in found), reverse=True)


def test_an_unlikely_match_is_no_example_even_without_a_threshold(archive: Archive) -> None:
    class Doubtful(FakeEmbedder):
        chance = 0.49

        def threshold(self, imagery):
            return None

        def of(self, cosines, texts, imagery):
            return np.full_like(cosines, self.chance)

    assert example_queries(archive, Doubtful()) == []
    Doubtful.chance = 0.51
    assert example_queries(archive, Doubtful())


def test_an_empty_archive_has_an_overview(tmp_path: Path, archive: Archive) -> None:
    settings = ApiSettings(archive=tmp_path / "empty")
    with ArchiveWriter.create(tmp_path / "empty", archive.model) as empty:
        client = TestClient(create_app(settings, Service(settings, empty, FakeEmbedder())))
        with client:
            body = client.get("/overview").json()
    assert body["tiles"] == body["scenes"] == 0
    assert body["bbox"] is None
    assert body["examples"] == []


def test_the_overview_is_cached_per_generation(client: TestClient, monkeypatch) -> None:
    first = client.get("/overview").content
    monkeypatch.setattr("search_api.overview.example_queries", None)
    assert client.get("/overview").content == first
