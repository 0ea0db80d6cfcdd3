"""Item Search: filters against the archive itself, GET against POST, pages beside a writer."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive, ArchiveWriter
from tests.archive.makers import entry, filled
from tests.search_api.stac.conftest import app_of

TRIANGLE = {"type": "Polygon", "coordinates": [[[-90, -60], [90, -60], [0, 60], [-90, -60]]]}


def ids(answer: dict) -> list[str]:
    return [feature["id"] for feature in answer["features"]]


def walk(client: TestClient, method: str, **asked: object) -> tuple[list[str], list[int]]:
    """Follows `next` links as they stand, and returns ids and what each page said it matched."""
    found, matched = [], []
    response = client.get("/search", params=asked) if method == "GET" else client.post("/search", json=asked)
    while True:
        assert response.status_code == 200, response.text
        page = response.json()
        found += ids(page)
        matched.append(page["numberMatched"])
        following = [link for link in page["links"] if link["rel"] == "next"]
        if not following:
            return found, matched
        (link,) = following
        assert link["method"] == method
        response = client.get(link["href"]) if method == "GET" else client.post(link["href"], json=link["body"])


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"limit": 7},
        {"bbox": [-60, -60, 60, 60]},
        {"bbox": [179, -90, -179, 90]},
        {"bbox": [-60, -60, 0, 60, 60, 9000]},
        {"intersects": TRIANGLE},
        {"datetime": "2020-03-01T00:00:00Z/.."},
        {"collections": ["red", "blue.scenes"]},
        {"ids": ["3", "scene-2", "none"]},
        {"sortby": [{"field": "properties.datetime", "direction": "desc"}, {"field": "id", "direction": "asc"}]},
        {"filter": {"op": "=", "args": [{"property": "platform"}, "sat-b"]}},
        {"q": "a lake"},
        {"q": "a lake,a river", "limit": 5},
        {"q": "a lake", "bbox": [-60, -60, 60, 60], "collections": ["red"], "sensors": ["one"]},
        {"fields": {"include": ["id"], "exclude": ["geometry"]}, "limit": 3},
    ],
    ids=str,
)
def test_get_and_post_return_identical_responses(stac: TestClient, asked: dict) -> None:
    params = dict(asked)
    for name in ("bbox", "collections", "ids", "sensors"):
        if name in asked:
            params[name] = ",".join(map(str, asked[name]))
    for name in ("intersects", "filter"):
        if name in asked:
            params[name] = json.dumps(asked[name])
    if "filter" in asked:
        params["filter-lang"] = "cql2-json"
    if "sortby" in asked:
        params["sortby"] = "-datetime,+id"
    if "fields" in asked:
        params["fields"] = "id,-geometry"
    got, posted = stac.get("/search", params=params).json(), stac.post("/search", json=asked).json()

    def bare(answer: dict) -> dict:
        tokens = [
            dict(parse_qsl(urlsplit(link["href"]).query)).get("token") or link.get("body", {}).get("token")
            for link in answer["links"]
            if link["rel"] == "next"
        ]
        return {**answer, "links": tokens}

    assert bare(got) == bare(posted)
    assert got["features"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("asked", [{}, {"q": "a lake"}, {"q": "a,b"}, {"sortby": "-eo:cloud_cover,datetime"}], ids=str)
def test_pages_are_slices_of_the_whole_result(stac: TestClient, method: str, asked: dict) -> None:
    if method == "POST" and "sortby" in asked:
        asked = {"sortby": [{"field": "eo:cloud_cover", "direction": "desc"}, {"field": "datetime"}]}
    found, matched = walk(stac, method, limit=7, **asked)
    whole, _ = walk(stac, method, limit=1000, **asked)
    assert found == whole
    assert set(matched) == {48 if "q" in asked else 60}
    assert len(set(found)) == len(found) == matched[0]


def test_a_bbox_selects_by_footprint_and_not_by_bounding_box(stac: TestClient, many: Archive) -> None:
    for box in ("-60,-60,60,60", "179,-90,-179,90", "0,0,0,0", "-180,-90,180,90"):
        west, south, east, north = map(float, box.split(","))
        spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        rings = [[[w, south], [e, south], [e, north], [w, north], [w, south]] for w, e in spans]
        area = {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
        if box == "0,0,0,0":
            area = {"type": "Point", "coordinates": [0, 0]}
        by_box = stac.get("/search", params={"bbox": box, "limit": 1000}).json()
        assert ids(by_box) == ids(stac.post("/search", json={"intersects": area, "limit": 1000}).json())


def test_semantic_search_applies_filters_and_counts_matches(stac: TestClient, many: Archive) -> None:
    asked = {
        "q": "a lake",
        "collections": ["red"],
        "limit": 1000,
        "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 50]},
    }
    answer = stac.post("/search", json=asked).json()
    plain = stac.post("/search", json={**asked, "q": None}).json()
    assert sorted(ids(answer)) == sorted(ids(plain))
    assert answer["numberMatched"] == len(ids(answer)) > 0
    scores = [feature["properties"]["bandsight:score"] for feature in answer["features"]]
    assert scores == sorted(scores, reverse=True)
    assert {feature["properties"]["bandsight:matched"] for feature in answer["features"]} == {"a lake"}


def test_a_limit_above_the_maximum_is_the_maximum(stac: TestClient, many: Archive) -> None:
    with TestClient(app_of(many, max_hits=5)) as client:
        for limit in (5, 6, 10**9, 10**30):
            assert client.get("/search", params={"limit": limit}).json()["numberReturned"] == 5
            page = client.post("/search", json={"limit": limit}).json()
            assert page["numberReturned"] == 5
            (following,) = [link for link in page["links"] if link["rel"] == "next"]
            assert client.post("/search", json=following["body"]).json()["numberReturned"] == 5


@pytest.mark.parametrize("asked", [{}, {"q": "a lake"}, {"q": "a lake,b"}, {"sortby": "-datetime"}], ids=str)
def test_paging_5000_hits_during_writes_returns_each_once(tmp_path: Path, asked: dict) -> None:
    """Scenes are added and replaced on every page; nothing comes twice, nothing that stays is missed."""
    with ArchiveWriter.create(tmp_path / "a", filled(tmp_path / "model", 0).model) as writer:
        writer.add([entry(number, 100) for number in range(50)])
        with Archive.open(tmp_path / "a") as reader, TestClient(app_of(reader)) as client:
            tiles = {str(number) for number in range(1, 5001)}
            found: list[str] = []
            url, number, replaced = (
                "/search?" + "&".join(f"{k}={v}" for k, v in {**asked, "limit": 500}.items()),
                100,
                set(),
            )
            while url:
                page = client.get(url).json()
                found += [one for one in ids(page) if not one.startswith("scene-")]
                url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
                writer.add([entry(number, 20)])
                if number % 4 == 0:
                    old = number - 100
                    writer.add([entry(old, 3, version=number)])
                    replaced |= {str(one) for one in range(old * 100 + 1, old * 100 + 101)}
                number += 1
            assert len(found) == len(set(found))
            assert tiles - replaced <= set(found) <= tiles
            assert number > 109
            assert replaced


def test_a_token_survives_additions_and_belongs_to_one_query(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 6) as archive, TestClient(app_of(archive)) as client:
        first = client.get("/search", params={"limit": 5}).json()
        (href,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
        token = dict(parse_qsl(urlsplit(href).query))["token"]
        archive.add([entry(50)])
        assert client.get(href).json()["numberMatched"] == first["numberMatched"] == 30
        other = client.get("/search", params={"limit": 9, "token": token}).json()
        assert len(ids(other)) == 9
        for asked in ({"collections": "red"}, {"q": "a lake"}, {"sortby": "id"}, {"bbox": "0,0,1,1"}):
            refused = client.get("/search", params={"token": token, **asked})
            assert refused.status_code == 400
            assert "token: it belongs to another query" in refused.json()["detail"]
    with filled(tmp_path / "b", 2) as younger, TestClient(app_of(younger)) as client:
        refused = client.get("/search", params={"token": token})
        assert refused.status_code == 400
        assert "generation 3, but this archive is at 1" in refused.json()["detail"]


PLAIN = {"type", "stac_version", "id", "collection"}


@pytest.mark.parametrize(
    ("fields", "keys", "properties"),
    [
        ({"include": ["geometry"]}, PLAIN | {"geometry"}, None),
        ({"include": ["properties.platform"], "exclude": ["properties"]}, PLAIN | {"properties"}, {"platform"}),
        ({"include": ["geometry"], "exclude": ["geometry", "collection"]}, PLAIN - {"collection"} | {"geometry"}, None),
        (
            {"include": [], "exclude": ["geometry"]},
            PLAIN | {"stac_extensions", "bbox", "links", "assets", "properties"},
            {"datetime"},
        ),
        (
            {"include": None, "exclude": ["links", "assets"]},
            PLAIN | {"stac_extensions", "bbox", "geometry", "properties"},
            {"datetime"},
        ),
    ],
)
def test_fields_are_those_that_the_extension_names(stac: TestClient, fields: dict, keys: set, properties: set) -> None:
    body = {"collections": ["red"], "fields": fields, "limit": 1}
    (item,) = stac.post("/search", json=body).json()["features"]
    assert set(item) == keys
    assert (None if properties is None else set(item["properties"])) == properties


def test_without_the_fields_parameter_items_are_complete(stac: TestClient) -> None:
    body = {"collections": ["red"], "limit": 1}
    whole = stac.post("/search", json=body).json()["features"]
    for fields in ({}, {"include": None, "exclude": None}, {"include": [], "exclude": []}):
        assert stac.post("/search", json=body | {"fields": fields}).json()["features"] == whole
    (less,) = stac.post("/search", json=body | {"fields": {"exclude": ["geometry"]}}).json()["features"]
    assert set(less) == set(whole[0]) - {"geometry"}
