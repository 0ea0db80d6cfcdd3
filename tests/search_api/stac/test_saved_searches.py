"""Saved searches: each is a STAC API whose items are the hits."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive, saved_searches
from bandsight.geo.box import LonLatBox
from bandsight.search import question
from bandsight.stac.items import bbox
from tests.archive.makers import entry, filled
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of
from tests.search_api.test_errors import assert_problem


def save_search(client: TestClient, **body: object) -> str:
    response = client.post("/searches", json=body)
    assert response.status_code == 201, response.text
    made = response.json()
    (root,) = [link["href"] for link in made["links"] if link["rel"] == "child"]
    assert response.headers["location"] == root
    assert root.endswith(f"/searches/{made['id']}/")
    return root


def ids(response) -> list[str]:
    assert response.status_code == 200, response.text
    return [feature["id"] for feature in response.json()["features"]]


def boxes(archive: Archive, hit: dict) -> tuple[LonLatBox, ...]:
    return archive.tile(int(hit["id"])).boxes


def test_its_items_are_the_first_hits_in_their_order(stac: TestClient) -> None:
    root = save_search(stac, q="a lake", hits=15)
    answer = stac.get(f"{root}search", params={"limit": 100})
    assert ids(answer) == ids(stac.get("/search", params={"q": "a lake", "limit": 15}))
    assert answer.json()["numberMatched"] == 15
    found = []
    href = f"{root}search?limit=4"
    while href:
        page = stac.get(href)
        found += ids(page)
        href = next((link["href"] for link in page.json()["links"] if link["rel"] == "next"), "")
    assert found == ids(answer)


def test_filters_only_remove_hits(stac: TestClient) -> None:
    root = save_search(stac, q="a lake", hits=15, filter={"op": "=", "args": [{"property": "bandsight:sensor"}, "one"]})
    hits = ids(stac.get(f"{root}search", params={"limit": 100}))
    assert len(hits) == 15
    for asked in (
        {"collections": "red"},
        {"bbox": "-60,-60,60,60"},
        {"filter": "platform = 'sat-b'"},
        {"ids": hits[3]},
    ):
        narrowed = ids(stac.get(f"{root}search", params={"limit": 100, **asked}))
        plain = set(ids(stac.get("/search", params={"limit": 1000, **asked})))
        assert narrowed == [hit for hit in hits if hit in plain]
        assert narrowed
    parts = [
        ids(stac.get(f"{root}collections/{name}/items", params={"limit": 100})) for name in ("red", "green", "blue")
    ]
    assert sorted(hit for part in parts for hit in part) == sorted(hits)
    assert parts[0] == ids(stac.post(f"{root}search", json={"collections": ["red"], "limit": 100}))


def test_its_pages_stay_in_its_own_root(stac: TestClient) -> None:
    root = save_search(stac, q="a lake", title="lakes")
    page = stac.get(root).json()
    assert page["title"] == "lakes"
    assert stac.get(root.rstrip("/")).json() == page
    for link in page["links"]:
        assert link["href"].startswith(root) or link["rel"] == "service-desc"
    collections = stac.get(f"{root}collections").json()["collections"]
    assert [one["id"] for one in collections] == ["blue", "green", "red"]
    (item,) = stac.get(f"{root}search", params={"limit": 1}).json()["features"]
    own = {link["rel"]: link["href"] for link in item["links"]}
    assert own["self"].startswith(root)
    assert stac.get(own["collection"]).status_code == 200
    # Scenes are no hits: they are items of the whole archive.
    assert stac.get(own["derived_from"]).json()["id"] == item["properties"]["bandsight:scene"]
    assert not own["derived_from"].startswith(root)


def test_its_collections_are_those_of_its_hits(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 9) as archive, TestClient(app_of(archive), raise_server_exceptions=False) as client:
        root = save_search(client, q="a lake", hits=5, collections=["red", "blue"])
        hits = client.get(f"{root}search").json()["features"]
        named = sorted({hit["collection"] for hit in hits})
        pages = client.get(f"{root}collections").json()["collections"]
        assert [page["id"] for page in pages] == named
        landing = client.get(root).json()
        assert [link["title"] for link in landing["links"] if link["rel"] == "child"] == named
        for page in pages:
            own = [hit for hit in hits if hit["collection"] == page["id"]]
            scenes = {hit["properties"]["bandsight:scene"] for hit in own}
            assert (page["bandsight:tiles"], page["bandsight:scenes"]) == (len(own), len(scenes))
            assert f"{len(own)} hits from {len(scenes)} scenes" in page["description"]
            times = sorted(hit["properties"]["datetime"] for hit in own if hit["properties"]["datetime"])
            assert page["extent"]["temporal"]["interval"] == [[times[0], times[-1]] if times else [None, None]]
            assert page["extent"]["spatial"]["bbox"] == [bbox([box for hit in own for box in boxes(archive, hit)])]
            sensors = sorted({hit["properties"]["bandsight:sensor"] for hit in own})
            assert page["summaries"]["bandsight:sensor"] == sensors
            assert client.get(f"{root}collections/{page['id']}").json() == page
            asked = client.get(f"{root}collections/{page['id']}/queryables").json()["properties"]
            assert asked["bandsight:sensor"]["enum"] == sensors
        # Of what has no hit there is no page, but a list without items: hits come and go while it is walked.
        assert_problem(client.get(f"{root}collections/green"), 404, "'green'", ", ".join(named))
        assert_problem(client.get(f"{root}collections/green/queryables"), 404, "'green'")
        assert ids(client.get(f"{root}collections/green/items")) == []


def test_a_search_without_hits_has_no_collections(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 3) as archive, TestClient(app_of(archive), raise_server_exceptions=False) as client:
        root = save_search(client, q="a lake", datetime="1990-01-01T00:00:00Z/1991-01-01T00:00:00Z")
        assert client.get(f"{root}collections").json()["collections"] == []
        assert client.get(root).status_code == 200
        assert_problem(client.get(f"{root}collections/red"), 404, "'red'", "no hits")


def test_only_hits_are_items(stac: TestClient) -> None:
    root = save_search(stac, q="a lake", hits=15)
    hits = stac.get(f"{root}search", params={"limit": 100}).json()["features"]
    for hit in (hits[0], hits[7], hits[14]):
        (own,) = [link["href"] for link in hit["links"] if link["rel"] == "self"]
        assert stac.get(own).json() == hit
    there = {hit["id"] for hit in hits}
    other = next(one for one in stac.get("/search?limit=100").json()["features"] if one["id"] not in there)
    path = f"collections/{other['collection']}/items/{other['id']}"
    assert stac.get(f"/{path}").status_code == 200
    assert_problem(stac.get(f"{root}{path}"), 404, other["id"], "among the hits")


def test_searches_can_be_saved_listed_and_deleted(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 4) as archive:
        with TestClient(app_of(archive)) as client:
            first, second = save_search(client, q="a lake", hits=3), save_search(client, q=["a", "b"])
            listed = client.get("/searches").json()["searches"]
            assert {one["title"] for one in listed} == {"a lake", "a, b"}
        with TestClient(app_of(archive), raise_server_exceptions=False) as client:
            assert len(ids(client.get(f"{first}search"))) == 3
            assert client.delete(first.rstrip("/")).status_code == 204
            for gone in (client.get(first), client.get(f"{first}search"), client.delete(first.rstrip("/"))):
                assert_problem(gone, 404, "not saved here, or deleted")
            assert len(client.get("/searches").json()["searches"]) == 1
            assert client.get(second).status_code == 200


def test_a_request_of_another_version_is_named(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 4) as archive:
        kept = archive.saved_searches.add("old", {"q": "a lake", "colour": "red"}, max_hits=3)
        with TestClient(app_of(archive), raise_server_exceptions=False) as client:
            assert_problem(client.get(f"/searches/{kept.id}/search"), 503, kept.id, "delete it and save it again")
            assert len(client.get("/searches").json()["searches"]) == 1


def test_a_search_whose_example_was_removed_is_an_error_with_advice(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 4) as archive, TestClient(app_of(archive)) as client:
        root = save_search(client, semantic={"ids": [1]})
        assert ids(client.get(f"{root}search"))
        archive.remove([archive.scene(archive.tile(1).scene_id).href])
        for path in ("", "search", "collections", "export"):
            words = ["one of its examples is no longer valid (tile 1:", "delete this search"]
            assert_problem(client.get(f"{root}{path}"), 404, *words)
        assert client.get("/searches").json()["searches"]


def test_hits_of_a_removed_scene_are_gone_at_once(tmp_path: Path) -> None:
    with (
        filled(tmp_path / "a", 4) as archive,
        Archive.open(tmp_path / "a") as reader,
        TestClient(app_of(reader)) as client,
    ):
        root = save_search(client, q="a lake", hits=100)
        assert len(ids(client.get(f"{root}search?limit=100"))) == 16
        archive.remove(["/scenes/2.tif"])
        assert len(ids(client.get(f"{root}search?limit=100"))) == 12


def test_a_list_of_searches_comes_in_pages(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 4) as archive, TestClient(app_of(archive)) as client:
        for number in range(5):
            save_search(client, q=f"lake {number}")
        whole = [one["id"] for one in client.get("/searches").json()["searches"]]
        found, href = [], "/searches?limit=2"
        while href:
            page = client.get(href).json()
            found += [one["id"] for one in page["searches"]]
            href = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
        assert found == whole
        assert len(whole) == 5


def test_a_page_of_the_list_is_never_large(tmp_path: Path) -> None:
    names = ["x" * 900] * 700
    with filled(tmp_path / "own", 2) as archive, TestClient(app_of(archive)) as client:
        made = [client.post("/searches", json={"q": f"a lake {number}", "ids": names}) for number in range(3)]
        assert [one.status_code for one in made] == [201] * 3
        href, found = "/searches", []
        while href:
            page = client.get(href)
            assert len(page.content) < 2**20
            found += [one["id"] for one in page.json()["searches"]]
            href = next((link["href"] for link in page.json()["links"] if link["rel"] == "next"), "")
    assert found == [one.json()["id"] for one in reversed(made)]


def test_saving_needs_one_encoding_and_one_search_and_pages_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"texts": 0, "searches": 0}

    def counted(kind, call):
        def wrapper(*args, **kwargs):
            counts[kind] += 1
            return call(*args, **kwargs)

        return wrapper

    monkeypatch.setattr(FakeEmbedder, "embed_texts", counted("texts", FakeEmbedder.embed_texts))
    monkeypatch.setattr(question, "find", counted("searches", question.find))
    with filled(tmp_path / "a", 10) as archive, TestClient(app_of(archive)) as client:
        root = save_search(client, q="a lake", hits=15)
        assert counts == {"texts": 1, "searches": 1}
        page = client.get(f"{root}search?limit=4&collections=red")
        assert ids(page)
        assert ids(client.get(f"{root}search?limit=9"))
        assert counts == {"texts": 1, "searches": 1}
        archive.add([entry(100, 30)])
        assert len(ids(client.get(f"{root}search?limit=100"))) == 15
        # The sentence is cached.
        assert counts == {"texts": 1, "searches": 2}


def test_new_scenes_appear_in_new_searches_but_not_in_paging_in_progress(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 10) as archive, TestClient(app_of(archive)) as client:
        root = save_search(client, q="a lake", hits=20)
        page = client.get(f"{root}search", params={"limit": 8})
        found, whole = ids(page), ids(client.get(f"{root}search", params={"limit": 100}))
        while following := [link["href"] for link in page.json()["links"] if link["rel"] == "next"]:
            archive.add([entry(100 + len(found) + n, 30) for n in range(3)])
            page = client.get(following[0])
            found += ids(page)
        assert found == whole
        assert ids(client.get(f"{root}search", params={"limit": 100})) != whole


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["q, semantic", "neither"]),
        ({"bbox": [0, 0, 1, 1]}, ["q, semantic"]),
        ({"q": "a", "hits": 0}, ["hits", "0"]),
        ({"q": "a", "hits": 10**6}, ["hits", "10000"]),
        ({"q": "a", "limit": 5}, ["limit"]),
        ({"q": "a", "token": "x"}, ["token"]),
        ({"q": "a", "title": "t" * 300}, ["title"]),
        ({"q": "a", "collections": ["none"]}, ["'none'", "red"]),
        ({"q": "a", "filter": {"op": "like", "args": [{"property": "platform"}, "s%"]}}, ["like"]),
        ({"semantic": {}}, ["semantic", "no positive example"]),
        ({"q": "a", "semantic": {"text": "a"}}, ["q, semantic", "both"]),
    ],
)
def test_an_invalid_search_cannot_be_saved(stac: TestClient, body: dict, words: list[str]) -> None:
    before = stac.get("/searches").json()
    assert_problem(stac.post("/searches", json=body), 400, *words)
    assert stac.get("/searches").json() == before


def test_a_saved_search_accepts_no_second_query(stac: TestClient, many: Archive) -> None:
    root = save_search(stac, q="a lake")
    assert_problem(stac.get(f"{root}search", params={"q": "b"}), 400, "q: a saved search has a fixed order")
    assert_problem(stac.get(f"{root}search", params={"sortby": "id"}), 400, "sortby")
    assert_problem(stac.get(f"{root}collections/red.scenes/items"), 404, "red.scenes")


@pytest.mark.parametrize("search_id", ["none", "..%2f..%2fcatalog", "0" * 16, "ABCDEF0123456789", "0" * 99, "%00"])
def test_an_invalid_id_is_404(stac: TestClient, search_id: str) -> None:
    assert stac.get(f"/searches/{search_id}/search").status_code == 404
    assert stac.delete(f"/searches/{search_id}").status_code == 404


def test_a_saved_search_does_not_claim_to_sort(stac: TestClient) -> None:
    root = save_search(stac, q="a lake", hits=5)
    assert not [name for name in stac.get(f"{root}conformance").json()["conformsTo"] if "sort" in name]
    assert [name for name in stac.get("/conformance").json()["conformsTo"] if "sort" in name]


def test_a_very_large_search_is_not_saved(stac: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_searches, "MAX_REQUEST_BYTES", 300)
    assert_problem(stac.post("/searches", json={"q": "a" * 400}), 400, "search", "limit is 300")
    assert stac.post("/searches", json={"q": "a"}).status_code == 201
