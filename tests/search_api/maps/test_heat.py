"""Heat maps over HTTP: the archive's scores at the places of its tiles."""

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from PIL import Image
from rasterio.io import MemoryFile

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from tests.archive.makers import entry, filled
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of
from tests.search_api.test_errors import assert_problem

WORLD = "-180,-90,180,90"


def save_search(client: TestClient, **body: object) -> str:
    response = client.post("/searches", json=body)
    assert response.status_code == 201, response.text
    return f"/searches/{response.json()['id']}"


def raster(data: bytes) -> tuple[np.ma.MaskedArray, dict]:
    with MemoryFile(data) as memory, memory.open() as dataset:
        return dataset.read(1, masked=True), {**dataset.profile, "tags": dataset.tags(1), "bounds": dataset.bounds}


def picture(response) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGBA"))


def scores_of(archive: Archive, *texts: str) -> dict[int, float]:
    ids = archive.tile_ids(Filter()).tolist()
    cosines = archive.vectors(ids) @ FakeEmbedder().embed_texts(list(texts)).T
    return dict(zip(ids, cosines.max(axis=1).tolist(), strict=True))


def test_the_maximum_of_the_map_is_at_the_best_tile(stac: TestClient, many: Archive) -> None:
    search = save_search(stac, q="a lake, a river")
    response = stac.get(f"{search}/heatmap.tif", params={"bbox": WORLD, "width": 1440, "height": 720})
    assert response.headers["content-type"].startswith("image/tiff")
    values, profile = raster(response.content)
    assert (profile["crs"].to_epsg(), profile["dtype"], profile["nodata"]) == (4326, "float32", -9999)
    assert profile["bounds"] == (-180, -90, 180, 90)
    assert profile["tags"]["GENERATION"] == str(many.generation)
    scores = scores_of(many, "a lake", "a river")
    expected = np.full((720, 1440), -np.inf)
    for tile_id, score in scores.items():
        for part in many.tile(tile_id).boxes:
            x0, x1 = (round((lon + 180) * 4) for lon in (part.west, part.east))
            y0, y1 = (round((90 - lat) * 4) for lat in (part.north, part.south))
            expected[y0:y1, x0:x1] = np.maximum(expected[y0:y1, x0:x1], score)
    np.testing.assert_array_equal(values.mask, np.isinf(expected))
    np.testing.assert_allclose(values.compressed(), expected[np.isfinite(expected)], atol=1e-6)


def test_an_image_without_a_saved_search_is_the_same(stac: TestClient) -> None:
    search = save_search(stac, q="a lake", collections=["red"])
    asked = {"bbox": "-60,-60,60,60", "width": 200}
    kept = stac.get(f"{search}/heatmap.png", params=asked)
    short = stac.get("/heatmap.png", params={"q": "a lake", "collections": "red", **asked})
    assert kept.content == short.content
    question = {"q": "a lake", "collections": "red"}
    both = [
        stac.get(f"{search}/heatmap.tif", params=asked).content,
        stac.get("/heatmap.tif", params={**question, **asked}).content,
    ]
    np.testing.assert_array_equal(raster(both[0])[0], raster(both[1])[0])
    assert picture(kept).shape == (200, 200, 4)
    assert 0 < (picture(kept)[..., 3] > 0).mean() < 1


def test_map_tiles_equal_the_image_of_their_bounds(stac: TestClient, many: Archive) -> None:
    search = save_search(stac, q="a lake")
    document = stac.get(f"{search}/heatmap/tilejson.json", params={"colormap": "viridis"}).json()
    (template,) = document["tiles"]
    assert template.endswith("/heatmap/{z}/{x}/{y}.png?colormap=viridis")
    bounds = rasterio.warp.transform_bounds("EPSG:3857", "EPSG:4326", *tile_bounds(2, 1, 2))
    tile = picture(stac.get(template.format(z=2, x=1, y=2)))
    asked = {"bbox": ",".join(map(str, bounds)), "crs": "EPSG:3857", "width": 256, "height": 256, "colormap": "viridis"}
    whole = picture(stac.get(f"{search}/heatmap.png", params=asked))
    assert (tile != whole).any(axis=2).mean() < 1e-3
    assert (tile[..., 3] > 0).any()
    nothing = picture(stac.get(f"{search}/heatmap/22/0/0.png"))
    assert not nothing[..., 3].any()


def test_map_tiles_fade_where_scores_are_low(stac: TestClient) -> None:
    search = save_search(stac, q="a lake")
    address = f"{search}/heatmap/2/1/2.png"
    plain, faded = (picture(stac.get(address, params=more)) for more in ({}, {"fade": "true"}))
    seen = plain[..., 3] > 0
    assert set(np.unique(plain[..., 3])) <= {0, 255}
    np.testing.assert_array_equal(plain[seen][:, :3], faded[seen][:, :3])
    # magma rises in brightness with the score: the brightest colour is also the most opaque.
    brightness, opacity = faded[seen][:, :3].astype(int).sum(axis=1), faded[seen][:, 3]
    assert opacity[brightness.argmax()] == opacity.max() > opacity[brightness.argmin()] == opacity.min()


