"""Labels and classifiers through all interfaces: command line, API, and the clients of a folder and of a server."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.cli import loading
from bandsight.client.client import Client
from bandsight.errors import NotFoundError, QueryError
from tests.fakes import FakeEmbedder
from tests.learning.makers import is_pond, label_truly, place_of
from tests.search_api.stac.conftest import app_of


@pytest.fixture
def bandsight(bandsight, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_: FakeEmbedder())
    return bandsight


def split(archive: Archive, count: int) -> tuple[list[int], list[int]]:
    ids = archive.tile_ids(Filter()).tolist()[:count]
    ponds = [one for one in ids if is_pond(place_of(archive, one))]
    return ponds, [one for one in ids if one not in ponds]


def test_from_a_sentence_to_a_classifier_on_the_command_line(bandsight, path: Path, tmp_path: Path):
    assert bandsight("label", "create", "lakes", "lake=a pond", "meadow")[:2] == (0, "lakes: lake, meadow\n")
    assert "lakes: lake, meadow; 0 labels" in bandsight("label", "list")[1]
    code, out, _ = bandsight("label", "propose", "ponds", "--top", "4")
    assert (code, len(out.splitlines())) == (0, 4)
    with Archive.open(path) as archive:
        ponds, others = split(archive, 60)
    assert bandsight("label", "add", "ponds", *map(str, ponds), "--class", "pond", "--annotator", "ada")[0] == 0
    assert bandsight("label", "add", "ponds", *map(str, others), "--class", "none", "--annotator", "ada")[0] == 0
    code, out, _ = bandsight("train", "ponds")
    assert code == 0
    assert "ponds version 1: 60 labels in 60 places" in out
    assert "average precision" in out
    assert json.loads(bandsight("train", "ponds", "--json")[1])["version"] == 2
    code, out, _ = bandsight("label", "propose", "ponds", "--json")
    assert {int(item["id"]) for item in json.loads(out)["features"]}.isdisjoint({*ponds, *others})
    code, out, _ = bandsight("apply", "ponds", "--threshold", "0.5", "--out", str(tmp_path / "layer"))
    assert (code, "polygons.geojson" in out) == (0, True)
    assert "0 in version 1 only" in bandsight("apply", "ponds", "--compare", "1")[1]
    assert len(bandsight("search", "classifier:ponds > 0.5", "--top", "5")[1].splitlines()) == 6
    assert bandsight("area", "draw", "ponds", "--tiles", "60", "--out", str(tmp_path / "sample.geojson"))[0] == 0
    code, _, err = bandsight("area", "report", str(tmp_path / "sample.geojson"))
    assert (code, "are labelled; label at least 2" in err) == (1, True)
    assert bandsight("label", "export", "ponds", "--out", str(tmp_path / "ponds.geojson"))[0] == 0
    code, out, _ = bandsight("label", "import", "lakes", str(tmp_path / "ponds.geojson"))
    assert (code, out) == (0, "60 labels from 60 features\n")
    assert "pond: 12 labels" in bandsight("label", "show", "lakes")[1]
    assert bandsight("label", "remove", "lakes", str(ponds[0]))[1] == "1 label removed\n"
    assert bandsight("label", "reattach", "lakes")[1] == "0 labels moved, 0 labels without a tile\n"
    assert bandsight("label", "delete", "lakes")[0] == 0
    code, _, err = bandsight("label", "show", "lakes")
    assert (code, err) == (1, "bandsight: labels 'lakes': no such collection; existing: ponds\n")


def test_a_client_labels_trains_and_proposes(client: Client, archive: Archive, tmp_path: Path):
    assert client.label_collections()[0]["name"] == "ponds"
    labels = client.create_labels("lakes", {"lake": ""})
    labels.add_classes({"pond": "a pond"})
    ponds, others = split(archive, 60)
    assert labels.add("pond", ponds, "ada") == 12
    assert labels.add("none", [client.item(others[0]), *others[1:]], "ada") == 48
    assert labels.add("none", ponds[:1], "bob") == 1
    info = labels.info()
    assert (info["counts"], info["conflicts"]) == ({"pond": 12, "none": 49}, 1)
    assert labels.remove(ponds[0], "bob") == 1
    made = labels.train()
    assert made["classes"] == ["pond"]
    assert made["report"]["classes"]["pond"]["average_precision"]["value"] > 0.8
    assert [one["version"] for one in labels.classifiers()] == [1]
    assert labels.layer(threshold=0.5)["above"] == len(labels.tiles()["features"]) > 20
    assert labels.polygons(threshold=0.9)["features"]
    labels.train()
    assert (labels.compare(1)["gained"], labels.compare(1, threshold=0.7)["lost"]) == ([], [])
    found = list(client.search("classifier:lakes > 0.5", limit=500).features())
    assert [int(one["id"]) for one in found] == [one["id"] for one in labels.tiles()["features"]]
    assert found[0]["properties"]["bandsight:probability"] == found[0]["properties"]["bandsight:score"]
    filtered = client.search("forest", classifiers=["lakes/pond@1 > 0.5"], limit=500)
    assert {one["id"] for one in filtered.features()} == {one["id"] for one in found}
    with pytest.raises(NotFoundError, match="has no class 'sea'; it has pond"):
        list(client.search("classifier:lakes/sea").features())
    with pytest.raises(QueryError, match="need NAME, NAME/CLASS or NAME@VERSION"):
        list(client.search("forest", classifiers=["lakes > often"]).features())
    sample = labels.area_sample(60)
    ponds_of = [one["id"] for one in sample["features"] if is_pond(place_of(archive, one["id"]))]
    labels.add("pond", ponds_of)
    labels.add("none", [one["id"] for one in sample["features"] if one["id"] not in ponds_of])
    made = labels.area(sample)
    assert made["interval_km2"][0] <= 0.2 * made["total_area_km2"] <= made["interval_km2"][1]
    proposed = labels.propose(5)
    assert len(proposed) == 5
    assert {"bandsight:gain", "bandsight:class", "bandsight:class_probability"} <= set(proposed[0]["properties"])
    (tmp_path / "all.geojson").write_text(json.dumps(labels.features()))
    copy = client.create_labels("copy", {"pond": ""})
    assert copy.load(tmp_path / "all.geojson")["labels"] == len(labels.features()["features"])
    assert copy.reattach() == {"moved": 0, "lost": 0}
    copy.delete()
    with pytest.raises(NotFoundError, match="no such collection"):
        copy.info()
    with pytest.raises(QueryError, match="collection lakes already exists"):
        client.create_labels("lakes", {"lake": ""})


def test_the_api_refuses_bad_requests_with_a_sentence(path: Path):
    with Archive.open(path) as archive, TestClient(app_of(archive)) as http:
        label_truly(archive, "ponds", [1, 2])
        for method, route, body, status, message in (
            ("POST", "/labels", {"name": "x", "classes": {}}, 400, "need 1 to 50"),
            ("POST", "/labels/ponds/items", {"class": "pond", "tiles": [10**9]}, 404, "no such tile"),
            ("POST", "/labels/ponds/items", {"class": "sea", "tiles": [1]}, 400, "ponds has pond"),
            ("POST", "/labels/ponds/items", {"tiles": [1]}, 400, "class: missing"),
            ("POST", "/labels/ponds/import", {"features": {}}, 400, "found no features"),
            ("POST", "/labels/lakes/classifiers", None, 404, "existing: ponds"),
            ("GET", "/labels/ponds/proposals?limit=0", None, 400, "limit"),
            ("GET", "/labels/ponds?deep=1", None, 400, "not a parameter"),
        ):
            answer = http.request(method, route, json=body)
            assert (answer.status_code, message in answer.json()["detail"]) == (status, True), answer.json()
        assert http.delete("/labels/ponds").status_code == 204
        assert http.get("/labels").json() == {"collections": []}


def test_the_layer_of_a_classifier_has_a_legend(path: Path):
    with Archive.open(path) as archive, TestClient(app_of(archive)) as http:
        ponds, others = split(archive, 60)
        for cls, tiles in (("pond", ponds), ("none", others)):
            http.post("/labels/ponds/items", json={"class": cls, "tiles": tiles}).raise_for_status()
        http.post("/labels/ponds/classifiers").raise_for_status()
        saved = http.post("/searches", json={"q": "classifier:ponds", "hits": 10}).json()
        found = http.get(f"/searches/{saved['id']}/heatmap/legend.json")
        assert found.status_code == 200
        assert (found.json()["marks"], found.json()["tiles"]) == ([], 400)
