"""Every parameter of every route, wrong in each way: a 4xx that names it, what was found and what is allowed."""

import base64
import json

import pytest
from fastapi.testclient import TestClient

from tests.search_api.test_errors import assert_problem

BOW = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [0, 2], [2, 0], [0, 0]]]}
OPEN = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4]]]}
OPEN_TEXT = "S_INTERSECTS(geometry,POLYGON((0 0,4 0,4 4,0 4)))"
LISTS = ["/search", "/collections/red/items"]


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("bbox=", ["bbox", "not a"]),
        ("bbox=1,2,3", ["bbox", "3 numbers"]),
        ("bbox=1,2,3,4,5,6,7", ["bbox", "7 numbers"]),
        ("bbox=a,b,c,d", ["bbox", "not a"]),
        ("bbox=0,inf,1,1", ["bbox", "not a"]),
        ("bbox=0,0,181,1", ["bbox", "longitude"]),
        ("bbox=0,-91,1,1", ["bbox", "latitude"]),
        ("bbox=0,60,1,50", ["bbox", "north"]),
        ("bbox=" + "1," * 600, ["bbox"]),
        ("datetime=", ["datetime"]),
        ("datetime=../..", ["datetime", "'../..'", "an open end"]),
        ("filter=S_INTERSECTS(geometry,BBOX(1,5,2,4))", ["filter", "s_intersects", "north"]),
        ("filter=S_INTERSECTS(geometry,POLYGON((0 0,2 2,0 2,2 0,0 0)))", ["filter", "s_intersects", "itself"]),
        ("datetime=/", ["datetime"]),
        ("datetime=2020-01-01", ["datetime", "2020-01-01", "time zone"]),
        ("datetime=2020-13-01T00:00:00Z", ["datetime", "2020-13-01"]),
        ("datetime=2020-01-01T00:00:00", ["datetime", "time zone"]),
        ("datetime=2021-01-01T00:00:00Z/2020-01-01T00:00:00Z", ["datetime", "swap"]),
        ("datetime=2020-01-01T00:00:00Z/../..", ["datetime"]),
        ("datetime=" + "2" * 200, ["datetime"]),
        ("datetime=0001-01-01T00:00:00%2B14:00", ["datetime", "years 1 to 9999"]),
        ("datetime=9999-12-31T23:59:59-14:00/..", ["datetime", "years 1 to 9999"]),
        ("limit=0", ["limit", "found 0"]),
        ("limit=-5", ["limit", "found -5"]),
        ("limit=ten", ["limit", "'ten'"]),
        ("limit=", ["limit"]),
        ("limit=1.5", ["limit"]),
        ("limit=1&limit=2", ["limit", "more than once"]),
        ("token=", ["token", "''"]),
        ("token=abc", ["token", "'abc'", "next"]),
        ("token=%F0%9F%9A%80", ["token"]),
        ("token=" + "a" * 5000, ["token"]),
        ("token=" + forged(1, 2, 3), ["token"]),
        ("token=" + forged("0" * 16, 1, []), ["token", "another version of Bandsight"]),
        ("token=" + forged(2, "0" * 16, 1, []), ["token", "another query"]),
        ("token=" + forged(2, "0" * 16, 1), ["token", "unchanged"]),
        ("token=" + base64.urlsafe_b64encode(b"[" * 2000).decode(), ["token"]),
        ("sortby=", ["sortby", "empty"]),
        ("sortby=id,,datetime", ["sortby", "empty"]),
        ("sortby=id,-id", ["sortby", "twice"]),
        ("sortby=no_such", ["sortby: property no_such", "available"]),
        ("sortby=platform&filter=no_such=1", ["filter: property no_such", "available"]),
        ("sortby=no_such&filter=platform=1", ["filter: property platform", "has a number there"]),
        ("sortby=" + ",".join("abcdefghi"), ["sortby", "9 keys"]),
        ("fields=" + ",".join(f"a{n}" for n in range(101)), ["fields", "100"]),
        ("filter-lang=sql&filter=1", ["filter-lang", "'sql'", "cql2-text"]),
        ("filter-lang=cql2-json&filter=[", ["filter", "not valid JSON"]),
        ("filter-lang=cql2-json&filter=" + "[" * 3000, ["filter"]),
        ("filter-lang=cql2-json&filter=5", ["filter", "5"]),
        ("filter-crs=EPSG:3857&filter=true", ["filter-crs", "EPSG:3857", "CRS84"]),
        ("crs=EPSG:3857", ["crs", "not a parameter"]),
        ("BBOX=1,2,3,4", ["BBOX", "not a parameter", "bbox"]),
    ],
)
def test_a_bad_list_parameter_is_named(stac: TestClient, path: str, query: str, words: list[str]) -> None:
    assert_problem(stac.get(f"{path}?{query}"), 400, *words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("collections=none", ["collections", "'none'", "red.scenes"]),
        ("collections=", ["collections", "empty"]),
        ("collections=red,,blue", ["collections", "empty"]),
        ("collections=" + ",".join(["red"] * 1001), ["collections", "1001", "1000"]),
        ("ids=", ["ids", "empty"]),
        ("ids=" + ",".join(["1"] * 1001), ["ids", "1001"]),
        ("sensors=", ["sensors", "empty"]),
        ("intersects=", ["intersects", "not JSON"]),
        ("intersects=5", ["intersects", "'5'"]),
        ("intersects={}", ["intersects"]),
        ("intersects=" + json.dumps(BOW), ["intersects", "itself"]),
        ("intersects=" + json.dumps({"type": "Point", "coordinates": [0, 99]}), ["intersects", "99"]),
        (
            "bbox=0,0,1,1&intersects=" + json.dumps({"type": "Point", "coordinates": [0, 0]}),
            ["bbox, intersects", "both"],
        ),
        ("q=", ["q", "empty"]),
        ("q=,,", ["q", "empty"]),
        ("q=" + "a" * 1001, ["1001", "1000"]),
        ("q=" + ",".join("abcdefghijklmnopq"), ["q", "17", "16"]),
        ("q=a&sortby=id", ["sortby", "sorted by score"]),
        ("semantic={}", ["semantic", "not a parameter"]),
    ],
)
def test_a_bad_search_parameter_is_named(stac: TestClient, query: str, words: list[str]) -> None:
    assert_problem(stac.get(f"/search?{query}"), 400, *words)


