"""CQL2 in text and JSON: the same meaning, exactly the declared subset."""

import json
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from shapely.geometry import Point, shape

from bandsight.attributes.cql2 import parse_json, parse_text, to_filter
from bandsight.errors import QueryError
from tests.search_api.test_errors import assert_problem


def when(item: dict) -> datetime | None:
    text = item["properties"]["datetime"]
    return None if text is None else datetime.fromisoformat(text)


def cloud(item: dict) -> float | None:
    value = item["properties"].get("eo:cloud_cover")
    return value if isinstance(value, (int, float)) else None


def share(item: dict) -> float:
    """A tile's own share of cloud; what is unknown compares with nothing."""
    return item["properties"].get("bandsight:cloud_fraction", float("nan"))


MARCH = datetime(2020, 3, 1, tzinfo=UTC)
CASES = [
    ("platform = 'sat-a'", lambda i: i["properties"]["platform"] == "sat-a"),
    ("platform <> 'sat-a'", lambda i: i["properties"]["platform"] != "sat-a"),
    ("'sat-a' = platform", lambda i: i["properties"]["platform"] == "sat-a"),
    ("platform > 'sat-a'", lambda i: i["properties"]["platform"] > "sat-a"),
    ("properties.platform IN ('sat-a', 'sat-c')", lambda i: i["properties"]["platform"] in {"sat-a", "sat-c"}),
    ('"eo:cloud_cover" < 50', lambda i: cloud(i) is not None and cloud(i) < 50),
    ("50 >= eo:cloud_cover", lambda i: cloud(i) is not None and cloud(i) <= 50),
    ("eo:cloud_cover BETWEEN 20 AND 60", lambda i: cloud(i) is not None and 20 <= cloud(i) <= 60),
    ("eo:cloud_cover IS NULL", lambda i: i["properties"].get("eo:cloud_cover") is None),
    ("eo:cloud_cover IS NOT NULL", lambda i: i["properties"].get("eo:cloud_cover") is not None),
    ("tasked = true", lambda i: i["properties"].get("tasked") is True),
    ("collection = 'red'", lambda i: i["collection"] == "red"),
    ("collection > 'blue.scenes'", lambda i: i["collection"] > "blue.scenes"),
    ("collection <= 'green'", lambda i: i["collection"] <= "green"),
    ("collection IN ('red', 'blue.scenes')", lambda i: i["collection"] in {"red", "blue.scenes"}),
    ("id IN ('5', 'scene-5', 'x')", lambda i: i["id"] in {"5", "scene-5"}),
    ("id <> '5'", lambda i: i["id"] != "5"),
    ("bandsight:sensor = 'one'", lambda i: i["properties"]["bandsight:sensor"] == "one"),
    ("bandsight:scene = 'scene-2'", lambda i: i["properties"].get("bandsight:scene", i["id"]) == "scene-2"),
    ("bandsight:valid_fraction >= 0.5", lambda i: i["properties"].get("bandsight:valid_fraction", 1) >= 0.5),
    ("bandsight:valid_fraction = 0.5", lambda i: i["properties"].get("bandsight:valid_fraction", 1) == 0.5),
    ("bandsight:valid_fraction < 0.5", lambda i: i["properties"].get("bandsight:valid_fraction", 1) < 0.5),
    ("bandsight:cloud_fraction <= 0.5", lambda i: share(i) <= 0.5),
    ("bandsight:cloud_fraction < 0.5", lambda i: share(i) < 0.5),
    ("bandsight:cloud_fraction = 0.5", lambda i: share(i) == 0.5),
    ("bandsight:cloud_fraction > 0.5", lambda i: share(i) > 0.5),
    ("NOT bandsight:cloud_fraction >= 0.5", lambda i: share(i) < 0.5),
    ("NOT bandsight:cloud_fraction <= -1", lambda i: share(i) >= 0),
    ("bandsight:cloud_fraction <= 7", lambda i: share(i) >= 0),
    ("datetime >= TIMESTAMP('2020-03-01T00:00:00Z')", lambda i: when(i) is not None and when(i) >= MARCH),
    ("NOT datetime >= TIMESTAMP('2020-03-01T00:00:00Z')", lambda i: when(i) is not None and when(i) < MARCH),
    ("datetime = DATE('2020-01-12')", lambda i: when(i) is not None and when(i).date().isoformat() == "2020-01-12"),
    (
        "T_AFTER(datetime, DATE('2020-03-01'))",
        lambda i: when(i) is not None and when(i).date().isoformat() > "2020-03-01",
    ),
    ("T_BEFORE(datetime, TIMESTAMP('2020-03-01T00:00:00Z'))", lambda i: when(i) is not None and when(i) < MARCH),
    ("T_DURING(datetime, INTERVAL('..', '2020-03-01T00:00:00Z'))", lambda i: when(i) is not None and when(i) < MARCH),
    (
        "S_INTERSECTS(geometry, BBOX(-60, -60, 60, 60))",
        lambda i: shape(i["geometry"]).intersects(
            shape({"type": "Polygon", "coordinates": [[[-60, -60], [60, -60], [60, 60], [-60, 60], [-60, -60]]]})
        ),
    ),
    ("S_INTERSECTS(geometry, POINT(-178 -59))", lambda i: shape(i["geometry"]).intersects(Point(-178, -59))),
    (
        "platform = 'sat-a' AND (eo:cloud_cover < 50 OR NOT collection = 'red')",
        lambda i: (
            i["properties"]["platform"] == "sat-a"
            and ((cloud(i) is not None and cloud(i) < 50) or i["collection"] != "red")
        ),
    ),
    ("true", lambda _: True),
    ("false OR id = '1'", lambda i: i["id"] == "1"),
]


