"""The client of a server and of a folder returns what the API returns."""

import subprocess
import sys
from dataclasses import replace
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
from bandsight.client.backend import Backend, ItemsPage
from bandsight.client.examples import examples
from bandsight.client.remote import RemoteBackend
from bandsight.errors import (
    ArchiveError,
    BandsightError,
    MissingExtraError,
    NotFoundError,
    QueryError,
    SettingsError,
    WavelengthError,
)
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of, served


def test_a_folder_is_searched_with_its_own_model_when_a_query_needs_it(
    archive_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(name: str, device: str) -> FakeEmbedder:
        loaded.append((name, device))
        return FakeEmbedder()

    monkeypatch.setattr("bandsight.model.load_for_queries", load)
    with connect(archive_path, device="cpu") as client:
        assert len(client.search(limit=3)) == 3
        assert len(client.similar(5, limit=3)) == 3
        assert loaded == []
        assert len(client.search("a lake", limit=3)) == 3
        assert len(client.search("a river", limit=3)) == 3
    assert loaded == [(FakeEmbedder().name, "cpu")]


def test_a_folder_needs_no_web_framework(archive_path: Path) -> None:
    code = (
        "import sys; from bandsight import connect; client = connect(sys.argv[1]); client.search(limit=3).matched;"
        "client.similar(5).matched; client.collections(); client.search(limit=2).export(sys.argv[1] + '.csv');"
        "assert not {'fastapi', 'starlette', 'uvicorn', 'search_api', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, archive_path], check=True)


def test_a_folder_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="none"):
        connect(tmp_path / "none")
    with pytest.raises(ArchiveError, match=r"ftp://example\.org/a: unknown scheme ftp.*folder"):
        connect("ftp://example.org/a")


def test_results_are_items_in_the_order_of_the_search(client: Client, archive: Archive) -> None:
    found = client.search("a lake", limit=12)
    items = list(found)
    assert [type(item) for item in items] == [pystac.Item] * 12
    assert [item.properties["bandsight:rank"] for item in items] == list(range(1, 13))
    assert found.matched == 12
    assert found.generation == archive.generation
    assert isinstance(found.nothing_matches, bool)
    assert len(list(found)) == 12


class Counting:
    """A backend that notes the size of each page."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.limits = backend, []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def search(self, body: dict, limit: int) -> ItemsPage:
        self.limits.append(limit)
        return self._counted(self._backend.search(body, limit))

    def _counted(self, page: ItemsPage) -> ItemsPage:
        def following(limit: int) -> ItemsPage:
            self.limits.append(limit)
            return self._counted(page.next(limit))

        return replace(page, next=None if page.next is None else following)


def test_pages_are_read_on_demand_and_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bandsight.client.results._PAGE", 5)
    counting = Counting(client._backend)
    found = Client(counting).search("a lake", limit=12)
    assert counting.limits == []
    walk = iter(found)
    next(walk)
    assert counting.limits == [5]
    ids = [item.id for item in found]
    assert counting.limits == [5, 5, 2]
    assert len(set(ids)) == len(ids) == 12
    assert [item.id for item in found] == ids
    assert counting.limits == [5, 5, 2]


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


def test_examples_of_every_kind_are_accepted(client: Client, tmp_path: Path) -> None:
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


def test_numpy_numbers_are_accepted() -> None:
    assert examples(np.int64(5)) == [{"id": 5}]
    assert type(examples(np.int64(5))[0]["id"]) is int
    assert examples((np.float32(1.5), np.int64(2))) == [{"point": [1.5, 2.0]}]


def test_filters_accept_python_values(client: Client) -> None:
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
def test_an_invalid_example_is_rejected(given: object) -> None:
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


def test_thumbnails_are_images(client: Client) -> None:
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


def test_a_truncated_download_is_not_kept(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bandsight.export import pages as pages_module

    monkeypatch.setattr(pages_module, "PAGE", 2)
    items, pages = pages_module.ResultPages._items, []

    def breaks(self, page):
        pages.append(page)
        if len(pages) > 2:
            raise RuntimeError("the disk is gone")
        return items(self, page)

    monkeypatch.setattr(pages_module.ResultPages, "_items", breaks)
    with (
        served(app_of(archive)) as url,
        connect(url) as client,
        pytest.raises(BandsightError, match="cannot be reached"),
    ):
        client.search("a lake", limit=10).export(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_saved_search_of_a_server_is_a_stac_api(remote: Client) -> None:
    url = remote.search("a lake", limit=5).save("lakes").url
    landing = httpx2.get(url).json()
    assert landing["title"] == "lakes"
    assert len(httpx2.get(f"{url}search?limit=100").json()["features"]) == 5


def test_results_have_a_readable_representation(client: Client) -> None:
    found = client.search("a lake", positive=5, negative="clouds", collections="rgb", limit=3)
    assert repr(found) == "<bandsight.Results 'a lake', tile 5, not 'clouds', collections; limit 3, nothing read yet>"
    assert len(found) == 3
    assert repr(found).endswith("limit 3, 3 read of 7 that match>")
    assert repr(client.search()) == "<bandsight.Results all items; limit 10, nothing read yet>"


def test_tiles_and_images_are_classified(client: Client) -> None:
    answer = client.classify(["forest", "lake"], collections="sentinel-1-grd")
    assert len(answer["tiles"]) == 4
    picture = Image.fromarray(np.full((32, 32, 3), 90, np.uint8))
    answer = client.classify({"water": ["a lake", "a river"], "forest": "dense forest"}, image=picture)
    assert answer["labels"] == ["water", "forest"]
    assert {one["label"] for one in answer["image"]["ranked"]} == {"water", "forest"}


def test_a_heat_map_is_an_image_or_a_file(client: Client, archive: Archive, tmp_path: Path) -> None:
    picture = client.heatmap("a lake", width=64, colormap="viridis", collections="sentinel-1-grd")
    assert picture.width == 64
    path = client.heatmap("a lake", tmp_path / "lakes.tif", negative="clouds", width=32)
    with rasterio.open(path) as scores:
        assert scores.width == 32
        assert scores.dtypes == ("float32",)


def test_collections_and_single_items_are_read(client: Client) -> None:
    assert {one["id"] for one in client.collections()} >= {"rgb", "sentinel-1-grd"}
    assert client.item(3)["id"] == "3"
    with pytest.raises(NotFoundError, match="9999"):
        client.item(9999)


def test_a_rejected_request_is_an_error_with_the_servers_message(client: Client) -> None:
    with pytest.raises(QueryError, match="bbox"):
        list(client.search(bbox=[0, 60, 1, 50]))
    with pytest.raises(QueryError, match="limit"):
        client.search(limit=0)
    with pytest.raises(QueryError, match="no_such"):
        list(client.search(no_such=1))


def test_a_key_is_sent(archive: Archive) -> None:
    key = "0123456789abcdef"
    with served(app_of(archive, key=key)) as url:
        with connect(url, key) as client:
            assert len(client.search(limit=2)) == 2
        with pytest.raises(SettingsError, match="key"):
            connect(url)


def test_an_unreachable_server_is_named_immediately() -> None:
    with pytest.raises(BandsightError, match=r"^http://127\.0\.0\.1:9: cannot be reached.*is the server running\?$"):
        connect("http://127.0.0.1:9")
    with pytest.raises(BandsightError, match=r"http://\[: cannot be reached"):
        connect("http://[")


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (502, b"Bad gateway", r"502.*Bandsight server"),
        (301, b"", r"301.*Bandsight server"),
        (200, b"<html>", "not a Bandsight server"),
        (200, b'{"version": 1}', "not a Bandsight server"),
    ],
)
def test_another_server_than_bandsight_is_named(status: int, content: bytes, words: str) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content))
    backend = RemoteBackend("http://example.org", None, transport)
    with pytest.raises(BandsightError, match=rf"http://example\.org.*{words}"):
        backend.check()
    backend.close()


def test_the_key_goes_only_to_the_server_that_was_named(archive: Archive) -> None:
    """Links of a server may lead elsewhere: thumbnails do not follow them."""
    with served(app_of(archive, public_url="http://example.org")) as url, connect(url) as client:
        found = client.search("a lake", limit=1)
        (feature,) = found.features()
        assert feature["assets"]["thumbnail"]["href"].startswith("http://example.org/")
        assert len(found.thumbnails()) == 1


def test_a_class_that_the_problem_names_is_raised() -> None:
    problem = {"detail": "x: wrong", "error": "WavelengthError"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(400, json=problem))
    with pytest.raises(WavelengthError, match="x: wrong"):
        RemoteBackend("http://example.org", None, transport).item(1)
    # Nothing but errors of this package is made from a name that a server sends.
    problem["error"] = "contextmanager"
    with pytest.raises(QueryError, match="x: wrong"):
        RemoteBackend("http://example.org", None, transport).item(1)


def test_importing_the_package_stays_cheap() -> None:
    code = (
        "import sys, bandsight; assert not {'torch', 'numpy', 'httpx2', 'fastapi', 'rasterio'} & set(sys.modules);"
        "from bandsight import connect; assert not {'torch', 'fastapi', 'rasterio', 'geopandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no_such"):
        _ = bandsight.no_such


def test_connect_is_exported_from_the_client() -> None:
    assert bandsight.connect is module.connect
