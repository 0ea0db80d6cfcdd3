"""Highlights of the matching part of a tile."""

import io

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.imagery.model_view import model_view
from bandsight.maps.highlights import located_vectors
from tests.fakes import FakeEmbedder
from tests.search_api.test_errors import assert_problem

ENCODER = FakeEmbedder()


def overlay(response) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(response.content))
    assert picture.mode == "RGBA"
    return np.asarray(picture)


def test_a_tile_is_read_as_the_model_saw_it_when_it_was_indexed(archive: Archive) -> None:
    ids = archive.tile_ids(Filter()).tolist()
    assert len({archive.scene(archive.tile(one).scene_id).sensor for one in ids}) == 2
    for one, vector in zip(ids, archive.vectors(ids), strict=True):
        tile = archive.tile(one)
        scene = archive.scene(tile.scene_id)
        again = ENCODER.embed_pixels(model_view(scene, tile)[None], scene.wavelengths_um)[0]
        np.testing.assert_allclose(again, vector, atol=1e-3)


def test_the_cell_that_fits_best_covers_most(client: TestClient, archive: Archive) -> None:
    for tile_id in (1, 9, 10):
        tile = archive.tile(tile_id)
        scene = archive.scene(tile.scene_id)
        cells = located_vectors(ENCODER, model_view(scene, tile), scene.wavelengths_um)
        scores = cells @ ENCODER.embed_texts(["a lake"])[0]
        shown = overlay(client.get(f"/tiles/{tile_id}/explain.png", params={"q": "a lake", "size": 64}))
        assert shown.shape == (64, 64, 4)
        corners = shown[[0, 0, -1, -1], [0, -1, 0, -1], 3].astype(float)
        order = np.argsort(scores[[0, 0, -1, -1], [0, -1, 0, -1]])
        assert (np.diff(corners[order]) >= 0).all()
        assert shown[..., 3].min() == 0


def test_a_saved_search_explains_like_its_query(client: TestClient) -> None:
    made = client.post("/searches", json={"q": "a lake, a river"}).json()["id"]
    by_search = client.get("/tiles/9/explain.png", params={"search": made})
    assert by_search.content == client.get("/tiles/9/explain.png", params={"q": "a lake, a river"}).content
    semantic = {"ids": [1], "negative": [{"text": "clouds"}]}
    mixed = client.post("/searches", json={"semantic": semantic}).json()["id"]
    assert overlay(client.get("/tiles/9/explain.png", params={"search": mixed})).shape == (256, 256, 4)
    known = client.get(
        "/tiles/9/explain.png", params={"search": made}, headers={"If-None-Match": by_search.headers["etag"]}
    )
    assert known.status_code == 304


def test_a_uniform_tile_is_uniform_with_a_given_range(client: TestClient) -> None:
    everywhere = overlay(client.get("/tiles/9/explain.png", params={"q": "a", "rescale": "-3,-2"}))
    nowhere = overlay(client.get("/tiles/9/explain.png", params={"q": "a", "rescale": "2,3"}))
    assert (everywhere[..., 3] > 200).all()
    assert not nowhere[..., 3].any()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("1/explain.png", 400, ["q, search", "none"]),
        ("1/explain.png?q=a&search=0123456789abcdef", 400, ["q, search", "both"]),
        ("1/explain.png?q=", 400, ["q", "empty"]),
        ("1/explain.png?search=none", 404, ["none", "not saved"]),
        ("1/explain.png?q=a&size=8", 400, ["size", "16"]),
        ("1/explain.png?q=a&size=5000", 400, ["size", "1024"]),
        ("1/explain.png?q=a&rescale=1", 400, ["rescale"]),
        ("1/explain.png?q=a&colormap=jet", 400, ["colormap"]),
        ("1/explain.png?q=a&bands=red", 400, ["bands", "not a parameter"]),
        ("999/explain.png?q=a", 404, ["999"]),
        ("x/explain.png?q=a", 400, ["tile_id", "'x'"]),
    ],
)
def test_a_bad_parameter_is_named(client: TestClient, path: str, status: int, words: list[str]) -> None:
    assert_problem(client.get(f"/tiles/{path}"), status, *words)


def test_a_scene_that_is_gone_cannot_be_explained(stac: TestClient) -> None:
    assert_problem(stac.get("/tiles/1/explain.png?q=a"), 410, "/scenes/")
