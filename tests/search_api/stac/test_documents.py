"""Landing page, collections, items and answers against the models of the STAC project's own library."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from stac_pydantic.api import Collection, Item, ItemCollection, LandingPage

from bandsight.archive import Archive
from bandsight.stac.documents import CONFORMS_TO, MEANING
from tests.archive.makers import entry, filled
from tests.search_api.stac.conftest import app_of

BERLIN = "-60,-60,60,60"


def features(client: TestClient, path: str, **params: object) -> list[dict]:
    response = client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()["features"]


def test_the_landing_page_is_a_catalog_with_conformance_classes(stac: TestClient) -> None:
    page = stac.get("/").json()
    LandingPage.model_validate(page)
    assert page["conformsTo"] == stac.get("/conformance").json()["conformsTo"] == list(CONFORMS_TO)
    assert MEANING in page["conformsTo"]
    assert len({(link["rel"], link["href"], link.get("method")) for link in page["links"]}) == len(page["links"])


def test_every_link_of_the_landing_page_and_of_collections_works(stac: TestClient) -> None:
    pages = [stac.get("/").json(), *stac.get("/collections").json()["collections"]]
    for link in (link for page in pages for link in page["links"] if link.get("method") != "POST"):
        response = stac.get(link["href"])
        assert response.status_code == 200, link
        assert response.headers["content-type"] == link["type"]


def test_collections_of_tiles_are_listed_with_those_of_their_scenes(stac: TestClient) -> None:
    pages = stac.get("/collections").json()["collections"]
    for page in pages:
        Collection.model_validate(page)
        assert stac.get(f"/collections/{page['id']}").json() == page
    assert [page["id"] for page in pages] == ["blue", "blue.scenes", "green", "green.scenes", "red", "red.scenes"]
    red = pages[4]
    assert (red["bandsight:tiles"], red["bandsight:scenes"]) == (16, 4)
    assert red["summaries"]["bandsight:model"] == ["fake"]
    assert red["summaries"]["bandsight:model_license"] == ["Apache-2.0"]
    assert red["bands"] == [{"name": "red", "bandsight:wavelength": 0.665}] * 2
    assert red["summaries"]["platform"] == ["sat-a"]
    start, end = red["extent"]["temporal"]["interval"][0]
    assert start < end


def test_every_item_is_one_by_the_librarys_model_and_is_found_under_its_own_link(stac: TestClient) -> None:
    answer = stac.get("/search", params={"limit": 1000}).json()
    ItemCollection.model_validate(answer)
    assert answer["numberMatched"] == answer["numberReturned"] == 60
    for item in answer["features"][::7]:
        Item.model_validate(item)
        (own,) = [link["href"] for link in item["links"] if link["rel"] == "self"]
        assert stac.get(own).json() == item


def test_a_tile_leads_to_its_scene_and_scenes_carry_their_files(stac: TestClient, many: Archive) -> None:
    (tile,) = features(stac, "/search", ids="6")
    (href,) = [link["href"] for link in tile["links"] if link["rel"] == "derived_from"]
    scene = stac.get(href).json()
    assert scene["id"] == tile["properties"]["bandsight:scene"] == "scene-2"
    assert scene["collection"] == f"{tile['collection']}.scenes"
    assert scene["assets"]["data"]["href"] == many.scene(2).bands[0].href
    assert set(tile["assets"]) == {"thumbnail", "crop"}


def test_an_item_without_datetime_has_an_interval(stac: TestClient) -> None:
    items = features(stac, "/search", limit=1000)
    unknown = [item["properties"] for item in items if item["properties"]["datetime"] is None]
    assert len(unknown) == 10
    assert all({"start_datetime", "end_datetime"} <= set(one) for one in unknown)


def test_queryables_are_the_properties_that_filters_accept(stac: TestClient) -> None:
    page = stac.get("/queryables").json()
    kinds = {name: what.get("type") for name, what in page["properties"].items()}
    assert kinds["eo:cloud_cover"] == "number"
    assert kinds["platform"] == "string"
    assert kinds["tasked"] == "boolean"
    assert {"id", "collection", "geometry", "datetime", "gsd"} <= set(kinds)
    names = [name for name in kinds if name not in {"geometry", "datetime"}]
    for name in names:
        value = {"number": "1", "boolean": "true"}.get(kinds[name], "'x'")
        assert stac.get("/search", params={"filter": f'"{name}" = {value}'}).status_code == 200, name


def test_queryables_of_a_collection_are_those_of_its_scenes(tmp_path: Path) -> None:
    red, blue = ({"platform": "sat-a", "bands_read": 3}, {"platform": "sat-b", "orbit": 7, "tasked": True})
    with filled(tmp_path / "a", 0) as archive, TestClient(app_of(archive)) as client:
        archive.add(
            [
                (replace(scene, collection=name, properties=own), tiles, vectors)
                for number, (name, own) in enumerate((("red", red), ("red", {"platform": "sat-c"}), ("blue", blue)))
                for scene, tiles, vectors in [entry(number)]
            ]
        )
        whole = client.get("/queryables").json()["properties"]
        assert {"platform", "bands_read", "orbit", "tasked"} <= set(whole)
        for name in ("red", "red.scenes"):
            page = client.get(f"/collections/{name}/queryables").json()
            own = page["properties"]
            assert set(whole) - set(own) == {"orbit", "tasked"}
            assert own["platform"] == {"type": "string", "enum": ["sat-a", "sat-c"]}
            assert own["bands_read"] == {"type": "number"}
            assert own["collection"]["const"] == name
            assert own["bandsight:sensor"]["enum"] == ["one", "two"]
            # What only others have may be asked, as the schema says, and is unknown of every item here.
            assert page["additionalProperties"] is True
            assert features(client, f"/collections/{name}/items", filter="orbit > 1") == []
        assert client.get("/collections/blue/queryables").json()["properties"]["bandsight:sensor"]["enum"] == ["one"]


def test_an_archive_without_scenes_is_an_api_without_items(empty: TestClient) -> None:
    LandingPage.model_validate(empty.get("/").json())
    assert empty.get("/collections").json()["collections"] == []
    assert empty.get("/search").json()["features"] == []
    assert empty.get("/search", params={"q": "a lake"}).json()["features"] == []
    assert empty.get("/collections/red/items").status_code == 404


@pytest.mark.parametrize(
    ("fields", "there", "gone"),
    [
        ("id", {"id", "type", "collection"}, {"geometry", "properties"}),
        ("properties.platform", {"id", "properties", "platform"}, {"bandsight:cell", "datetime"}),
        ("-properties,properties.platform", {"platform"}, {"geometry", "datetime"}),
        ("-geometry,-links", {"id", "properties", "platform"}, {"geometry", "links"}),
        ("-properties.platform", {"properties", "bandsight:cell"}, {"platform"}),
        ("properties,-properties.platform", {"bandsight:cell"}, {"platform"}),
        ("properties.platform,-properties.platform", {"platform"}, set()),
        ("nothing.of.the.kind", {"id"}, {"platform"}),
    ],
)
def test_fields_include_and_exclude_members(stac: TestClient, fields: str, there: set[str], gone: set[str]) -> None:
    (got,) = features(stac, "/search", ids="1", fields=fields)
    names = {*got, *got.get("properties", {})}
    assert there <= names
    assert not gone & names
    parts = fields.split(",")
    body = {"exclude": [part[1:] for part in parts if part.startswith("-")]}
    if included := [part for part in parts if not part.startswith("-")]:
        body["include"] = included
    assert stac.post("/search", json={"ids": ["1"], "fields": body}).json()["features"] == [got]
