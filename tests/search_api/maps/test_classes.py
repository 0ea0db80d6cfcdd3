"""Classes over HTTP: tiles, areas, scenes and pictures against labels, and their maps."""

import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from rasterio.io import MemoryFile

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.search.zero_shot import check_labels, label_vectors
from tests.fakes import FakeEmbedder
from tests.search_api.test_errors import assert_problem

ENCODER = FakeEmbedder()
LABELS = {"water": ["a lake", "a river"], "forest": "dense forest", "town": ["houses"]}


@pytest.fixture(scope="module")
def truth(many: Archive) -> dict[int, np.ndarray]:
    """The cosine of every tile with each label."""
    ids = many.tile_ids(Filter()).tolist()
    return dict(zip(ids, many.vectors(ids) @ label_vectors(ENCODER, check_labels(LABELS)).T, strict=True))


def ask(client: TestClient, path: str = "/classify", **body: object):
    response = client.post(path, json={"labels": LABELS, **body})
    assert response.status_code == 200, response.text
    return response


def test_every_tile_gets_its_likeliest_label(stac: TestClient, truth: dict[int, np.ndarray], many: Archive) -> None:
    answer = ask(stac).json()
    assert answer["labels"] == ["water", "forest", "town"]
    assert (answer["matched"], answer["generation"]) == (48, many.generation)
    assert [row["tile_id"] for row in answer["tiles"]] == list(truth)
    for row in answer["tiles"]:
        cosines = truth[row["tile_id"]]
        assert row["label"] == answer["labels"][int(cosines.argmax())] == row["ranked"][0]
        # Each label on its own: they do not add up to one.
        expected = 1 / (1 + np.exp(-10 * cosines))
        assert list(row["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-4)
        assert row["ranked"] == sorted(answer["labels"], key=lambda label: -row["probabilities"][label])


def test_a_label_without_sentences_uses_the_templates(stac: TestClient, many: Archive) -> None:
    answer = stac.post("/classify", json={"labels": ["forest", " lake "], "limit": 3}).json()
    assert answer["labels"] == ["forest", "lake"]
    vectors = label_vectors(ENCODER, check_labels(["forest", "lake"]))
    cosines = many.vectors([row["tile_id"] for row in answer["tiles"]]) @ vectors.T
    assert [row["label"] for row in answer["tiles"]] == [answer["labels"][at] for at in cosines.argmax(axis=1)]


def test_filters_ids_and_scenes_choose_the_tiles(stac: TestClient, many: Archive, truth: dict[int, np.ndarray]) -> None:
    red = many.tile_ids(Filter(collections=("red",))).tolist()
    assert [row["tile_id"] for row in ask(stac, collections=["red"]).json()["tiles"]] == red
    assert [row["tile_id"] for row in ask(stac, ids=["5", "3", "999"]).json()["tiles"]] == [3, 5]
    scene = many.tile(5).scene_id
    of_scene = many.tile_ids(Filter(scenes=(scene,))).tolist()
    assert [row["tile_id"] for row in ask(stac, scene=f"scene-{scene}").json()["tiles"]] == of_scene
    few = ask(stac, limit=2).json()
    assert (len(few["tiles"]), few["matched"]) == (2, 48)


def test_shares_are_of_the_area(stac: TestClient, many: Archive, truth: dict[int, np.ndarray]) -> None:
    shares = ask(stac).json()["shares"]
    areas = dict.fromkeys(LABELS, 0.0)
    for tile_id, cosines in truth.items():
        for box in many.tile(tile_id).boxes:
            height = np.sin(np.radians(box.north)) - np.sin(np.radians(box.south))
            areas[list(LABELS)[int(cosines.argmax())]] += (box.east - box.west) * height
    for label, area in areas.items():
        assert shares[label]["area"] == pytest.approx(area / sum(areas.values()), abs=1e-5)
    assert sum(share["tiles"] for share in shares.values()) == 48


def test_an_image_is_classified_without_a_tile(stac: TestClient) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    data = {"body": json.dumps({"labels": LABELS})}
    answer = stac.post("/classify", files={"image": out.getvalue()}, data=data)
    assert answer.status_code == 200, answer.text
    vector = ENCODER.embed_pixels(pixels.transpose(2, 0, 1)[None], (0.665, 0.56, 0.49))[0]
    cosines = label_vectors(ENCODER, check_labels(LABELS)) @ vector
    got = answer.json()["image"]
    assert [one["score"] for one in got["ranked"]] == pytest.approx(sorted(cosines.tolist(), reverse=True), abs=1e-5)
    assert got["label"] == list(LABELS)[int(cosines.argmax())]
    assert "tiles" not in answer.json()


def test_the_map_as_geojson_has_a_footprint_for_every_tile(stac: TestClient, many: Archive) -> None:
    made = ask(stac, "/classify/map", collections=["red"])
    assert made.headers["content-type"] == "application/geo+json"
    rows = {row["tile_id"]: row for row in ask(stac, collections=["red"]).json()["tiles"]}
    features = made.json()["features"]
    assert [int(feature["id"]) for feature in features] == list(rows)
    for feature in features:
        row = rows[int(feature["id"])]
        assert feature["geometry"] == many.tile(row["tile_id"]).geometry
        assert feature["properties"]["label"] == row["label"]
        assert feature["properties"]["probability"] == row["probabilities"][row["label"]]
    assert set(made.json()["colors"]) == set(LABELS)


def test_the_map_as_geotiff_holds_classes_colours_and_names(
    stac: TestClient, many: Archive, truth: dict[int, np.ndarray]
) -> None:
    made = ask(stac, "/classify/map", format="tif", bbox=[-180, -90, 180, 90], width=1440, height=720)
    expected = np.zeros((720, 1440), np.uint8)
    for tile_id in sorted(truth, key=lambda one: truth[one].max()):
        for box in many.tile(tile_id).boxes:
            x0, x1 = (round((lon + 180) * 4) for lon in (box.west, box.east))
            y0, y1 = (round((90 - lat) * 4) for lat in (box.north, box.south))
            expected[y0:y1, x0:x1] = truth[tile_id].argmax() + 1
    with MemoryFile(made.content) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), expected)
        assert (dataset.dtypes[0], dataset.nodata, dataset.crs.to_epsg()) == ("uint8", 0, 4326)
        assert {f"CLASS_{n}": label for n, label in enumerate(LABELS, 1)}.items() <= dataset.tags(1).items()
        colors = dataset.colormap(1)
    said = ask(stac, "/classify/map").json()["colors"]
    for number, label in enumerate(LABELS, 1):
        assert "#{:02x}{:02x}{:02x}".format(*colors[number][:3]) == said[label]
    assert len(set(said.values())) == 3