@pytest.mark.parametrize(("text", "holds"), CASES, ids=[case[0] for case in CASES])
def test_filters_in_both_languages_agree_with_python(stac: TestClient, text: str, holds) -> None:
    whole = stac.get("/search", params={"limit": 1000}).json()["features"]
    if "collection <>" in text or "collection = 'red')" in text:
        # A scene is in `red.scenes`, which is not `red`.
        whole = whole[:48]
        text = f"({text}) AND NOT collection IN ('red.scenes', 'green.scenes', 'blue.scenes')"
    expected = [item["id"] for item in whole if holds(item)]
    assert expected
    got = stac.get("/search", params={"limit": 1000, "filter": text})
    assert got.status_code == 200, got.text
    assert [item["id"] for item in got.json()["features"]] == expected
    body = {"limit": 1000, "filter": parse_text(text)}
    assert stac.post("/search", json=body).json()["features"] == got.json()["features"]
    told = {"limit": 1000, "filter": json.dumps(body["filter"]), "filter-lang": "cql2-json"}
    assert stac.get("/search", params=told).json()["features"] == got.json()["features"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("platform LIKE 's%'", ["'like'", "s_intersects"]),
        ("CASEI(platform) = 'a'", ["'casei'"]),
        ("eo:cloud_cover + 1 > 2", ["'+'"]),
        ("S_WITHIN(geometry, POINT(0 0))", ["'s_within'"]),
        ("A_CONTAINS(a, (1, 2))", ["'a_contains'"]),
        ("foo(platform) = 1", ["'foo'"]),
        ("platform = eo:cloud_cover", ["platform", "another property"]),
        ("id < '5'", ["id <", "no order"]),
        ("geometry = 'x'", ["geometry", "s_intersects"]),
        ("S_INTERSECTS(platform, POINT(0 0))", ["s_intersects", "'platform'"]),
        ("S_INTERSECTS(geometry, POLYGON((0 0, 2 2, 0 2, 2 0, 0 0)))", ["itself"]),
        ("T_AFTER(platform, DATE('2020-01-01'))", ["t_after", "'platform'"]),
        ("datetime > 5", ["datetime >", "TIMESTAMP"]),
        ("datetime > TIMESTAMP('yesterday')", ["yesterday"]),
        ("T_DURING(datetime, INTERVAL('2021-01-01', '2020-01-01'))", ["swap"]),
        ("datetime IS NULL", ["isNull", "datetime"]),
        ("bandsight:valid_fraction > 'x'", ["bandsight:valid_fraction", "'x'"]),
        ("no_such > 5", ["filter: property no_such", "available"]),
        ("platform > 5", ["platform", "has a number there"]),
        ("platform", ["is needed"]),
        ("platform =", ["not valid CQL2 text"]),
        ("", ["not valid CQL2 text"]),
        ("(" * 40 + "true" + ")" * 40, ["brackets"]),
        ("(" * 4900 + "true" + ")" * 4900, ["brackets"]),
        ("NOT " * 2400 + "true", ["NOT"]),
        ("- " * 4000 + "1 = eo:cloud_cover", ["nested", "signs"]),
        ("2" + "^2" * 4000 + " = eo:cloud_cover", ["nested levels"]),
        ("platform = '" + "a" * 10_000 + "'", ["10,0", "10000"]),
    ],
)
def test_other_input_is_a_400_that_names_it(stac: TestClient, text: str, words: list[str]) -> None:
    response = stac.get("/search", params={"filter": text})
    assert_problem(response, 400, *[word for word in words if word != "10,0"])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, ["where a condition"]),
        ({"op": "=", "args": []}, ["=: found 0 arguments; need 2"]),
        ({"op": "not", "args": [True, True]}, ["not: found 2"]),
        ({"op": 5, "args": []}, ["where a condition"]),
        ({"op": "=", "args": [1, 2]}, ["where a property is needed"]),
        ({"op": "in", "args": [{"property": "platform"}, []]}, ["in: found []"]),
        ({"op": "in", "args": [{"property": "platform"}, "a"]}, ["in: found 'a'"]),
        ({"op": "=", "args": [{"property": "platform"}, None]}, ["platform: found None"]),
        ({"op": "=", "args": [{"property": "platform"}, [1]]}, ["platform: found [1]"]),
        ({"op": "=", "args": [{"property": "platform"}, 10**400]}, ["filter", "64 bits"]),
        ({"op": "s_intersects", "args": [{"property": "geometry"}, 5]}, ["s_intersects: found 5"]),
        ({"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [0, 1]}]}, ["2 numbers"]),
        ({"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": ["a", 0, 1, 1]}]}, ["bbox"]),
        ({"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Nothing"}]}, ["not a GeoJSON geometry"]),
        ({"op": "t_during", "args": [{"property": "datetime"}, {"interval": ["2020-01-01"]}]}, ["two ends"]),
        ({"op": "t_after", "args": [{"property": "datetime"}, {"timestamp": 5}]}, ["t_after"]),
        ("platform = 'a'", ["not valid JSON"]),
    ],
)
def test_json_that_is_not_a_filter_names_the_position(stac: TestClient, said: object, words: list[str]) -> None:
    response = stac.post("/search", content=json.dumps({"filter": said}), headers={"Content-Type": "application/json"})
    assert_problem(
        response, 400, "filter" if "2 numbers" not in words and "not a GeoJSON geometry" not in words else "", *words
    )


def test_filters_have_a_size_limit() -> None:
    deep: dict = {"op": "=", "args": [{"property": "a"}, 1]}
    for _ in range(40):
        deep = {"op": "not", "args": [deep]}
    with pytest.raises(QueryError, match="nested levels"):
        parse_json(deep)
    with pytest.raises(QueryError, match="parts"):
        parse_json({"op": "or", "args": [{"op": "=", "args": [{"property": "a"}, 1]}] * 1000})
    ring = [[n / 1000, 0] for n in range(11_000)]
    with pytest.raises(QueryError, match="vertices"):
        to_filter(
            {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "LineString", "coordinates": ring}]},
            "tile",
        )


@pytest.mark.parametrize("sign", "+-*/%")
def test_a_long_chain_without_brackets_is_as_deep_as_nested_brackets(sign: str, stac) -> None:
    chain = "a = 1" + f"{sign}1" * 1500
    with pytest.raises(QueryError, match="nested levels"):
        parse_text(chain)
    assert stac.get("/search", params={"filter": chain}).status_code == 400