def test_items_of_a_collection_reject_another_collection(stac: TestClient) -> None:
    assert stac.get("/collections/red/items?collections=red").status_code == 200
    assert_problem(stac.get("/collections/red/items?collections=blue"), 400, "collections", "'blue'", "red")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"collections": "red"}, ["collections", "'red'", "list"]),
        ({"collections": [1]}, ["collections", "1"]),
        ({"collections": [""]}, ["collections"]),
        ({"ids": ["x"] * 1001}, ["ids", "1000"]),
        ({"bbox": "0,0,1,1"}, ["bbox", "list"]),
        ({"bbox": [0, 0, 1]}, ["bbox", "4"]),
        ({"bbox": [0, 0, 1, 1, 1]}, ["bbox", "5 numbers"]),
        ({"bbox": ["0", 0, 1, 1]}, ["bbox", "'0'"]),
        ({"bbox": [0, 60, 1, 50]}, ["bbox", "north"]),
        ({"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}}, ["bbox, intersects"]),
        ({"intersects": BOW}, ["intersects", "itself"]),
        ({"intersects": {"type": "Polygon", "coordinates": []}}, ["intersects", "empty"]),
        ({"intersects": {"type": "Polygon", "coordinates": "x"}}, ["intersects"]),
        ({"intersects": {"type": "GeometryCollection", "geometries": 5}}, ["intersects"]),
        ({"intersects": {"type": "Feature", "geometry": None}}, ["intersects"]),
        (
            {"intersects": {"type": "LineString", "coordinates": [[n / 99, 0] for n in range(10_001)]}},
            ["intersects", "10,000"],
        ),
        ({"datetime": 5}, ["datetime", "5"]),
        ({"datetime": "soon"}, ["datetime", "SOON"]),
        ({"limit": "5"}, ["limit", "'5'"]),
        ({"limit": 0}, ["limit", "0"]),
        ({"limit": 1.5}, ["limit", "1.5"]),
        ({"token": 5}, ["token", "5"]),
        ({"token": "x"}, ["token", "'x'"]),
        ({"sortby": "id"}, ["sortby", "list"]),
        ({"sortby": [{"field": "id", "direction": "up"}]}, ["sortby.0.direction", "'up'", "asc"]),
        ({"sortby": [{"direction": "asc"}]}, ["sortby.0.field", "missing"]),
        ({"sortby": [{"field": "no_such"}]}, ["no_such"]),
        ({"fields": ["id"]}, ["fields"]),
        ({"fields": {"include": "id"}}, ["fields.include"]),
        ({"filter": 5}, ["filter", "5"]),
        ({"filter": "true", "filter-lang": "cql"}, ["filter-lang", "'cql'"]),
        ({"filter": {"op": "=", "args": []}, "filter-lang": "cql2-text"}, ["filter", "cql2-text"]),
        ({"q": {}}, ["q"]),
        ({"q": []}, ["q", "empty"]),
        ({"semantic": "a lake"}, ["semantic", "'a lake'"]),
        ({"query": {}}, ["query"]),
    ],
)
def test_a_bad_member_of_a_body_is_named(stac: TestClient, body: object, words: list[str]) -> None:
    assert_problem(stac.post("/search", json=body), 400, *words)


