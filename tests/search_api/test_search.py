"""Searches over HTTP, compared with searching the archive directly."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bandsight.archive import Archive
from bandsight.imagery.thumbnails import thumbnail
from bandsight.search.items import ResultPage
from bandsight.search.request import request_of, search
from bandsight.search.searcher import Searcher
from tests.fakes import FakeEmbedder
from tests.search_api.conftest import SIDE

HEATMAP = ("{z}/{x}/{y}.png", "tilejson.json", "legend.json", "legend.png")
BERLIN = "13,50,16,54"


def run(archive: Archive, example: dict, limit: int, **filters) -> ResultPage:
    request = request_of({"semantic": {"positive": [example]}, "limit": limit, **filters})
    return search(Searcher(archive, FakeEmbedder()), request)


def ids(response: dict) -> list[int]:
    return [int(feature["id"]) for feature in response["features"]]


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def test_a_text_query_returns_the_archives_ranking_as_items(client: TestClient, archive: Archive) -> None:
    response = client.get("/search", params={"q": "a lake", "limit": 5})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/geo+json"
    page = response.json()
    expected = run(archive, {"text": "a lake"}, 5)
    assert page["type"] == "FeatureCollection"
    assert (page["model"], page["model_digest"]) == ("fake", "f" * 64)
    assert page["generation"] == archive.generation
    assert (page["numberMatched"], page["numberReturned"]) == (12, 5)
    assert ids(page) == [hit.tile.id for hit in expected.rows]
    for feature, hit in zip(page["features"], expected.rows, strict=True):
        facts = feature["properties"]
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] in {"Polygon", "MultiPolygon"}
        assert facts["bandsight:rank"] == hit.rank
        assert facts["bandsight:score"] == pytest.approx(hit.score, abs=1e-6)
        assert facts["bandsight:probability"] == pytest.approx(hit.probability, abs=1e-6)
        assert facts["bandsight:match"] is (hit.probability >= FakeEmbedder().threshold(()))
        assert facts["bandsight:matched"] == "a lake"
    assert page["nothing_matches"] is not any(hit.match for hit in expected.rows)


def test_every_link_of_a_hit_works(client: TestClient) -> None:
    feature = client.get("/search", params={"q": "a lake", "limit": 1}).json()["features"][0]
    rels = {"self", "parent", "collection", "root", "derived_from", "preview", "similar", "tilejson"}
    assert {link["rel"] for link in feature["links"]} == rels
    for link in feature["links"]:
        response = client.get(link["href"])
        assert response.status_code == 200
        assert response.headers["content-type"] == link["type"]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 12),
        ({"bbox": BERLIN}, 8),
        ({"bbox": "179.9,-17,-179.9,-15"}, 4),
        ({"bbox": "0,0,1,1"}, 0),
        ({"datetime": "2021-01-01T00:00:00Z/.."}, 4),
        ({"datetime": "2020-05-01T00:00:00Z/2020-05-01T23:59:59Z"}, 4),
        ({"datetime": "2020-05"}, 4),
        ({"datetime": "2020/2020-05"}, 4),
        ({"sensors": "sentinel1"}, 4),
        ({"sensors": "sentinel1, rgb"}, 12),
        ({"collections": "rgb"}, 8),
        ({"collections": "rgb", "bbox": BERLIN, "datetime": "../2020-12-31T23:59:59Z"}, 4),
    ],
)
def test_a_filtered_search_returns_exactly_the_matching_items(
    client: TestClient, filters: dict[str, str], count: int
) -> None:
    response = client.get("/search", params={"q": "a lake", "limit": 100, **filters}).json()
    assert len(response["features"]) == response["numberMatched"] == count
    assert [feature["properties"]["bandsight:rank"] for feature in response["features"]] == list(range(1, count + 1))


def test_a_tile_across_the_antimeridian_is_cut_there(client: TestClient) -> None:
    response = client.get("/search", params={"q": "a lake", "bbox": "179.9,-17,-179.9,-15", "limit": 100}).json()
    lons = [np.array(f["geometry"]["coordinates"], dtype=object).tolist() for f in response["features"]]
    flat = [float(lon) for lon in str(lons).replace("[", " ").replace("]", " ").replace(",", " ").split()[::2]]
    assert max(flat) == 180
    assert min(flat) == -180


def test_tiles_similar_to_a_tile_exclude_it(client: TestClient, archive: Archive) -> None:
    tile_id = ids(client.get("/search", params={"q": "a lake", "limit": 1}).json())[0]
    expected = [hit.tile.id for hit in run(archive, {"id": tile_id}, 100).rows]
    got = client.get(f"/tiles/{tile_id}/similar", params={"limit": 100}).json()
    assert ids(got) == expected
    assert tile_id not in expected
    assert len(expected) == got["numberMatched"] == 11
    assert all(feature["properties"]["bandsight:probability"] is None for feature in got["features"])
    assert {feature["properties"]["bandsight:matched"] for feature in got["features"]} == {f"tile {tile_id}"}
    found, href = [], f"/tiles/{tile_id}/similar?limit=4&sensors=rgb"
    while href:
        page = client.get(href).json()
        found += ids(page)
        href = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert found == [hit.tile.id for hit in run(archive, {"id": tile_id}, 100, sensors=["rgb"]).rows]


def test_the_image_of_a_tile_finds_that_tile(client: TestClient, archive: Archive) -> None:
    photo = next(scene for scene in archive.scenes() if scene.name.startswith("photo"))
    hits = [h for h in run(archive, {"text": "x"}, 12).rows if h.scene.id == photo.id]
    target = hits[2].tile
    data = png(thumbnail(photo, target, SIDE))
    body = json.dumps({"limit": 3})
    response = client.post("/search", files={"image": ("a.png", data)}, data={"body": body}).json()
    assert ids(response)[0] == target.id
    assert response["features"][0]["properties"]["bandsight:score"] == pytest.approx(1, abs=1e-3)
    body = json.dumps({"sensors": ["sentinel1"], "limit": 3})
    filtered = client.post("/search", files={"image": data}, data={"body": body}).json()
    assert {feature["properties"]["bandsight:sensor"] for feature in filtered["features"]} == {"sentinel1"}


def test_a_geotiff_of_other_bands_is_searched_with_its_wavelengths(client: TestClient, scenes: Path) -> None:
    data = (scenes / "S1A_IW_GRDH_20200701.tif").read_bytes()
    refused = client.post("/search", files={"image": data})
    assert refused.status_code == 422
    assert "wavelength" in refused.json()["detail"]
    response = client.post("/search", files={"image": data}, data={"wavelengths": "5.405, 5.405"})
    assert response.status_code == 200
    assert len(response.json()["features"]) == 10
    image = {"data": base64.b64encode(data).decode(), "wavelengths": [5.405, 5.405]}
    assert ids(client.post("/search", json={"semantic": {"image": image}}).json()) == ids(response.json())


def test_a_tile_is_its_item(client: TestClient, archive: Archive) -> None:
    response = client.get("/tiles/3").json()
    scene = archive.scene(archive.tile(3).scene_id)
    assert response == client.get(f"/collections/{scene.collection}/items/3").json()
    assert "bandsight:score" not in response["properties"]
    assert response["properties"]["title"] == scene.name


def test_a_thumbnail_is_a_png_of_the_requested_size(client: TestClient) -> None:
    response = client.get("/tiles/1/thumbnail.png", params={"size": 64})
    assert response.headers["content-type"] == "image/png"
    assert "max-age" in response.headers["cache-control"]
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.format, picture.size, picture.mode) == ("PNG", (64, 64), "RGB")


def test_matching_tiles_are_classified(client: TestClient) -> None:
    body = {"labels": ["forest", " lake "], "sensors": ["sentinel1"], "limit": 3}
    response = client.post("/classify", json=body).json()
    assert response["labels"] == ["forest", "lake"]
    assert response["matched"] == 4
    assert len(response["tiles"]) == 3
    assert all(row["label"] in {"forest", "lake"} for row in response["tiles"])


def test_health_and_version_report_versions_and_model(client: TestClient) -> None:
    assert client.get("/healthz").json().keys() >= {"status", "bandsight", "gdal", "proj"}
    assert client.get("/readyz").json()["status"] == "ok"
    version = client.get("/version").json()
    assert version["model"] == {"name": "fake", "digest": "f" * 64, "dim": 16, "license": "Apache-2.0"}
    assert version["index"] == {"index": "none"}


def test_openapi_describes_every_route_with_examples(client: TestClient) -> None:
    spec = client.get("/openapi.json").json()
    stac = {"/conformance", "/collections", "/search", "/queryables"}
    stac |= {f"/collections/{{collection_id}}{rest}" for rest in ("", "/items", "/items/{item_id}", "/queryables")}
    drawn = ("/scenes/{scene_id}", "/collections/{collection_id}")
    assert set(spec["paths"]) == {
        "/",
        *stac,
        "/searches",
        "/searches/{search_id}",
        "/searches/{search_id}/",
        "/searches/{search_id}/export",
        "/search/export",
        "/export-formats",
        *(f"/searches/{{search_id}}{path}" for path in stac),
        "/tiles/{tile_id}",
        "/tiles/{tile_id}/similar",
        *(f"/tiles/{{tile_id}}/{name}" for name in ("thumbnail.png", "styles", "crop.tif")),
        *(f"{one}/{name}" for one in drawn for name in ("styles", "tilejson.json", "tiles/{z}/{x}/{y}.png")),
        "/tiles/{tile_id}/explain.png",
        "/session",
        "/atlas",
        "/atlas/export",
        "/atlas/points",
        "/atlas/review",
        "/atlas/values",
        "/change/heatmap",
        "/change/heatmap/{z}/{x}/{y}.png",
        "/classify",
        "/classify/map",
        "/heatmap",
        "/heatmap.png",
        "/heatmap.tif",
        *(f"/searches/{{search_id}}/heatmap.{kind}" for kind in ("png", "tif")),
        *(f"/searches/{{search_id}}/heatmap/{part}" for part in HEATMAP),
        "/labels",
        "/labels/{name}",
        *(f"/labels/{{name}}/{part}" for part in ("classes", "items", "items/{tile_id}", "import", "reattach")),
        *(f"/labels/{{name}}/{part}" for part in ("classifiers", "proposals", "layer", "area/sample")),
        *(f"/labels/{{name}}/layer/{part}" for part in ("tiles", "polygons", "changes")),
        "/labels/area",
        "/change",
        "/timeline",
        "/subscriptions",
        *(f"/subscriptions/{{subscription_id}}{part}" for part in ("", "/pause", "/resume", "/test")),
        *(f"/alerts{part}" for part in ("", "/feed.json", "/atom.xml")),
        "/jobs",
        *("/jobs/{job_id}", "/jobs/{job_id}/results", "/jobs/{job_id}/files/{name}"),
        *("/processes", "/processes/{process_id}", "/processes/{process_id}/execution"),
        "/overview",
        "/version",
        "/healthz",
        "/readyz",
        "/startupz",
        "/metrics",
        "/imagery/tilejson.json",
        "/imagery/tiles/{z}/{x}/{y}.png",
    }
    assert all(operation.get("summary") for path in spec["paths"].values() for operation in path.values())
    for name, path in (("SearchBody", "/search"), ("SaveSearchBody", "/searches")):
        assert spec["components"]["schemas"][name]["examples"]
        for example in spec["components"]["schemas"][name]["examples"]:
            assert client.post(path, json=example).is_success
