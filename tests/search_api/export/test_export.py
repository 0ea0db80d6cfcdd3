"""Exports: what the pages say, in one file that other programs read; and a registered search as it was."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import geopandas
import httpx2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
from fastapi.testclient import TestClient

from bandsight.archive import Archive
from bandsight.errors import BandsightError
from bandsight.export import formats
from bandsight.export import pages as pages_module
from bandsight.export.files import save
from bandsight.export.pages import ResultPages
from search_api.export import routes
from tests.archive.makers import entry, filled
from tests.search_api.stac.conftest import app_of
from tests.search_api.test_errors import assert_problem

csv.field_size_limit(sys.maxsize)


def everything(client: TestClient, body: dict) -> list[dict]:
    """Walk the pages of a search."""
    found, token = [], {}
    while True:
        page = client.post("/search", json=body | token).json()
        found += page["features"]
        links = [link for link in page["links"] if link["rel"] == "next"]
        if not links:
            return found
        token = {"token": links[0]["body"]["token"]}


def table_of(response: httpx2.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text)))


QUESTIONS = [
    {"sortby": [{"field": "datetime", "direction": "desc"}]},
    {"collections": ["red", "red.scenes"], "bbox": [-170, -60, 170, 60]},
    {"q": "a lake, a river"},
    {"semantic": {"ids": [3], "negative": [{"text": "clouds"}], "group_by": "collection", "group_limit": 3}},
]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "PAGE", 7)


@pytest.mark.parametrize("body", QUESTIONS)
def test_geojson_has_the_items_of_all_pages_in_their_order(stac: TestClient, body: dict) -> None:
    response = stac.post("/search/export", json=body)
    assert response.headers["content-type"] == "application/geo+json"
    assert response.headers["content-disposition"] == 'attachment; filename="bandsight.geojson"'
    answer = response.json()
    expected = everything(stac, body)
    assert len(expected) > 7
    assert answer["features"] == expected
    assert answer["numberReturned"] == len(expected)
    assert answer["generation"] == int(response.headers["bandsight-generation"])
    limited = stac.post("/search/export", json=body | {"limit": 9}).json()
    assert limited["features"] == expected[:9]
    assert limited.get("numberMatched") == answer.get("numberMatched")


@pytest.mark.parametrize("body", QUESTIONS)
def test_csv_has_a_row_for_each_item(stac: TestClient, body: dict) -> None:
    rows = table_of(stac.post("/search/export?format=csv", json=body))
    expected = everything(stac, body)
    assert [row["id"] for row in rows] == [item["id"] for item in expected]
    for row, item in zip(rows, expected, strict=True):
        said = item["properties"]
        assert row["datetime"] == (said["datetime"] or "")
        assert [float(row[side]) for side in ("west", "south", "east", "north")] == item["bbox"]
        for name in ("eo:cloud_cover", "bandsight:score", "bandsight:matched", "platform"):
            assert row.get(name, "") == str(said.get(name, ""))
        shape = shapely.from_wkt(row["geometry"])
        assert shapely.equals_exact(shape, shapely.from_geojson(json.dumps(item["geometry"])), 1e-6)


def test_csv_cells_are_never_formulas(tmp_path: Path) -> None:
    scene, tiles, vectors = entry(0)
    for text in ("=1+1", "+1", "-1", "@x"):
        scene.properties["remark"] = text
        with filled(tmp_path / f"a{ord(text[0])}", 0) as archive:
            archive.add([(scene, tiles, vectors)])
            with TestClient(app_of(archive)) as client:
                assert table_of(client.post("/search/export?format=csv", json={}))[0]["remark"] == f"'{text}"


def test_without_its_packages_geoparquet_names_the_extra_to_install(
    stac: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stac_geoparquet.arrow", None)
    answer = stac.post("/search/export?format=geoparquet", json={"limit": 3})
    assert_problem(answer, 501, "GeoParquet export needs", "pip install 'bandsight[geoparquet]'")


@pytest.mark.parametrize("body", QUESTIONS)
def test_geoparquet_is_read_by_geopandas(stac: TestClient, tmp_path: Path, body: dict) -> None:
    response = stac.post("/search/export?format=geoparquet", json=body)
    assert response.headers["content-disposition"] == 'attachment; filename="bandsight.parquet"'
    path = tmp_path / "found.parquet"
    path.write_bytes(response.content)
    frame = geopandas.read_parquet(path)
    expected = everything(stac, body)
    assert frame["id"].tolist() == [item["id"] for item in expected]
    assert frame.crs.to_epsg() == 4326
    for shape, item in zip(frame.geometry, expected, strict=True):
        assert shapely.equals_exact(shape, shapely.from_geojson(json.dumps(item["geometry"])), 1e-9)
    # Numbers and text under one name become text.
    covers = [item["properties"].get("eo:cloud_cover") for item in expected]
    kinds = {type(one) for one in covers if one is not None}
    for found, cover in zip(frame["eo:cloud_cover"], covers, strict=True):
        said = None if pd.isna(found) else found
        assert said == (cover if len(kinds) == 1 or cover is None else str(cover))
    assert b"stac-geoparquet" in pq.read_schema(path).metadata


@pytest.mark.parametrize("kind", ["geojson", "csv", "geoparquet"])
def test_vectors_are_included_on_request(stac: TestClient, many: Archive, tmp_path: Path, kind: str) -> None:
    body = {"collections": ["red", "red.scenes"]}
    response = stac.post(f"/search/export?format={kind}&vectors=true", json=body)
    if kind == "geojson":
        found = {one["id"]: one["properties"].get("bandsight:vector") for one in response.json()["features"]}
    elif kind == "csv":
        found = {row["id"]: json.loads(row["bandsight:vector"] or "null") for row in table_of(response)}
    else:
        (tmp_path / "a.parquet").write_bytes(response.content)
        table = pq.read_table(tmp_path / "a.parquet", columns=["id", "bandsight:vector"])
        assert str(table.schema.field("bandsight:vector").type.value_type) == "float"
        found = dict(zip(table["id"].to_pylist(), table["bandsight:vector"].to_pylist(), strict=True))
    assert len(found) == 20
    for item, vector in found.items():
        if item.startswith("scene-"):
            assert vector is None
        else:
            np.testing.assert_allclose(vector, many.vectors([int(item)])[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["geojson", "csv", "geoparquet"])
def test_an_empty_result_is_a_file_without_rows(empty: TestClient, tmp_path: Path, kind: str) -> None:
    response = empty.post(f"/search/export?format={kind}&vectors=true", json={})
    assert response.status_code == 200
    if kind == "geojson":
        assert response.json()["features"] == []
    elif kind == "csv":
        assert table_of(response) == []
    else:
        (tmp_path / "a.parquet").write_bytes(response.content)
        assert len(geopandas.read_parquet(tmp_path / "a.parquet")) == 0


@pytest.fixture
def empty(tmp_path: Path):
    with filled(tmp_path / "empty", 0) as archive, TestClient(app_of(archive), raise_server_exceptions=False) as client:
        yield client


def test_an_export_holds_one_page_in_memory(stac: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    rows = ResultPages._items

    def counted(self: ResultPages, page):
        made = rows(self, page)
        held.append(len(made.items))
        return made

    monkeypatch.setattr(ResultPages, "_items", counted)
    for kind in ("geojson", "csv", "geoparquet"):
        held.clear()
        stac.post(f"/search/export?format={kind}", json={})
        assert max(held) <= 7
        assert sum(held) == 60


def test_an_export_runs_during_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes meanwhile is left out, what goes meanwhile is gone; nothing else is missed or told twice."""
    with filled(tmp_path / "a", 6) as archive, TestClient(app_of(archive)) as client:
        rows = ResultPages._items
        pages = 0

        def busy(self: ResultPages, page):
            nonlocal pages
            pages += 1
            if pages == 2:
                archive.add([entry(20)])
                archive.remove([archive.scene(1).href])
            return rows(self, page)

        monkeypatch.setattr(ResultPages, "_items", busy)
        answer = client.post("/search/export?vectors=true", json={"collections": ["red", "green", "blue"]}).json()
        ids = [int(one["id"]) for one in answer["features"]]
        assert len(ids) == len(set(ids))
        assert set(range(8, 25)) <= set(ids) <= set(range(1, 25))


