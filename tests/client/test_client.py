"""The client asks a server and a folder alike, and gives what the API says."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import httpx2
import numpy as np
import pystac
import pytest
import rasterio
import shapely
from PIL import Image

import bandsight
from bandsight import connect
from bandsight.archive import Archive
from bandsight.client import Client
from bandsight.client import connection as module
from bandsight.client.examples import examples
from bandsight.client.in_process import InProcess
from bandsight.client.transfer import Transfer
from bandsight.errors import ArchiveError, BandsightError, MissingExtraError, NotFoundError, QueryError, SettingsError
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of, served


@pytest.fixture(scope="module", params=["folder", "server"])
def client(request: pytest.FixtureRequest, archive: Archive) -> Iterator[Client]:
    if request.param == "folder":
        with Client(Transfer("http://archive.invalid", None, InProcess(app_of(archive)))) as client:
            yield client
    else:
        with served(app_of(archive)) as url, connect(url) as client:
            yield client


def test_a_folder_is_served_with_its_own_model_in_this_process(
    archive: Archive,
    archive_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BANDSIGHT_KEY", "a key of another server")
    monkeypatch.setenv("BANDSIGHT_PUBLIC_URL", "https://example.org/")
    opened = []

    def fake(settings: ApiSettings) -> Service:
        opened.append(settings)
        return Service(settings, Archive.open(settings.archive), FakeEmbedder())

    monkeypatch.setattr("search_api.app.open_service", fake)
    with connect(archive_path) as client:
        assert len(client.search("a lake", limit=3)) == 3
    assert opened[0].archive == archive_path
    assert opened[0].key is None


def test_a_folder_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="none"):
        connect(tmp_path / "none")


def test_results_are_items_in_the_order_of_the_search(client: Client, archive: Archive) -> None:
    found = client.search("a lake", limit=12)
    items = list(found)
    assert [type(item) for item in items] == [pystac.Item] * 12
    assert [item.properties["bandsight:rank"] for item in items] == list(range(1, 13))
    assert found.matched == 12
    assert found.generation == archive.generation
    assert isinstance(found.nothing_matches, bool)
    assert len(list(found)) == 12


def test_pages_are_read_as_they_are_needed_and_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bandsight.client.results._PAGE", 5)
    asked: list[int] = []
    json_of = client._transfer.json

    def counted(method: str, path: str, **what):
        asked.append(what["json"]["limit"])
        return json_of(method, path, **what)

    monkeypatch.setattr(client._transfer, "json", counted)
    found = client.search("a lake", limit=12)
    assert asked == []
    walk = iter(found)
    next(walk)
    assert asked == [5]
    ids = [item.id for item in found]
    assert asked == [5, 5, 2]
    assert len(set(ids)) == len(ids) == 12
    assert [item.id for item in found] == ids
    assert asked == [5, 5, 2]


def test_filters_and_options_reach_the_server(client: Client, archive: Archive) -> None:
    radar = client.search("a lake", collections="sentinel-1-grd", limit=100)
    assert {item.collection_id for item in radar} == {"sentinel-1-grd"}
    assert len(client.search(datetime="2021-01-01T00:00:00Z/..", collections=["rgb"], limit=100)) == 4
    assert len(client.search("a lake", filter="\"bandsight:sensor\" = 'sentinel1'", limit=100)) == 4
    around = shapely.box(-180, -90, 0, 90)
    west = [item.id for item in client.search(intersects=around, limit=100)]
    assert west == [item.id for item in client.search(bbox=(-180, -90, 0, 90), limit=100)]
    assert west
    one_each = client.search("a lake", group_by="collection", group_limit=1, limit=100)
    assert len({item.collection_id for item in one_each}) == len(one_each) == 2
    assert [item.id for item in client.search(ids=[3, 4])] == ["3", "4"]
    assert not list(client.search("a lake", min_score=1.0))


def test_examples_of_every_kind_are_taken(client: Client, tmp_path: Path) -> None:
    tile = next(iter(client.search(ids=[5])))
    middle = shapely.geometry.shape(tile.geometry).centroid
    assert client.crop(5, tmp_path / "crop.tif") == tmp_path / "crop.tif"
    data = client.crop(tile, tmp_path / "again.tif").read_bytes()
    with pytest.raises(QueryError, match="need a tile's number"):
        client.crop("a lake", tmp_path / "none.tif")
    for given in (5, tile, tile.to_dict(), (middle.x, middle.y), data, tmp_path / "crop.tif", tile.geometry):
        found = client.search(positive=given, limit=3)
        assert len(found) == 3, given
    for given in (data, tmp_path / "crop.tif"):
        assert next(iter(client.search(positive=given))).id == "5"
    picture = Image.fromarray(np.full((32, 32, 3), 90, np.uint8))
    mixed = client.search("a lake", positive=[picture, {"text": "a river", "weight": 2}], negative=["clouds", 3])
    assert {"3"}.isdisjoint(item.id for item in mixed)
    assert "5" not in [item.id for item in client.similar(5, limit=100)]
    assert [item.id for item in client.similar(tile)] == [item.id for item in client.similar(5)]


def test_numbers_of_numpy_are_numbers() -> None:
    assert examples(np.int64(5)) == [{"id": 5}]
    assert type(examples(np.int64(5))[0]["id"]) is int
    assert examples((np.float32(1.5), np.int64(2))) == [{"point": [1.5, 2.0]}]


def test_filters_are_taken_as_python_has_them(client: Client) -> None:
    of = lambda **asked: [item.id for item in client.search(collections="rgb", limit=100, **asked)]  # noqa: E731
    since = of(datetime="2021-01-01T00:00:00Z/..")
    assert len(since) == 4
    assert of(datetime=(datetime(2021, 1, 1), None)) == since  # noqa: DTZ001  (a time without a zone is UTC)
    assert of(datetime=[datetime(2021, 1, 1, tzinfo=UTC), ".."]) == since
    newest = of(sortby="-datetime,id")
    assert newest == of(sortby=[{"field": "datetime", "direction": "desc"}, {"field": "id", "direction": "asc"}])
    assert newest[:4] == since
    assert of(bbox="-180,-90,0,90") == of(bbox=(-180, -90, 0, 90))
    with pytest.raises(QueryError, match="bbox: found 'here'"):
        of(bbox="here")


@pytest.mark.parametrize("given", [None, True, 1.5, object(), (1, 2, 3)])
def test_what_is_no_example_is_refused(given: object) -> None:
    if given is None:
        assert examples(given) == []
    else:
        with pytest.raises(QueryError, match="need a sentence"):
            examples(given)


def test_a_table_has_a_row_for_each_item(client: Client) -> None:
    found = client.search("a lake", limit=8)
    table = found.to_geodataframe()
    assert isinstance(table, geopandas.GeoDataFrame)
    assert table["id"].tolist() == [item.id for item in found]
    assert table["bandsight:score"].is_monotonic_decreasing
    assert table.crs.to_epsg() == 4326
    assert not table.geometry.is_empty.any()


def test_without_geopandas_the_error_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(MissingExtraError, match=r"to_geodataframe needs .*; pip install 'bandsight\[geopandas\]'"):
        client.search("a lake").to_geodataframe()


def test_thumbnails_are_pictures(client: Client) -> None:
    pictures = client.search("a lake", collections="sentinel-1-grd", limit=3).thumbnails(48, style="dual")
    assert [picture.size for picture in pictures] == [(48, 48)] * 3


@pytest.mark.parametrize("suffix", ["geojson", "csv", "parquet"])
def test_results_are_written_to_a_file(client: Client, tmp_path: Path, suffix: str) -> None:
    found = client.search("a lake", limit=7)
    path = found.export(tmp_path / f"found.{suffix}", vectors=True)
    table = geopandas.read_parquet(path) if suffix == "parquet" else geopandas.read_file(path)
    assert [str(one) for one in table["id"]] == [item.id for item in found]
    assert "bandsight:vector" in table.columns
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_an_export_that_fails_leaves_no_file(client: Client, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"found \.doc.*\.csv"):
        client.search("a lake").export(tmp_path / "a.doc")
    with pytest.raises(QueryError, match="'none'"):
        client.search("a lake", collections="none").export(tmp_path / "a.csv")
    with pytest.raises(BandsightError, match=r"nowhere/a\.csv: cannot be written.*folder"):
        client.search("a lake").export(tmp_path / "nowhere" / "a.csv")
    assert not list(tmp_path.iterdir())


def test_an_answer_that_breaks_off_is_no_file(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bandsight.export import pages as pages_module

    monkeypatch.setattr(pages_module, "PAGE", 2)
    rows, pages = pages_module.ResultPages._items, []

    def breaks(self, page):
        pages.append(page)
        if len(pages) > 2:
            raise RuntimeError("the disk is gone")
        return rows(self, page)

    monkeypatch.setattr(pages_module.ResultPages, "_items", breaks)
    with (
        Client(Transfer("http://archive.invalid", None, InProcess(app_of(archive)))) as client,
        pytest.raises(BandsightError, match=r"cannot be reached.*broke off"),
    ):
        client.search("a lake", limit=10).export(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_registered_search_is_a_stac_api(client: Client) -> None:
    url = client.search("a lake", limit=5).register("lakes")
    landing = client._transfer.json("GET", url)
    assert landing["title"] == "lakes"
    assert len(client._transfer.json("GET", f"{url}search?limit=100")["features"]) == 5


def test_labels_are_given_to_tiles_and_pictures(client: Client) -> None:
    answer = client.classify(["forest", "lake"], collections="sentinel-1-grd")
    assert len(answer["tiles"]) == 4
    picture = Image.fromarray(np.full((32, 32, 3), 90, np.uint8))
    answer = client.classify({"water": ["a lake", "a river"], "forest": "dense forest"}, image=picture)
    assert answer["labels"] == ["water", "forest"]
    assert {one["label"] for one in answer["image"]["ranked"]} == {"water", "forest"}


def test_a_heat_map_is_a_picture_or_a_file(client: Client, tmp_path: Path) -> None:
    before = client._transfer.json("GET", "/searches")["searches"]
    picture = client.heatmap("a lake", width=64, colormap="viridis", collections="sentinel-1-grd")
    assert picture.width == 64
    path = client.heatmap("a lake", tmp_path / "lakes.tif", negative="clouds", width=32)
    with rasterio.open(path) as scores:
        assert scores.width == 32
        assert scores.dtypes == ("float32",)
    assert client._transfer.json("GET", "/searches")["searches"] == before


def test_collections_and_single_items_are_read(client: Client) -> None:
    assert {one["id"] for one in client.collections()} >= {"rgb", "sentinel-1-grd"}
    assert client.item(3)["id"] == "3"
    with pytest.raises(NotFoundError, match="9999"):
        client.item(9999)


def test_what_the_server_refuses_is_an_error_with_its_words(client: Client) -> None:
    with pytest.raises(QueryError, match="bbox"):
        list(client.search(bbox=[0, 60, 1, 50]))
    with pytest.raises(QueryError, match="limit"):
        client.search(limit=0)
    with pytest.raises(QueryError, match="no_such"):
        list(client.search(no_such=1))


def test_a_key_goes_along(archive: Archive) -> None:
    key = "0123456789abcdef"
    with served(app_of(archive, key=key)) as url:
        with connect(url, key) as client:
            assert len(client.search(limit=2)) == 2
        with connect(url) as client, pytest.raises(SettingsError, match="key"):
            list(client.search())


def test_a_server_that_is_not_there_is_named() -> None:
    with connect("http://127.0.0.1:9") as client, pytest.raises(BandsightError, match=r"127.0.0.1:9.*running"):
        list(client.search())


def test_another_server_than_bandsight_is_named() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(502, text="Bad gateway")

    with (
        Client(Transfer("http://example.org", None, httpx2.MockTransport(answer))) as client,
        pytest.raises(BandsightError, match=r"502.*Bandsight server"),
    ):
        list(client.search())


def test_links_that_lead_elsewhere_are_not_followed(archive: Archive) -> None:
    """The key would go along."""
    with (
        served(app_of(archive, public_url="http://example.org")) as url,
        connect(url) as client,
        pytest.raises(BandsightError, match=r"example.org.*BANDSIGHT_PUBLIC_URL"),
    ):
        client.search(limit=1).thumbnails()


def test_an_answer_that_nobody_reads_is_let_go(archive: Archive) -> None:
    with InProcess(app_of(archive)) as transport, httpx2.Client(transport=transport) as http:
        for _ in range(3):
            with http.stream("POST", "http://archive.invalid/search/export", json={}) as answer:
                assert next(answer.iter_bytes())
        assert http.get("http://archive.invalid/healthz").status_code == 200


def test_importing_the_package_stays_cheap() -> None:
    code = (
        "import sys, bandsight; assert not {'torch', 'numpy', 'httpx2', 'fastapi', 'rasterio'} & set(sys.modules);"
        "from bandsight import connect; assert not {'torch', 'fastapi', 'rasterio', 'geopandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no_such"):
        _ = bandsight.no_such


def test_connect_is_the_clients_own() -> None:
    assert bandsight.connect is module.connect
