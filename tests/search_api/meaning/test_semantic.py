"""Complex queries over HTTP, compared with a direct computation over all vectors."""

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
import shapely
from fastapi.testclient import TestClient
from PIL import Image
from shapely.geometry import shape

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from tests.fakes import FakeEmbedder
from tests.search_api.meaning.walk import all_pages, ids, properties

ENCODER = FakeEmbedder()


@pytest.fixture(scope="module")
def tiles(many: Archive) -> dict[int, np.ndarray]:
    everything = many.tile_ids(Filter()).tolist()
    return dict(zip(everything, many.vectors(everything), strict=True))


@pytest.fixture
def ask(stac: TestClient) -> Callable[..., dict]:
    def send(limit: int = 100, **semantic: object) -> dict:
        response = stac.post("/search", json={"semantic": semantic, "limit": limit})
        assert response.status_code == 200, response.text
        return response.json()

    return send


def text(*sentences: str) -> np.ndarray:
    return mean(ENCODER.embed_texts(list(sentences)))


def mean(rows: object) -> np.ndarray:
    total = np.asarray(rows, np.float64).mean(axis=0)
    return total / np.linalg.norm(total)


def order(tiles: dict[int, np.ndarray], score: Callable[[np.ndarray], float], leave: tuple[int, ...] = ()) -> list[int]:
    left = {one: np.float32(score(vector.astype(np.float64))) for one, vector in tiles.items() if one not in leave}
    return sorted(left, key=lambda one: (-left[one], one))