def test_the_map_as_png_is_transparent_without_tiles_and_has_a_legend(stac: TestClient) -> None:
    body = {"bbox": [-60, -60, 60, 60], "width": 240, "crs": "EPSG:3857"}
    alone = ask(stac, "/classify/map", format="png", **body)
    assert alone.headers["content-type"] == "image/png"
    bare = np.asarray(Image.open(io.BytesIO(alone.content)).convert("RGBA"))
    assert 0 < (bare[..., 3] > 0).mean() < 1
    beside = np.asarray(
        Image.open(io.BytesIO(ask(stac, "/classify/map", format="png", legend=True, **body).content)).convert("RGBA")
    )
    assert beside.shape[1] > bare.shape[1]
    seen = bare[..., 3] > 0
    np.testing.assert_array_equal(beside[: bare.shape[0], : bare.shape[1]][seen], bare[seen])


def test_a_scene_is_mapped_by_its_item_id(stac: TestClient, many: Archive) -> None:
    scene = many.tile(5).scene_id
    features = ask(stac, "/classify/map", scene=f"scene-{scene}").json()["features"]
    assert [int(one["id"]) for one in features] == many.tile_ids(Filter(scenes=(scene,))).tolist()


@pytest.mark.parametrize("path", ["/classify", "/classify/map"])
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"labels": None}, 400, ["labels"]),
        ({"labels": "forest"}, 400, ["labels"]),
        ({"labels": {}}, 400, ["labels"]),
        ({"labels": {"a": "b"}}, 400, ["labels"]),
        ({"labels": {"a": [], "b": "c"}}, 400, ["labels"]),
        ({"labels": {"a": "", "b": "c"}}, 400, ["empty"]),
        ({"labels": {"a ": "x", "a": "y"}}, 400, ["labels", "different"]),
        ({"labels": {"a": ["x"] * 101, "b": "c"}}, 400, ["labels"]),
        ({"labels": {str(n): ["x"] * 50 for n in range(30)}}, 400, ["1,500 sentences", "256"]),
        ({"labels": ["a", "b"], "scene": "5"}, 400, ["scene", "'5'"]),
        ({"labels": ["a", "b"], "scene": "scene-999"}, 404, ["scene 999"]),
        ({"labels": ["a", "b"], "scene": "scene-" + "9" * 19}, 400, ["scene", "9999"]),
        ({"labels": ["a", "b"], "collections": ["none"]}, 400, ["'none'", "red"]),
        ({"labels": ["a", "b"], "bbox": [0, 1, 2]}, 400, ["bbox"]),
        ({"labels": ["a", "b"], "datetime": "soon"}, 400, ["SOON"]),
        ({"labels": ["a", "b"], "q": "x"}, 400, ["q"]),
        ({"labels": ["a", "b"], "semantic": {}}, 400, ["semantic"]),
    ],
)
def test_a_bad_member_is_named(stac: TestClient, path: str, body: dict, status: int, words: list[str]) -> None:
    assert_problem(stac.post(path, json=body), status, *words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"format": "gif"}, ["format", "'gif'", "png"]),
        ({"format": "png", "width": 0}, ["width", "0"]),
        ({"format": "png", "height": 9999}, ["height", "4096"]),
        ({"format": "tif", "bbox": [0, 0, 0, 1]}, ["bbox", "extent"]),
        ({"format": "tif", "crs": "EPSG:25832"}, ["crs"]),
        ({"format": "tif", "sensors": ["none"]}, ["sensors", "'none'", "one, two"]),
        ({"format": "tif", "datetime": "1990-01-01T00:00:00Z"}, ["bbox", "no tile"]),
        ({"legend": "yes"}, ["legend"]),
        ({"limit": 5}, ["limit"]),
        ({"image": {"data": ""}}, ["image"]),
    ],
)
def test_a_bad_member_of_a_map_is_named(stac: TestClient, body: dict, words: list[str]) -> None:
    assert_problem(stac.post("/classify/map", json={"labels": ["a", "b"], **body}), 400, *words)


def test_an_image_and_a_place_cannot_be_combined(stac: TestClient) -> None:
    body = {"labels": ["a", "b"], "image": {"data": "AAAA"}, "ids": ["1"]}
    assert_problem(stac.post("/classify", json=body), 400, "image, ids", "both")
    two = stac.post("/classify", files=[("image", b"x"), ("image", b"y")], data={"body": '{"labels": ["a", "b"]}'})
    assert_problem(two, 400, "image", "2")
    assert_problem(stac.post("/classify", json={**body, "ids": None}), 400, "image, ids")


def test_too_many_pairs_of_tiles_and_labels_are_rejected(stac: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from bandsight.maps import classes

    monkeypatch.setattr(classes, "_MAX_PAIRS", 100)
    assert_problem(stac.post("/classify", json={"labels": ["a", "b", "c"]}), 400, "labels", "48", "smaller")
    monkeypatch.setattr(classes, "_MAX_PAIRS", 10**9)
    monkeypatch.setattr(classes, "_MAX_FEATURES", 10)
    assert_problem(stac.post("/classify/map", json={"labels": ["a", "b"]}), 400, "format", "48", "png")