def test_a_saved_search_is_exported_as_of_its_generation_with_the_removed_hits(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 6) as archive, TestClient(app_of(archive)) as client:
        made = client.post("/searches", json={"q": "a lake", "hits": 10}).json()
        link = next(link["href"] for link in made["links"] if link["rel"] == "export")
        first = client.get(link)
        assert first.headers["content-disposition"] == f'attachment; filename="search-{made["id"]}.geojson"'
        then = first.json()
        assert [one["id"] for one in then["features"]] == [
            one["id"] for one in client.get("/search?q=a lake&limit=10").json()["features"]
        ]
        assert (then["generation"], then["saved_generation"], then["gone"]) == (3, 3, [])
        assert client.get(f"{link}?as_saved=true").json()["features"] == then["features"]

        archive.add([entry(n) for n in range(20, 30)])
        best = archive.tile(int(then["features"][0]["id"]))
        archive.remove([archive.scene(best.scene_id).href])
        of_scene = [
            int(one["id"])
            for one in then["features"]
            if one["properties"]["bandsight:scene"] == f"scene-{best.scene_id}"
        ]

        now = client.get(link)
        assert len(now.json()["features"]) == 10
        assert now.json()["features"] != then["features"]
        assert (now.headers["bandsight-generation"], now.headers["bandsight-saved-generation"]) == ("5", "3")
        assert now.headers["bandsight-gone"] == str(len(of_scene))
        assert now.json()["gone"] == of_scene

        pinned = client.get(f"{link}?as_saved=true").json()
        left = [one["id"] for one in then["features"] if int(one["id"]) not in of_scene]
        assert [one["id"] for one in pinned["features"]] == left
        assert pinned["gone"] == of_scene
        rows = table_of(client.get(f"{link}?as_saved=true&format=csv&limit=3"))
        assert [row["id"] for row in rows] == left[:3]

        assert client.delete(f"/searches/{made['id']}").status_code == 204
        assert not archive.saved_searches.newest()


