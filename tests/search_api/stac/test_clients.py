"""Clients as they are: pystac-client over loopback; the requests that GDAL and QGIS send, replayed."""

from collections.abc import Iterator

import httpx2
import pytest
from pystac_client import Client

from bandsight.archive import Archive

GDAL = {"User-Agent": "GDAL/3.10.0", "Accept": "application/geo+json, application/json"}
QGIS = {"User-Agent": "Mozilla/5.0 QGIS/34000/Linux", "Accept": "application/json, application/geo+json"}


@pytest.fixture
def client(root: str) -> Client:
    return Client.open(root)


def test_pystac_client_walks_catalog_collections_and_items(client: Client) -> None:
    names = [collection.id for collection in client.get_collections()]
    assert names == ["blue", "blue.scenes", "green", "green.scenes", "red", "red.scenes"]
    assert [child.id for child in client.get_children()] == names
    red = client.get_collection("red")
    items = list(red.get_items())
    assert len(items) == 16
    assert red.get_item(items[3].id).id == items[3].id
    scene = items[3].get_single_link("derived_from").resolve_stac_object().target
    assert scene.id == items[3].properties["bandsight:scene"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pystac_client_pages_a_search(client: Client, method: str) -> None:
    search = client.search(limit=7, method=method)
    items = list(search.items())
    assert len(items) == len({item.id for item in items}) == search.matched() == 60


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pystac_client_searches_by_place_time_and_filter(client: Client, many: Archive, method: str) -> None:
    asked = {
        "collections": ["red", "green"],
        "bbox": [-120, -60, 120, 60],
        "datetime": "2020-01-01/2020-12-31",
        "filter": "platform = 'sat-a'" if method == "GET" else {"op": "=", "args": [{"property": "platform"}, "sat-a"]},
        "filter_lang": "cql2-text" if method == "GET" else "cql2-json",
    }
    found = list(client.search(method=method, **asked).items())
    assert found
    assert all(item.properties["platform"] == "sat-a" and item.collection_id == "red" for item in found)
    whole = [item for item in client.search(method=method, collections=["red"]).items() if item.datetime]
    near = [
        item
        for item in whole
        if item.bbox[0] <= 120 and item.bbox[2] >= -120 and item.bbox[1] <= 60 and item.bbox[3] >= -60
    ]
    assert {item.id for item in found} == {item.id for item in near}


def test_pystac_client_sorts_and_chooses_fields(client: Client) -> None:
    items = list(
        client.search(
            sortby=["-properties.datetime"], collections=["red"], fields=["properties.datetime"]
        ).items_as_dicts()
    )
    times = [item["properties"]["datetime"] for item in items]
    known = [time for time in times if time]
    assert times == sorted(known, reverse=True) + [None] * (len(times) - len(known))
    assert all(set(item["properties"]) == {"datetime"} for item in items)


def test_a_plain_stac_client_searches_the_root_of_a_saved_search(root: str) -> None:
    made = httpx2.post(f"{root}searches", json={"q": "a lake", "hits": 20}).json()
    hits = Client.open(f"{root}searches/{made['id']}/")
    expected = httpx2.get(f"{root}search", params={"q": "a lake", "limit": 20}).json()["features"]
    assert [item.id for item in hits.search(limit=6).items()] == [feature["id"] for feature in expected]
    narrowed = [item.id for item in hits.search(collections=["red"], filter="bandsight:sensor = 'one'").items()]
    assert narrowed == [
        feature["id"]
        for feature in expected
        if feature["collection"] == "red" and feature["properties"]["bandsight:sensor"] == "one"
    ]
    assert {item.id for one in hits.get_collections() for item in one.get_items()} == {f["id"] for f in expected}


def follow(url: str, headers: dict[str, str]) -> Iterator[dict]:
    while url:
        response = httpx2.get(url, headers=headers)
        assert response.status_code == 200, response.text
        page = response.json()
        yield page
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")


def test_gdals_oapif_driver_reads_the_api(root: str) -> None:
    """ogr/ogrsf_frmts/wfs/ogroapifdriver.cpp: landing page, service-desc, collections, one item, then pages."""
    landing = httpx2.get(root.rstrip("/"), headers=GDAL).json()
    described = next(link for link in landing["links"] if link["rel"] == "service-desc")
    assert "openapi" in httpx2.get(described["href"], headers=GDAL | {"Accept": described["type"]}).json()
    data = next(link["href"] for link in landing["links"] if link["rel"] == "data")
    collections = httpx2.get(data, headers=GDAL).json()["collections"]
    red = next(one for one in collections if one["id"] == "red")
    items = next(link for link in red["links"] if link["rel"] == "items" and link["type"] == "application/geo+json")
    one = httpx2.get(f"{items['href']}?limit=10", headers=GDAL)
    assert one.headers["content-type"] == "application/geo+json"
    assert one.json()["numberMatched"] == 16
    boxed = f"{items['href']}?limit=5&bbox=-60,-60,60,60&datetime=2020-01-01T00:00:00Z%2F2020-12-31T23:59:59Z"
    found = [feature["id"] for page in follow(boxed, GDAL) for feature in page["features"]]
    assert found
    queryables = next(link["href"] for link in red["links"] if link["rel"].endswith("/queryables"))
    schema = httpx2.get(queryables, headers=GDAL | {"Accept": "application/schema+json"})
    assert schema.headers["content-type"] == "application/schema+json"
    filtered = httpx2.get(
        items["href"], params={"limit": 5, "filter": "(platform = 'sat-a')", "filter-lang": "cql2-text"}, headers=GDAL
    )
    assert filtered.json()["numberMatched"] == 16


def test_gdals_stacit_driver_can_place_every_scene(root: str) -> None:
    """frmts/stacit/stacitdataset.cpp needs proj:code, proj:transform, proj:shape and assets, and follows `next`."""
    pages = list(follow(f"{root}search?collections=red.scenes&limit=3", GDAL))
    items = [item for page in pages for item in page["features"]]
    assert len(items) == 4
    for item in items:
        facts = item["properties"]
        assert facts["proj:code"] == "EPSG:4326"
        assert len(facts["proj:transform"]) in {6, 9}
        assert len(facts["proj:shape"]) == 2
        assert all(asset["href"] for asset in item["assets"].values())


def test_qgis_browses_features_and_stac(root: str) -> None:
    """QGIS asks Features with `limit`, `bbox` and `filter`, and STAC with `collections`, `bbox` and `datetime`."""
    for path in ("", "conformance", "collections", "collections/red", "collections/red/items?limit=10", "openapi.json"):
        response = httpx2.get(root + path, headers=QGIS)
        assert response.status_code == 200
        assert "json" in response.headers["content-type"]
    search = {
        "collections": "red,red.scenes",
        "bbox": "-120,-60,120,60",
        "datetime": "2020-01-01T00:00:00Z/..",
        "limit": 50,
    }
    assert httpx2.get(f"{root}search", params=search, headers=QGIS).json()["features"]