def tile_bounds(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    half = 20037508.342789244
    side = 2 * half / 2**z
    return x * side - half, half - (y + 1) * side, (x + 1) * side - half, half - y * side


def test_a_box_across_the_antimeridian_shows_both_sides(stac: TestClient, many: Archive) -> None:
    across = next(one for one in many.tile_ids(Filter()).tolist() if len(many.tile(one).boxes) == 2)
    south = many.tile(across).boxes[0].south
    asked = {"q": "a lake", "bbox": f"179,{south},-179,{south + 2}", "width": 200, "height": 200}
    values, profile = raster(stac.get("/heatmap.tif", params=asked).content)
    assert (profile["bounds"].left, profile["bounds"].right) == (179, 181)
    seen = ~values.mask.any(axis=0)
    assert seen[51:149].all()
    np.testing.assert_allclose(values[:, 60], values[:, 140])


def test_scores_are_cached_until_the_archive_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(tmp_path / "a", 8) as archive, TestClient(app_of(archive)) as client:
        scans = []
        scan = Archive.similarities
        monkeypatch.setattr(Archive, "similarities", lambda *args: scans.append(1) or scan(*args))
        search = save_search(client, q="a lake")
        urls = [f"{search}/heatmap/1/{x}/{y}.png" for x in (0, 1) for y in (0, 1)]
        first = [client.get(url) for url in (*urls, f"{search}/heatmap/legend.json")]
        assert len(scans) == 1
        tag = first[0].headers["etag"]
        again = client.get(urls[0], headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        archive.add([entry(100 + n, 8) for n in range(3)])
        fresh = client.get(urls[0], headers={"If-None-Match": tag})
        assert fresh.status_code == 200
        assert len(scans) == 2
        assert client.get(f"{search}/heatmap/legend.json").json()["tiles"] == archive.tile_count


def test_the_legend_maps_colours_to_scores_and_probabilities(stac: TestClient, many: Archive) -> None:
    legend = stac.get(f"{save_search(stac, q='a lake, b')}/heatmap/legend.json").json()
    scores = np.array(list(scores_of(many, "a lake", "b").values()))
    assert legend["tiles"] == len(scores)
    assert legend["range"] == pytest.approx(np.percentile(scores, [2, 99.9]).tolist(), abs=1e-6)
    assert legend["percentiles"]["50.0"] == pytest.approx(np.median(scores), abs=1e-6)
    encoder = FakeEmbedder()
    for mark in legend["marks"]:
        cosine = np.full((1, 1), mark["score"], np.float32)
        assert encoder.of(cosine, cosine, [])[0, 0] == pytest.approx(mark["probability"], abs=1e-3)
        assert mark["sensors"] == ["one", "two"]
    assert [mark["probability"] for mark in legend["marks"]] == [0.1, 0.25, 0.5, 0.75, 0.9]
    mixed = stac.get(f"{save_search(stac, semantic={'text': 'a', 'ids': [3]})}/heatmap/legend.json").json()
    assert mixed["marks"] == []
    shown = picture(stac.get(f"{save_search(stac, q='a lake')}/heatmap/legend.png"))
    assert shown.shape[2] == 4


def test_colours_follow_the_scores(stac: TestClient) -> None:
    asked = {"q": "a lake", "bbox": WORLD, "width": 360}
    values, _ = raster(stac.get("/heatmap.tif", params=asked).content)
    shown = picture(stac.get("/heatmap.png", params={**asked, "rescale": "-1,1"}))
    np.testing.assert_array_equal(shown[..., 3] > 0, ~values.mask)
    # The maps of matplotlib grow lighter evenly.
    light = shown[..., :3].astype(float) @ [0.2126, 0.7152, 0.0722]
    at = ~values.mask
    order = np.argsort(values[at].data)
    assert (np.diff(light[at][order]) > -2).all()


def test_negatives_and_examples_are_mapped_too(stac: TestClient, many: Archive) -> None:
    semantic = {"ids": [3], "negative": [{"text": "clouds"}], "strategy": "best"}
    search = save_search(stac, semantic=semantic)
    values, _ = raster(stac.get(f"{search}/heatmap.tif", params={"bbox": WORLD, "width": 1440}).content)
    best = stac.post("/search", json={"semantic": semantic, "limit": 1}).json()["features"][0]
    score = best["properties"]["bandsight:score"]
    box = many.tile(int(best["id"])).boxes[0]
    there = values[round((90 - box.north) * 4) + 1, round((box.west + 180) * 4) + 1]
    assert there >= score - 1e-5


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("heatmap.png?bbox=1,2,3", ["bbox", "3 numbers"]),
        ("heatmap.png?bbox=0,0,0,1", ["bbox", "extent"]),
        ("heatmap.png?bbox=0,60,1,50", ["bbox", "north"]),
        ("heatmap.png?bbox=0,86,1,87&crs=EPSG:3857", ["bbox", "Mercator"]),
        ("heatmap.png?crs=EPSG:32633", ["crs", "EPSG:32633"]),
        ("heatmap.png?width=0", ["width", "0"]),
        ("heatmap.png?width=5000", ["width", "4096"]),
        ("heatmap.png?height=x", ["height", "'x'"]),
        ("heatmap.png?colormap=jet", ["colormap", "'jet'", "magma"]),
        ("heatmap.png?rescale=1", ["rescale", "'1'"]),
        ("heatmap.png?rescale=1,0", ["rescale", "lower one first"]),
        ("heatmap.png?rescale=a,b", ["rescale"]),
        ("heatmap.png?rescale=nan,1", ["rescale"]),
        ("heatmap.png?rescale=0,inf", ["rescale"]),
        ("heatmap.png?q=a", ["q", "not a parameter"]),
        ("heatmap.tif?colormap=magma", ["colormap", "not a parameter"]),
        ("heatmap/3/8/0.png", ["x, y", "8", "0..7"]),
        ("heatmap/25/0/0.png", ["z", "24"]),
        ("heatmap/-1/0/0.png", ["z"]),
        ("heatmap/a/0/0.png", ["z", "'a'"]),
        ("heatmap/1/0/0.png?rescale=x", ["rescale"]),
        ("heatmap/legend.json?rescale=x", ["rescale"]),
        ("heatmap/legend.png?colormap=x", ["colormap"]),
        ("heatmap/tilejson.json?rescale=x", ["rescale"]),
    ],
)
def test_a_bad_parameter_of_a_map_is_named(stac: TestClient, path: str, words: list[str]) -> None:
    search = save_search(stac, q="a lake")
    assert_problem(stac.get(f"{search}/{path}"), 400, *words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ["q", "missing"]),
        ("q=", ["q", "empty"]),
        ("q=a&collections=none", ["collections", "'none'"]),
        ("q=a&datetime=soon", ["datetime"]),
        ("q=a&intersects=5", ["intersects"]),
        ("q=a&filter=x+%3D+1", ["x"]),
        ("q=a&limit=5", ["limit", "not a parameter"]),
        ("q=a&sensors=none", ["sensors", "'none'", "one, two"]),
        ("q=a&datetime=1990-01-01T00:00:00Z", ["bbox", "no tile"]),
    ],
)
def test_a_bad_parameter_of_a_map_without_search_is_named(stac: TestClient, query: str, words: list[str]) -> None:
    for path in ("/heatmap.png", "/heatmap.tif"):
        assert_problem(stac.get(f"{path}?{query}"), 400, *words)