def test_an_export_of_many_hits_pages_through_them_all(stac: TestClient) -> None:
    made = stac.post("/searches", json={"q": "a lake", "hits": 40}).json()
    answer = stac.get(f"/searches/{made['id']}/export").json()
    ranks = [one["properties"]["bandsight:rank"] for one in answer["features"]]
    assert ranks == list(range(1, 41))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/search/export?format=pdf", {}, ["format", "'pdf'", "geoparquet"]),
        ("/search/export?vectors=perhaps", {}, ["vectors", "'perhaps'"]),
        ("/search/export?limit=5", {}, ["limit", "not a parameter"]),
        ("/search/export?format=csv&format=csv", {}, ["format", "more than once"]),
        ("/search/export", {"limit": 0}, ["limit", "0"]),
        ("/search/export", {"limit": 1_000_001}, ["limit", "1000001", "1000000"]),
        ("/search/export", {"token": "x"}, ["token", "'x'"]),
        ("/search/export", {"fields": {"include": ["id"]}}, ["fields"]),
        ("/search/export", {"collections": ["none"]}, ["collections", "'none'"]),
        ("/search/export", {"q": "a", "sortby": [{"field": "id"}]}, ["sortby"]),
        ("/search/export", {"bbox": [0, 60, 1, 50]}, ["bbox"]),
        ("/search/export", {"q": "a", "semantic": {"text": "b"}}, ["q, semantic", "both"]),
    ],
)
def test_an_invalid_export_parameter_is_named(stac: TestClient, path: str, body: dict, words: list[str]) -> None:
    assert_problem(stac.post(path, json=body), 400, *words)