def png(seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def base64_of(data: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(data).decode()}


def picture_vector(data: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    return ENCODER.embed_pixels(pixels[None], (0.665, 0.56, 0.49))[0]


def test_q_is_short_for_a_semantic_query(stac: TestClient, ask: Callable[..., dict]) -> None:
    short = stac.get("/search", params={"q": "a lake, a river", "limit": 100}).json()
    assert ask(text=["a lake", "a river"], strategy="best")["features"] == short["features"]
    assert ask(positive=[{"text": "a lake"}, {"text": "a river"}], strategy="best")["features"] == short["features"]


def test_all_kinds_of_examples_are_mixed_by_weight(ask: Callable[..., dict], tiles: dict[int, np.ndarray]) -> None:
    image = png()
    found = ask(
        positive=[
            {"text": ["a lake", "a pond"], "weight": 2},
            {"image": base64_of(image), "weight": 0.5},
            {"id": 7},
        ],
        negative=[{"text": "clouds", "weight": 3}, {"id": 9}],
    )
    wanted = np.average(
        [text("a lake", "a pond"), picture_vector(image), mean([tiles[7]])], axis=0, weights=[2, 0.5, 1]
    )
    unwanted = np.average([text("clouds"), mean([tiles[9]])], axis=0, weights=[3, 1])
    aim = 2 * wanted - unwanted
    aim /= np.linalg.norm(aim)
    assert ids(found) == order(tiles, lambda row: row @ aim, leave=(7, 9))
    scores = [facts["bandsight:score"] for facts in properties(found)]
    assert scores == pytest.approx([float(tiles[one] @ aim) for one in ids(found)], abs=1e-5)


def test_the_best_example_determines_the_score_and_is_named(
    ask: Callable[..., dict], tiles: dict[int, np.ndarray]
) -> None:
    found = ask(text=["a lake", "a river"], ids=[3], strategy="best")
    examples = {"a lake": text("a lake"), "a river": text("a river"), "tile 3": tiles[3]}
    assert ids(found) == order(tiles, lambda row: max(row @ one for one in examples.values()), leave=(3,))
    for one, facts in zip(ids(found), properties(found), strict=True):
        assert facts["bandsight:matched"] == max(examples, key=lambda name: tiles[one] @ examples[name])


def test_negatives_alone_rank_dissimilar_tiles(ask: Callable[..., dict], tiles: dict[int, np.ndarray]) -> None:
    found = ask(negative=[{"text": "a lake"}], strategy="best")
    assert ids(found) == order(tiles, lambda row: -(row @ text("a lake")))
    assert all(facts["bandsight:matched"] is None for facts in properties(found))


def test_a_point_means_the_tiles_that_cover_it(
    ask: Callable[..., dict], many: Archive, tiles: dict[int, np.ndarray]
) -> None:
    there = shape(many.tile(5).geometry).centroid
    covering = [one for one in tiles if shape(many.tile(one).geometry).intersects(there)]
    found = ask(points=[[there.x, there.y]])
    assert ids(found) == order(tiles, lambda row: row @ mean([tiles[one] for one in covering]), leave=tuple(covering))
    assert properties(found)[0]["bandsight:matched"] == f"point {there.x:g},{there.y:g}"


@pytest.mark.parametrize("grow", [-0.2, 0.5, 60])
def test_an_area_means_the_tiles_inside_it_or_around_it(
    ask: Callable[..., dict], many: Archive, tiles: dict[int, np.ndarray], grow: float
) -> None:
    drawn = shape(many.tile(6).geometry).geoms[0].buffer(grow, join_style="mitre")
    drawn = drawn.intersection(shapely.box(-180, -90, 180, 90))
    inside = [one for one in tiles if drawn.covers(shape(many.tile(one).geometry))]
    meant = inside or [one for one in tiles if drawn.intersects(shape(many.tile(one).geometry))]
    assert bool(inside) == (grow > 0)
    found = ask(area=drawn.__geo_interface__)
    assert ids(found) == order(tiles, lambda row: row @ mean([tiles[one] for one in meant]), leave=tuple(meant))


def test_every_hit_names_its_source(ask: Callable[..., dict], many: Archive) -> None:
    found = ask(text="a lake", limit=5)
    for rank, facts in enumerate(properties(found), 1):
        assert facts["bandsight:rank"] == rank
        assert (facts["bandsight:model"], facts["bandsight:digest"]) == ("fake", "f" * 64)
        assert facts["bandsight:generation"] == many.generation
    for feature in found["features"]:
        assert {"preview", "derived_from", "similar"} <= {link["rel"] for link in feature["links"]}


@pytest.mark.parametrize("least", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_improbable_hits_are_excluded_and_counted(
    ask: Callable[..., dict], tiles: dict[int, np.ndarray], least: float
) -> None:
    likely = {one: 1 / (1 + np.exp(-10 * max(row @ text("a lake"), row @ text("b")))) for one, row in tiles.items()}
    found = ask(limit=3, text=["a lake", "b"], min_probability=least)
    wanted = [one for one in order(tiles, lambda row: row @ mean([text("a lake"), text("b")])) if likely[one] >= least]
    assert ids(found) == wanted[:3]
    assert found["numberMatched"] == len(wanted)
    if least == 1.0:
        assert not wanted
        assert found["nothing_matches"] is True


def test_a_minimum_score_may_exclude_all_hits_and_reports_it(ask: Callable[..., dict]) -> None:
    everything = ask(text="a lake")
    scores = [facts["bandsight:score"] for facts in properties(everything)]
    assert ids(ask(text="a lake", min_score=(scores[4] + scores[5]) / 2)) == ids(everything)[:5]
    nothing = ask(text="a lake", min_score=0.999)
    assert (nothing["features"], nothing["numberMatched"], nothing["nothing_matches"]) == ([], 0, True)


def test_groups_overlaps_and_diversity(ask: Callable[..., dict], client: TestClient) -> None:
    scenes = [facts["bandsight:scene"] for facts in properties(ask(text="a lake", group_by="scene"))]
    assert len(scenes) == len(set(scenes)) == 12
    two = [facts["bandsight:sensor"] for facts in properties(ask(text="a", group_by="sensor", group_limit=2))]
    assert sorted(two) == ["one", "one", "two", "two"]
    body = {"semantic": {"text": "a lake", "overlap": 0.1}, "limit": 100}
    apart = [shape(feature["geometry"]) for feature in client.post("/search", json=body).json()["features"]]
    # Two scenes of one place.
    assert len(apart) == 8
    assert all(a.intersection(b).area <= 0.1 * a.area for n, a in enumerate(apart) for b in apart[:n])
    assert ids(ask(text="a lake", diversity=0.9, limit=8)) != ids(ask(text="a lake", limit=8))


def test_filters_apply_to_text_queries(stac: TestClient, tiles: dict[int, np.ndarray], many: Archive) -> None:
    asked = {"collections": ["red"], "filter": {"op": "=", "args": [{"property": "platform"}, "sat-a"]}}
    plain = [int(one["id"]) for one in stac.post("/search", json={**asked, "limit": 100}).json()["features"]]
    found = stac.post("/search", json={**asked, "semantic": {"text": "a lake"}, "limit": 100}).json()
    assert 0 < len(plain) < many.tile_count
    assert ids(found) == order({one: tiles[one] for one in plain}, lambda row: row @ text("a lake"))


@pytest.mark.parametrize(
    "semantic",
    [
        {"text": "a lake"},
        {"text": ["a lake", "b"], "strategy": "best", "negative": [{"text": "c"}]},
        {"image": base64_of(png(1)), "text": "a"},
        {"points": [[0.0, 0.0]], "text": "a"},
        {"ids": [1, 2], "group_by": "scene", "group_limit": 2},
        {"text": "a", "min_probability": 0.4},
        {"text": "a", "overlap": 0.2},
    ],
)
def test_pages_concatenate_to_the_whole_result(stac: TestClient, many: Archive, semantic: dict) -> None:
    if "points" in semantic:
        there = shape(many.tile(5).geometry).centroid
        semantic = {**semantic, "points": [[there.x, there.y]]}
    whole = stac.post("/search", json={"semantic": semantic, "limit": 100}).json()
    pages = all_pages(stac, {"semantic": semantic, "limit": 7})
    assert [one for page in pages for one in ids(page)] == ids(whole)
    assert len(pages) > 1
    ranks = [facts["bandsight:rank"] for page in pages for facts in properties(page)]
    assert ranks == list(range(1, len(ranks) + 1))
    assert b"image" not in repr(pages[0]["links"]).encode() or "data" not in repr(pages[0]["links"][0])


def test_images_of_a_form_become_positive_examples(stac: TestClient) -> None:
    first, second = png(1), png(2)
    body = '{"semantic": {"text": "a lake", "strategy": "best"}, "limit": 100}'
    by_form = stac.post("/search", files=[("image", first), ("image", second)], data={"body": body}).json()
    positive = [{"image": base64_of(data)} for data in (first, second)]
    semantic = {"text": "a lake", "strategy": "best", "positive": positive}
    by_json = stac.post("/search", json={"semantic": semantic, "limit": 100}).json()
    assert by_form["features"] == by_json["features"]
    assert {facts["bandsight:matched"] for facts in properties(by_form)} <= {"image 1", "image 2", "a lake"}


def test_a_saved_search_stores_vectors_and_no_pixels(stac: TestClient) -> None:
    data = png(3)
    made = stac.post("/searches", files={"image": data}, data={"body": '{"title": "a picture", "hits": 20}'})
    assert made.status_code == 201, made.text
    (example,) = made.json()["search"]["semantic"]["positive"]
    assert set(example) == {"vector", "label"}
    assert base64.b64encode(data).decode()[:60] not in made.text
    hits = stac.get(f"/searches/{made.json()['id']}/search", params={"limit": 100}).json()
    asked = stac.post("/search", json={"semantic": {"image": base64_of(data)}, "limit": 20}).json()
    assert ids(hits) == ids(asked)
    assert properties(hits)[0]["bandsight:matched"] == "image 1"


PLACE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [0, 2], [2, 0], [0, 0]]]}
NOWHERE = {"type": "Polygon", "coordinates": [[[0, 89], [1, 89], [1, 89.5], [0, 89]]]}


