"""The contract of a client: a folder and a server give the same results for every request, except for links."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bandsight.archive import Archive
from bandsight.client import Client
from bandsight.client.alerts import AlertBackend
from bandsight.client.atlas import AtlasBackend
from bandsight.client.backend import Backend
from bandsight.client.labels import LabelBackend
from bandsight.errors import BandsightError
from bandsight.export import formats
from tests.archive.makers import entry, filled
from tests.client.conftest import client_of
from tests.search_api.export.test_export import Ids
from tests.search_api.stac.conftest import app_of, served

# A server links to its pages; without one, an Item links to the files of its scene.
LINKED = ("links", "assets", "stac_extensions")
PICTURE = Image.fromarray(np.full((32, 32, 3), 90, np.uint8))
AROUND = {"type": "Polygon", "coordinates": [[[-180, -90], [0, -90], [0, 90], [-180, 90], [-180, -90]]]}
SEARCHES: list[dict[str, Any]] = [
    {"text": "a lake"},
    {"text": ["a lake", "a river"], "strategy": "best"},
    {"text": "a lake", "positive": [PICTURE, {"text": "a river", "weight": 2}], "negative": ["clouds", 3]},
    {"positive": 5},
    {"positive": (13.0, 52.0), "negative": "clouds", "missing": True},
    {"text": "a lake", "collections": "sentinel-1-grd"},
    {"text": "a lake", "group_by": "collection", "group_limit": 1},
    {"text": "a lake", "diversity": 0.5},
    {"text": "a lake", "min_score": 0.0},
    {"text": "a lake", "min_probability": 0.5},
    {"text": "a lake", "min_score": 1.0},
    {"text": "a lake", "filter": "\"bandsight:sensor\" = 'sentinel1'"},
    {"text": "a lake", "sensors": "sentinel1", "exact": True},
    {"q": "a lake, a river"},
    {},
    {"sortby": "-datetime,id"},
    {"datetime": "2021-01-01T00:00:00Z/..", "collections": ["rgb", "rgb.scenes"]},
    {"intersects": AROUND},
    {"bbox": (-180, -90, 0, 90)},
    {"ids": [3, 4]},
    {"text": "a lake", "fields": {"include": ["properties.bandsight:score"]}},
]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in LINKED}


def outcome(action: Callable[[Client], Any], client: Client) -> Any:
    """Return what a request gives, or the class and message of its error."""
    try:
        return action(client)
    except BandsightError as error:
        return type(error), str(error)


def is_alike(action: Callable[[Client], Any], local: Client, remote: Client) -> Any:
    mine, theirs = outcome(action, local), outcome(action, remote)
    assert mine == theirs
    return mine


@pytest.mark.parametrize("options", SEARCHES, ids=lambda options: json.dumps(options, default=str)[:60])
def test_searches_have_the_same_results(
    local: Client, remote: Client, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bandsight.client.results._PAGE", 5)
    fails = options.get("missing", False)

    def search(client: Client) -> Any:
        found = client.search(limit=100, **{name: value for name, value in options.items() if name != "missing"})
        features = [plain(one) for one in found.features()]
        return features, found.matched, found.nothing_matches, found.generation, len(found)

    answer = is_alike(search, local, remote)
    assert isinstance(answer[0], type) if fails else isinstance(answer[0], list)


def test_a_hit_has_one_form(local: Client, remote: Client) -> None:
    names = {"rank", "score", "probability", "match", "matched", "model", "digest", "generation"}
    for client in (local, remote):
        for item in client.search("a lake", limit=3):
            assert {f"bandsight:{name}" for name in names} <= set(item.properties)
            assert item.properties["bandsight:matched"] == "a lake"


def test_tokens_are_interchangeable(local: Client, remote: Client, archive: Archive) -> None:
    whole = [one["id"] for one in local.search("a lake", limit=12).features()]
    for first, second in ((remote, local), (local, remote)):
        body = {"semantic": {"positive": [{"text": "a lake"}]}, "limit": 5}
        token = next_token(first, body)
        rest = [one["id"] for one in second.search("a lake", limit=12, token=token).features()]
        assert rest == whole[5:]
    for token in ("x", "", "a" * 5000):
        is_alike(lambda client: list(client.search("a lake", token=token).features()), local, remote)  # noqa: B023
    is_alike(lambda client: list(client.search("a river", token=next_token(remote, body)).features()), local, remote)


def next_token(client: Client, body: dict[str, Any]) -> str:
    """Return the token of the second page."""
    if client._backend.__class__.__name__ == "RemoteBackend":
        document = client._backend._json("POST", "/search", json=body)
        return next(link["body"]["token"] for link in document["links"] if link["rel"] == "next")
    from bandsight.search.request import SearchBody, search
    from bandsight.search.validation import validated

    token = search(client._backend._searcher, validated(SearchBody, body)).next
    assert token
    return token


def test_pages_stay_the_same_during_indexing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bandsight.client.results._PAGE", 4)
    with filled(tmp_path / "a", 6) as archive, client_of(tmp_path / "a") as local, served(app_of(archive)) as url:
        from bandsight import connect

        with connect(url) as remote:
            whole = {"type": "Polygon", "coordinates": [[[-179, -80], [179, -80], [179, 80], [-179, 80], [-179, -80]]]}
            walks = [client.search(positive=whole, strategy="best", limit=30) for client in (local, remote)]
            begun = [iter(walk.features()) for walk in walks]
            ids = [[next(walk)["id"]] for walk in begun]
            archive.add([entry(n) for n in range(20, 23)])
            for found, walk in zip(ids, begun, strict=True):
                found += [one["id"] for one in walk]
            assert ids[0] == ids[1]
            assert all(int(one) <= 24 for one in ids[0])
            assert len(set(ids[0])) == len(ids[0])


def test_items_collections_and_classes_are_the_same(local: Client, remote: Client) -> None:
    assert plain(is_alike(lambda client: plain(client.item(3)), local, remote))["id"] == "3"
    names = is_alike(lambda client: [plain(one) for one in client.collections()], local, remote)
    assert {one["id"] for one in names} == {"rgb", "rgb.scenes", "sentinel-1-grd", "sentinel-1-grd.scenes"}
    labels = {"water": ["a lake", "a river"], "forest": "dense forest"}
    assert len(is_alike(lambda client: client.classify(labels, limit=5), local, remote)["tiles"]) == 5
    assert "image" in is_alike(lambda client: client.classify(labels, image=PICTURE), local, remote)


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".csv", ".parquet"])
@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("options", [{"text": "a lake"}, {"collections": ["rgb", "rgb.scenes"]}, {"ids": ["999"]}])
def test_exported_files_have_the_same_contents(
    local: Client, remote: Client, tmp_path: Path, suffix: str, vectors: bool, options: dict[str, Any]
) -> None:
    mine, theirs = (tmp_path / f"{name}{suffix}" for name in ("local", "remote"))
    for client, path in ((local, mine), (remote, theirs)):
        assert client.search(limit=9, **options).export(path, vectors=vectors) == path
    if suffix == ".csv":
        assert mine.read_bytes() == theirs.read_bytes()
    elif suffix == ".parquet":
        one, other = (
            geopandas.read_parquet(path).drop(columns=list(LINKED), errors="ignore") for path in (mine, theirs)
        )
        pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(other))
    else:
        documents = [json.loads(path.read_bytes()) for path in (mine, theirs)]
        features = [[plain(one) for one in document.pop("features")] for document in documents]
        assert features[0] == features[1]
        assert documents[0] == documents[1]


def test_crops_and_thumbnails_are_the_same(local: Client, remote: Client, tmp_path: Path) -> None:
    assert local.crop(5, tmp_path / "a.tif").read_bytes() == remote.crop(5, tmp_path / "b.tif").read_bytes()
    for options in (
        {},
        {"style": "dual"},
        {"bands": ["VV"], "rescale": (-20, 0), "colormap": "viridis"},
        {"stretch": "tile"},
    ):
        pictures = [
            client.search("a lake", collections="sentinel-1-grd", limit=2).thumbnails(48, **options)
            for client in (local, remote)
        ]
        assert len(pictures[0]) == 2
        for mine, theirs in zip(*pictures, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


def test_heat_maps_are_the_same(local: Client, remote: Client, tmp_path: Path) -> None:
    question = {"text": "a lake", "positive": 3, "negative": "clouds", "collections": "rgb"}
    mine, theirs = (client.heatmap(width=64, colormap="viridis", **question) for client in (local, remote))
    assert mine.size == theirs.size
    np.testing.assert_array_equal(np.asarray(mine.convert("RGBA")), np.asarray(theirs.convert("RGBA")))
    paths = [tmp_path / "local.tif", tmp_path / "remote.tif"]
    for client, path in zip((local, remote), paths, strict=True):
        assert client.heatmap(path=path, width=32, area=(-180, -90, 180, 90), **question) == path
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_saved_searches_are_stored_in_the_archive(local: Client, remote: Client) -> None:
    made = [client.search("a lake", limit=5).save("lakes") for client in (local, remote)]
    assert [(one.title, one.hits) for one in made] == [("lakes", 5)] * 2
    assert made[0].url is None
    assert made[1].url.endswith(f"/searches/{made[1].id}/")
    pages = [remote._backend._json("GET", f"/searches/{one.id}/search?limit=100")["features"] for one in made]
    ids = [[one["id"] for one in page] for page in pages]
    assert ids[0] == ids[1] == [one["id"] for one in local.search("a lake", limit=5).features()]
    assert local.search("a lake", limit=5).save().title == remote.search("a lake", limit=5).save().title


ERRORS: list[Callable[[Client], Any]] = [
    lambda client: client.search(limit=0),
    lambda client: client.search(positive=object()),
    lambda client: client.search(bbox="here"),
    lambda client: list(client.search("").features()),
    lambda client: list(client.search("a" * 2000).features()),
    lambda client: list(client.search("half a \ud800 character").features()),
    lambda client: list(client.search(no_such=1).features()),
    lambda client: list(client.search(bbox=[0, 60, 1, 50]).features()),
    lambda client: list(client.search(bbox=[0, 1]).features()),
    lambda client: list(client.search(bbox=[0, 1, 2, float("nan")]).features()),
    lambda client: list(client.search(datetime="soon").features()),
    lambda client: list(client.search("a", collections="none").features()),
    lambda client: list(client.search("a", sensors=["none"]).features()),
    lambda client: list(client.search("a", filter="x = ").features()),
    lambda client: list(client.search("a", filter="no_such = 1").features()),
    lambda client: list(client.search("a", sortby="-datetime").features()),
    lambda client: list(client.search("a", strategy="worst").features()),
    lambda client: list(client.search("a", min_score=5).features()),
    lambda client: list(client.search("a", group_limit=3).features()),
    lambda client: list(client.search(positive=5, min_probability=0.5).features()),
    lambda client: list(client.search(positive=9999).features()),
    lambda client: list(client.search(positive=b"no picture").features()),
    lambda client: list(client.search(positive={"text": "a", "point": [0, 0]}).features()),
    lambda client: list(client.search(positive={"vector": {"data": "AAAA", "digest": "x"}}).features()),
    lambda client: list(client.search(positive={"image": {"data": "not base64"}}).features()),
    lambda client: list(client.search("a", intersects={"type": "Polygon"}).features()),
    lambda client: list(client.similar(9999).features()),
    lambda client: client.similar("a lake"),
    lambda client: client.item(9999),
    lambda client: client.item(-1),
    lambda client: client.item("a lake"),
    lambda client: client.crop(9999, "none.tif"),
    lambda client: client.crop("a lake", "none.tif"),
    lambda client: client.crop(5, "nowhere/none.tif"),
    lambda client: client.classify(["a"]),
    lambda client: client.classify({}),
    lambda client: client.classify(["a", "b"], scene="5"),
    lambda client: client.classify(["a", "b"], scene="scene-999"),
    lambda client: client.classify(["a", "b"], image=b"no picture"),
    lambda client: client.classify(["a", "b"], image=PICTURE, limit=3),
    lambda client: client.heatmap(),
    lambda client: client.heatmap("a", width=5000),
    lambda client: client.heatmap("a", colormap="jet"),
    lambda client: client.heatmap("a", area=(0, 60, 1, 50)),
    lambda client: client.heatmap("a", area="here"),
    lambda client: client.heatmap("a", datetime="1990-01-01T00:00:00Z"),
    lambda client: client.search("a", collections="rgb").thumbnails(5),
    lambda client: client.search("a", collections="rgb").thumbnails(style="none"),
    lambda client: client.search("a", collections="rgb").thumbnails(rescale="x"),
    lambda client: client.search("a", collections="rgb").thumbnails(stretch="none"),
    lambda client: client.search("a", limit=2_000_000).export("a.csv"),
    lambda client: client.search("a").export("a.doc"),
    lambda client: client.search("a", collections="none").export("a.csv"),
    lambda client: client.search("a", fields={"include": ["id"]}).export("a.csv"),
    lambda client: client.search().save(),
    lambda client: client.search("a", limit=20_000).save(),
    lambda client: client.search("a").save("x" * 300),
    lambda client: client.search(positive=(13, 91)).matched,
    lambda client: client.search("a", ids=[object()], datetime=5).matched,
    lambda client: client.search("a", filter={"op": object()}).matched,
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_have_the_same_class_and_message(
    local: Client, remote: Client, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, message = is_alike(ERRORS[number], local, remote)
    assert issubclass(kind, BandsightError)
    assert message
    assert not list(tmp_path.iterdir())


def test_a_scene_without_its_file_gives_the_same_error(
    local: Client, remote: Client, archive: Archive, tmp_path: Path
) -> None:
    scene = archive.scene(archive.tile(1).scene_id)
    file = Path(scene.href)
    hidden = file.rename(file.with_suffix(".hidden"))
    try:
        kind, message = is_alike(lambda client: client.crop(1, tmp_path / "a.tif"), local, remote)
        assert kind.__name__ == "SceneError"
        assert file.name in message
        is_alike(lambda client: client.search(ids=[1]).thumbnails(), local, remote)
    finally:
        hidden.rename(file)


@pytest.fixture
def ids_format() -> Iterator[None]:
    formats.register(Ids())
    yield
    formats.unregister("ids")


@pytest.mark.usefixtures("ids_format")
def test_an_added_format_is_available_in_both(archive: Archive, local: Client, tmp_path: Path) -> None:
    from bandsight import connect

    with served(app_of(archive)) as url, connect(url) as remote:
        for client in (local, remote):
            found = client.search("a lake", limit=7)
            path = found.export(tmp_path / "a.ids")
            assert path.read_text().split() == [one["id"] for one in found.features()]


def test_both_backends_have_the_whole_port(local: Client, remote: Client) -> None:
    names = {name for name in vars(Backend) if not name.startswith("_")}
    assert names == {
        "search", "item", "collections", "crop", "thumbnail", "classify", "heatmap", "export", "save", "close",
        "labels", "alerts", "atlas", "change", "change_map", "timeline",
    }  # fmt: skip
    of_alerts = {name for name in vars(AlertBackend) if not name.startswith("_")}
    of_labels = {name for name in vars(LabelBackend) if not name.startswith("_")}
    of_atlas = {name for name in vars(AtlasBackend) if not name.startswith("_")}
    for client in (local, remote):
        assert all(callable(getattr(client._backend, name)) for name in names - {"labels", "alerts", "atlas"})
        assert all(callable(getattr(client._backend.alerts, name)) for name in of_alerts)
        assert all(callable(getattr(client._backend.labels, name)) for name in of_labels)
        assert all(callable(getattr(client._backend.atlas, name)) for name in of_atlas)