def test_unknown_names_are_rejected(stac: TestClient, empty: TestClient) -> None:
    for name, there in (("collections", "blue, blue.scenes"), ("sensors", "one, two")):
        bodies = [{name: ["none"]}, {name: ["none"], "q": "a lake"}]
        answers = [stac.get(f"/search?{name}=none"), stac.get(f"/tiles/1/similar?{name}=none")]
        answers += [stac.post("/search", json=body) for body in bodies]
        answers += [stac.post("/search/export", json=body) for body in bodies]
        answers += [stac.post("/searches", json=bodies[1])]
        answers += [stac.post("/classify", json={**bodies[0], "labels": ["a", "b"]})]
        for answer in answers:
            assert_problem(answer, 400, f"{name}: found 'none', not in this archive; available: {there}")
        assert_problem(empty.get(f"/search?{name}=none"), 400, f"{name}: found 'none'", "has none yet")


@pytest.mark.parametrize(
    "query",
    [
        "ids=none,999999,scene-999999",
        "filter=collection='none'",
        "filter=\"bandsight:sensor\"='none'",
        "filter=\"bandsight:scene\"='scene-999999'",
        "filter=platform='none'",
    ],
)
def test_values_that_no_item_has_find_nothing(stac: TestClient, query: str) -> None:
    answer = stac.get(f"/search?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["numberMatched"] == 0


@pytest.mark.parametrize("limit", [0, -5, 2**63 - 1, 2**63, 2**64, 10**30, 10**100])
def test_a_limit_means_the_same_in_a_url_and_in_a_body(stac: TestClient, limit: int) -> None:
    in_url, in_body = stac.get(f"/search?limit={limit}"), stac.post("/search", json={"limit": limit})
    assert in_url.status_code == in_body.status_code == (200 if limit > 0 else 400)
    if limit > 0:
        assert in_url.json()["features"] == in_body.json()["features"]
        assert in_url.json()["numberReturned"] == 60
    else:
        assert in_url.json() == in_body.json()
        assert_problem(in_url, 400, f"limit: found {limit};")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/collections/none", ["collection_id", "'none'", "red"]),
        ("/collections/none/items", ["collection_id", "'none'"]),
        ("/collections/none/queryables", ["collection_id"]),
        ("/collections/none/items/1", ["collection_id"]),
        ("/collections/red/items/none", ["'none'", "red"]),
        ("/collections/red/items/3.5", ["'3.5'"]),
        ("/collections/blue/items/1", ["'1'", "blue"]),
        ("/collections/red/items/scene-1", ["'scene-1'"]),
        ("/collections/red.scenes/items/1", ["'1'"]),
        ("/collections/red/items/" + "9" * 30, ["9999"]),
        ("/collections/red/items/01", ["'01'"]),
    ],
)
def test_unknown_things_are_named(stac: TestClient, path: str, words: list[str]) -> None:
    assert_problem(stac.get(path), 404, *words)


@pytest.mark.parametrize("path", ["/conformance", "/collections", "/collections/red", "/queryables"])
def test_routes_without_parameters_reject_parameters(stac: TestClient, path: str) -> None:
    assert_problem(stac.get(f"{path}?limit=1"), 400, "limit", "not a parameter", "it has no parameters")