def test_a_map_of_no_search_is_not_found(stac: TestClient) -> None:
    for path in ("heatmap.png", "heatmap.tif", "heatmap/0/0/0.png", "heatmap/tilejson.json", "heatmap/legend.json"):
        assert_problem(stac.get(f"/searches/{'0' * 16}/{path}"), 404, "not saved")


def test_without_matching_tiles_the_picture_is_empty(stac: TestClient) -> None:
    asked = {"q": "a", "datetime": "1990-01-01T00:00:00Z", "bbox": WORLD, "width": 64}
    assert not picture(stac.get("/heatmap.png", params=asked))[..., 3].any()
    assert raster(stac.get("/heatmap.tif", params=asked).content)[0].mask.all()


def test_any_query_is_mapped_without_a_saved_search(stac: TestClient) -> None:
    question = {"semantic": {"ids": [3], "negative": [{"text": "clouds"}]}, "collections": ["red"]}
    search = save_search(stac, **question)
    shape = {"width": 200, "height": 100}
    kept = stac.get(f"{search}/heatmap.tif", params={"bbox": WORLD, **shape})
    direct = stac.post("/heatmap", json={**question, "format": "tif", "area": [-180, -90, 180, 90], **shape})
    assert direct.headers["content-type"].startswith("image/tiff")
    np.testing.assert_array_equal(raster(direct.content)[0], raster(kept.content)[0])
    style = {"colormap": "viridis"}
    kept = stac.get(f"{search}/heatmap.png", params={"bbox": WORLD, "rescale": "-1,1", **shape, **style})
    direct = stac.post(
        "/heatmap", json={**question, "area": [-180, -90, 180, 90], "rescale": [-1, 1], **shape, **style}
    )
    np.testing.assert_array_equal(picture(direct), picture(kept))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["q, semantic", "neither"]),
        ({"q": "a", "semantic": {"text": "b"}}, ["q, semantic", "both"]),
        ({"q": "a", "format": "gif"}, ["format", "'gif'"]),
        ({"q": "a", "width": 5000}, ["width", "4096"]),
        ({"q": "a", "area": [1, 2, 3]}, ["area"]),
        ({"q": "a", "area": [0, 60, 1, 50]}, ["north"]),
        ({"q": "a", "rescale": [1, 0]}, ["rescale", "lower one first"]),
        ({"q": "a", "colormap": "jet"}, ["colormap", "'jet'", "magma"]),
        ({"q": "a", "limit": 5}, ["limit"]),
        ({"q": "a", "datetime": "1990-01-01T00:00:00Z"}, ["area", "no tile"]),
    ],
)
def test_a_bad_member_of_a_heat_map_is_named(stac: TestClient, body: dict, words: list[str]) -> None:
    assert_problem(stac.post("/heatmap", json=body), 400, *words)