@pytest.mark.parametrize(
    ("semantic", "status", "words"),
    [
        ([], 400, ["semantic"]),
        ({}, 400, ["semantic", "no positive example"]),
        ({"negative": [{"text": "a"}]}, 400, ["no positive example"]),
        ({"strategy": "best"}, 400, ["no positive example"]),
        ({"txt": "a"}, 400, ["semantic.txt"]),
        ({"text": ""}, 400, ["empty"]),
        ({"text": []}, 400, ["semantic.text"]),
        ({"text": "a" * 1001}, 400, ["1001", "1000"]),
        ({"text": 5}, 400, ["semantic.text", "5"]),
        ({"text": ["a"] * 65}, 400, ["semantic.text", "64"]),
        ({"ids": list(range(1, 50)), "text": ["a"] * 20}, 400, ["69", "64"]),
        ({"ids": [0]}, 404, ["tile 0"]),
        ({"ids": [-1]}, 400, ["semantic.ids.0", "-1"]),
        ({"ids": ["1"]}, 400, ["semantic.ids.0", "'1'"]),
        ({"ids": 1}, 400, ["semantic.ids"]),
        ({"points": [[200, 0]]}, 400, ["semantic.points.0", "longitude"]),
        ({"points": [[0]]}, 400, ["semantic.points.0"]),
        ({"points": [[0, 89.9]]}, 400, ["point", "0,89.9"]),
        ({"points": [0, 0]}, 400, ["semantic.points.0"]),
        ({"area": PLACE}, 400, ["area", "itself"]),
        ({"area": NOWHERE}, 400, ["area", "no tile"]),
        ({"area": {"type": "Polygon"}}, 400, ["area"]),
        (
            {"area": {"type": "LineString", "coordinates": [[n / 99, 0] for n in range(10_001)]}},
            400,
            ["found more than"],
        ),
        ({"image": {"data": "!"}}, 400, ["semantic.image.data", "base64"]),
        ({"image": {"data": "AAAA"}}, 422, ["PNG"]),
        ({"image": {}}, 400, ["semantic.image.data", "missing"]),
        ({"image": {"data": "AAAA", "wavelengths": []}}, 400, ["semantic.image.wavelengths"]),
        ({"positive": [{}]}, 400, ["semantic.positive.0", "none of them", "text, image, id"]),
        ({"positive": [{"text": "a", "id": 1}]}, 400, ["semantic.positive.0", "text and id"]),
        ({"positive": [{"text": "a", "weight": 0}]}, 400, ["semantic.positive.0.weight", "0"]),
        ({"positive": [{"text": "a", "weight": 1}], "strategy": "best"}, 400, ["weight", "average"]),
        ({"positive": [{"vector": {"data": "", "digest": "f" * 64}}]}, 400, ["vector", "0 bytes", "16"]),
        ({"positive": [{"vector": {"data": "A" * 86 + "==", "digest": "f" * 64}}]}, 400, ["vector", "length 0"]),
        ({"positive": [{"vector": {"data": "", "digest": "0"}}]}, 400, ["vector", "'0'", "fake"]),
        ({"text": "a", "strategy": "worst"}, 400, ["semantic.strategy", "'worst'", "best"]),
        ({"text": "a", "min_score": 2}, 400, ["semantic.min_score", "2"]),
        ({"text": "a", "min_probability": -1}, 400, ["semantic.min_probability", "-1"]),
        ({"ids": [1], "min_probability": 0.5}, 400, ["min_probability", "sentences"]),
        ({"text": "a", "group_by": "year"}, 400, ["semantic.group_by", "'year'", "scene"]),
        ({"text": "a", "group_limit": 3}, 400, ["group_limit", "group_by"]),
        ({"text": "a", "group_by": "scene", "group_limit": 0}, 400, ["semantic.group_limit", "0"]),
        ({"text": "a", "overlap": 1.5}, 400, ["semantic.overlap", "1.5"]),
        ({"text": "a", "diversity": -0.5}, 400, ["semantic.diversity", "-0.5"]),
        ({"text": "a", "exact": "yes"}, 400, ["semantic.exact", "'yes'"]),
        ({"positive": [{"id": 1}], "negative": [{"id": 1, "weight": 2.0}, {"id": 1}], "text": None}, 200, []),
    ],
)
def test_an_invalid_member_of_a_query_is_named(
    stac: TestClient, semantic: object, status: int, words: list[str]
) -> None:
    response = stac.post("/search", json={"semantic": semantic})
    if status == 200:
        assert response.status_code == 200, response.text
        return
    from tests.search_api.test_errors import assert_problem

    assert_problem(response, status, *words)
    assert_problem(stac.post("/searches", json={"semantic": semantic}), status, *words)


def test_diversity_has_one_page(stac: TestClient) -> None:
    body = {"semantic": {"text": "a lake", "diversity": 0.5}, "limit": 5}
    answer = stac.post("/search", json=body).json()
    assert len(answer["features"]) == 5
    assert [link["rel"] for link in answer["links"]] == ["self", "root"]
