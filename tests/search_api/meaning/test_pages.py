"""Paging through long results of complex queries while an indexer writes."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from shapely.geometry import shape

from bandsight.archive import Archive, ArchiveWriter
from tests.archive.makers import entry, filled
from tests.search_api.meaning.walk import ids, properties
from tests.search_api.stac.conftest import app_of

SCENES, TILES, PAGE = 50, 100, 500


@pytest.mark.parametrize(
    "semantic",
    [
        {"text": ["a lake", "b"], "strategy": "best", "negative": [{"text": "c"}]},
        {"text": "a lake", "points": [], "negative": [{"id": 7}]},
        {"text": "a lake", "min_probability": 0.0001},
        {"text": "a lake", "min_score": -0.99},
    ],
    ids=str,
)
def test_paging_returns_each_hit_once(tmp_path: Path, semantic: dict) -> None:
    with ArchiveWriter.create(tmp_path / "a", filled(tmp_path / "model", 0).model) as writer:
        writer.add([entry(number, TILES) for number in range(SCENES)])
        examples = set()
        if "points" in semantic:
            there = shape(writer.tile(5).geometry).centroid
            semantic = {**semantic, "points": [[there.x, there.y]]}
        with Archive.open(tmp_path / "a") as reader, TestClient(app_of(reader)) as client:
            url, body, number = "/search", {"semantic": semantic, "limit": PAGE}, 1000
            found: list[int] = []
            ranks: list[int] = []
            while url:
                response = client.post(url, json=body)
                assert response.status_code == 200, response.text
                page = response.json()
                found += ids(page)
                ranks += [facts["bandsight:rank"] for facts in properties(page)]
                # Among the new ones are tiles of the very place that is an example.
                writer.add([entry(number, 20), entry(number + 1, 20)])
                number += 2
                following = [link for link in page["links"] if link["rel"] == "next"]
                url, body = (following[0]["href"], following[0]["body"]) if following else ("", {})
            everything = set(range(1, SCENES * TILES + 1))
            if "points" in semantic:
                covering = [one for one in everything if shape(writer.tile(one).geometry).intersects(there)]
                examples = {7, *covering}
            assert len(found) == len(set(found))
            assert set(found) == everything - examples
            assert ranks == list(range(1, len(found) + 1))
            assert number > 1000 + 2 * (SCENES * TILES // PAGE - 1)