@pytest.mark.parametrize("query", ["", "?format=csv", "?format=geoparquet&vectors=true", "?as_saved=true"])
def test_head_has_the_headers_of_the_file_without_making_it(
    stac: TestClient, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    made = stac.post("/searches", json={"q": "a lake", "hits": 20}).json()
    (link,) = [link["href"] for link in made["links"] if link["rel"] == "export"]
    get = stac.get(f"{link}{query}")

    def work(*_: object, **__: object) -> None:
        raise AssertionError("HEAD makes nothing")

    monkeypatch.setattr(routes, "ResultPages", work)
    monkeypatch.setattr(routes, "OriginalRanking", work)
    head = stac.head(f"{link}{query}")
    assert (head.status_code, head.content) == (200, b"")
    own = {
        name: value for name, value in head.headers.items() if name not in {"content-encoding", "vary", "x-request-id"}
    }
    assert {name: get.headers[name] for name in own} == own
    assert {"content-type", "content-disposition", "bandsight-generation", "bandsight-gone"} <= set(own)
    assert stac.head(f"{link}?format=xls").status_code == 400
    assert stac.head(link.replace(made["id"], "0" * 16)).status_code == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("format=pdf", ["format", "'pdf'"]),
        ("limit=0", ["limit", "found 0"]),
        ("limit=x", ["limit", "'x'"]),
        ("as_saved=x", ["as_saved", "'x'"]),
        ("q=a", ["q", "not a parameter"]),
    ],
)
def test_an_invalid_export_parameter_of_a_saved_search_is_named(stac: TestClient, query: str, words: list[str]) -> None:
    made = stac.post("/searches", json={"q": "a lake", "hits": 5}).json()
    assert_problem(stac.get(f"/searches/{made['id']}/export?{query}"), 400, *words)
    assert_problem(stac.get("/searches/0123456789abcdef/export"), 404, "0123456789abcdef")


class Ids:
    """A format of one id a line."""

    name = "ids"
    title = "Plain ids"
    media_type = "text/plain"
    suffixes = (".ids",)

    def stream(self, pages: ResultPages) -> Iterator[bytes]:
        for page in pages:
            yield "".join(f"{item['id']}\n" for item in page.items).encode()


def test_an_added_format_is_available_everywhere(many: Archive, stac: TestClient) -> None:
    assert_problem(stac.post("/search/export?format=ids", json={}), 400, "format", "'ids'")
    formats.register(Ids())
    try:
        with TestClient(app_of(many)) as client:
            listed = client.get("/export-formats").json()["formats"]
            assert [one["name"] for one in listed] == ["geojson", "csv", "geoparquet", "ids"]
            assert listed[-1] == {
                "name": "ids",
                "title": "Plain ids",
                "media_type": "text/plain",
                "suffixes": [".ids"],
            }
            document = client.get("/openapi.json").json()["paths"]
            for path, method in (("/search/export", "post"), ("/searches/{search_id}/export", "get")):
                described = document[path][method]
                (parameter,) = [one for one in described["parameters"] if one["name"] == "format"]
                assert parameter["schema"]["enum"] == ["geojson", "csv", "geoparquet", "ids"]
                assert "text/plain" in described["responses"]["200"]["content"]
            body = {"q": "a lake", "limit": 9}
            response = client.post("/search/export?format=ids", json=body)
            assert response.headers["content-type"].startswith("text/plain")
            assert response.headers["content-disposition"] == 'attachment; filename="bandsight.ids"'
            assert response.text.split() == [item["id"] for item in everything(client, body)][:9]
        with pytest.raises(ValueError, match="already in use"):
            formats.register(Ids())
    finally:
        formats.unregister("ids")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"begun"
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        save(tmp_path / "a.csv", breaks())
    assert not list(tmp_path.iterdir())
    with pytest.raises(BandsightError, match=r"nowhere/a\.csv: cannot be written.*folder"):
        save(tmp_path / "nowhere" / "a.csv", [b"x"])
    assert save(tmp_path / "a.csv", [b"x", b"y"]).read_bytes() == b"xy"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]