@pytest.mark.parametrize("path", ["/search", "/searches"])
def test_wrong_media_types_and_malformed_bodies_are_problems(stac: TestClient, path: str) -> None:
    for media_type in ("text/plain", "application/xml", "image/png"):
        assert_problem(
            stac.post(path, content=b"{}", headers={"Content-Type": media_type}), 415, "Content-Type", "json"
        )
    for content in (b"", b"{", b"\xff", b"[" * 5000, b"null", b"5"):
        response = stac.post(path, content=content, headers={"Content-Type": "application/json"})
        assert_problem(response, 400)
    assert_problem(stac.post(path, json={"q": "a" * 2**24}), 413, "8,388,608")


@pytest.mark.parametrize("path", ["/search", "/searches", "/search/export", "/classify"])
@pytest.mark.parametrize(
    "content",
    [
        b'{"q": "half a character: \\ud800"}',
        b'{"filter": {"op": ">", "args": [{"property": "gsd"}, -1' + b"0" * 30 + b']}, "limit": 1}',
        b'{"filter": ' + b'{"op": "not", "args": [' * 300 + b"true" + b"]}" * 300 + b"}",
    ],
)
def test_a_body_that_a_next_link_cannot_repeat_is_rejected(stac: TestClient, path: str, content: bytes) -> None:
    response = stac.post(path, content=content, headers={"Content-Type": "application/json"})
    assert_problem(response, 400, content[2:8].decode().partition('"')[0], "64 bits")


def test_half_a_surrogate_pair_in_a_form_is_rejected(stac: TestClient) -> None:
    form = {"body": (None, '{"q": "\\ud800"}'), "image": ("x.png", b"x")}
    assert_problem(stac.post("/search", files=form), 400, "'q'", "valid Unicode")


def test_long_values_are_shortened_in_messages(stac: TestClient) -> None:
    response = stac.get("/search", params={"sortby": "x" * 15_000})
    assert_problem(response, 400, "xxx")
    assert response.json()["detail"].endswith("…")


@pytest.mark.parametrize("path", ["/conformance", "/collections", "/collections/red/items", "/queryables", "/search"])
def test_other_methods_name_the_right_ones(stac: TestClient, path: str) -> None:
    response = stac.put(path)
    assert_problem(response, 405)
    assert "GET" in response.headers["allow"]


@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        ("/search", {"intersects": json.dumps(OPEN)}, "intersects"),
        ("/search", {"filter": OPEN_TEXT}, "filter: s_intersects"),
        ("/collections/red/items", {"filter": OPEN_TEXT}, "filter: s_intersects"),
        ("/tiles/1/similar", {"intersects": json.dumps(OPEN)}, "intersects"),
        ("/heatmap.png", {"q": "a lake", "intersects": json.dumps(OPEN)}, "intersects"),
        ("/heatmap.tif", {"q": "a lake", "filter": OPEN_TEXT}, "filter: s_intersects"),
    ],
)
def test_an_open_ring_in_a_url_is_named(stac: TestClient, path: str, asked: dict, name: str) -> None:
    assert_problem(stac.get(path, params=asked), 400, f"{name}: found an open ring, from [0", "[0", "last position")


BY_FILTER = [
    ({"intersects": OPEN}, "intersects"),
    ({"intersects": {"type": "Feature", "geometry": OPEN, "properties": {}}}, "intersects"),
    ({"filter": {"op": "s_intersects", "args": [{"property": "geometry"}, OPEN]}}, "filter: s_intersects"),
    ({"filter": OPEN_TEXT, "filter-lang": "cql2-text"}, "filter: s_intersects"),
]
BY_EXAMPLE = [({"area": OPEN}, "area"), ({"text": "a", "negative": [{"area": OPEN}]}, "area")]


@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        *(("/search", asked, name) for asked, name in BY_FILTER),
        *(("/search/export", asked, name) for asked, name in BY_FILTER),
        *(("/searches", {**asked, "q": "a lake"}, name) for asked, name in BY_FILTER),
        *(
            (f"/classify{part}", {**asked, "labels": ["a", "b"]}, name)
            for part in ("", "/map")
            for asked, name in BY_FILTER
        ),
        *((path, {"semantic": asked}, name) for path in ("/search", "/searches") for asked, name in BY_EXAMPLE),
    ],
)
def test_an_open_ring_in_a_body_is_named(stac: TestClient, path: str, asked: dict, name: str) -> None:
    assert_problem(stac.post(path, json=asked), 400, f"{name}: found an open ring, from [0", "[0", "last position")
