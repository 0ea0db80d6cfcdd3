import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from bandsight.attributes.filters import Filter
from bandsight.errors import SceneError
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.stac_query import StacQuery
from tests.commands import run_command
from tests.rasters import picture, write
from tests.web import serve

BANDS = {"B02": ("blue", 0.4924), "B03": ("green", 0.5598), "B04": ("red", 0.6646)}
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(name: str, base: str, *, updated: str = "", old: bool = False, **properties: Any) -> dict[str, Any]:
    """Return an item with three bands, one of them as JP2 too, a picture, a preview and a classification."""
    assets: dict[str, Any] = {}
    for key, (common, wave) in BANDS.items():
        band = {"name": key, "eo:common_name": common, "eo:center_wavelength": wave, "raster:scale": 0.0001}
        fields = {"bands": [band | {"raster:offset": -0.1}]}
        if old:
            fields = {"eo:bands": [{"name": key, "common_name": common, "center_wavelength": wave}]}
        assets[key] = {"href": f"{base}{key}.tif", "type": COG, "roles": ["data"], **fields}
    assets["B02-jp2"] = {**assets["B02"], "href": f"{base}B02.jp2", "type": "image/jp2"}
    assets["SCL"] = {"href": f"{base}SCL.tif", "type": COG, "roles": ["data"]}
    assets["visual"] = {"href": f"{base}TCI.tif", "type": COG, "roles": ["visual"]}
    assets["thumbnail"] = {"href": f"{base}preview.jpg", "type": "image/jpeg", "roles": ["thumbnail"]}
    return {
        "type": "Feature",
        "stac_version": "1.0.0" if old else "1.1.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Point", "coordinates": [13.0, 52.0]},
        "bbox": [13.0, 52.0, 13.0, 52.0],
        "properties": {
            "datetime": "2022-02-16T10:21:01Z",
            "platform": "sentinel-2b",
            "eo:cloud_cover": 7.5,
            **({"updated": updated} if updated else {}),
            **properties,
        },
        "links": [],
        "assets": assets,
    }


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Return a folder with the files of one scene."""
    for seed, band in enumerate((*BANDS, "SCL")):
        values = picture(1, 64, 64, seed=seed, dtype="uint16") * 20
        write(tmp_path / "data" / f"{band}.tif", values if band != "SCL" else (values * 0 + 4).astype("uint8"))
    return tmp_path


def opened(path: object, name: str | None = None):
    sources = find_scenes([str(path)])
    source = next(source for source in sources if name is None or source.name == name)
    return open_scene(source, "key", tiling={})


@pytest.mark.parametrize("old", [False, True])
def test_an_item_gives_bands_wavelengths_scales_time_and_properties(scene, old):
    (scene / "item.json").write_text(json.dumps(item("S2B_33UUU_20220216_0_L2A", "./data/", old=old)))
    found = opened(scene / "item.json")
    record = found.record
    assert (record.name, record.sensor) == ("S2B_33UUU_20220216_0_L2A", "sentinel2_l2a")
    assert record.properties["bandsight:bands_from"] == "STAC item S2B_33UUU_20220216_0_L2A"
    assert [band.wavelength_um for band in record.bands] == [0.4924, 0.5598, 0.6646]
    assert [Path(band.href).name for band in record.bands] == ["B02.tif", "B03.tif", "B04.tif"]
    assert record.properties["eo:cloud_cover"] == 7.5
    assert record.properties["platform"] == "sentinel-2b"
    assert str(record.datetime) == "2022-02-16 10:21:01+00:00"
    assert found.raster.scaling.low == pytest.approx((0, 0, 0) if old else (1000, 1000, 1000))
    assert found.raster.quality is not None
    assert found.raster.quality.href.endswith("SCL.tif")


def test_an_offset_that_the_catalogue_has_applied_is_not_applied_again(scene):
    said = item("S2B_L2A", "./data/", **{"earthsearch:boa_offset_applied": True})
    (scene / "item.json").write_text(json.dumps(said))
    assert opened(scene / "item.json").raster.scaling.low == pytest.approx((0, 0, 0))


def test_a_file_to_which_a_catalogue_links_and_which_is_gone_is_named(tmp_path):
    links = [{"rel": "child", "href": "./more/catalog.json"}]
    catalog = {"id": "old", "stac_version": "1.0.0-beta.2", "description": "old", "links": links}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    (source,) = find_scenes([tmp_path / "catalog.json"])
    gone, linked = tmp_path / "more/catalog.json", tmp_path / "catalog.json"
    assert source.problem == f"{gone}: no such file, but {linked} links to it; add it, or fix the link"


def test_an_item_collection_a_catalogue_and_a_geoparquet_file_hold_the_same_scenes(scene):
    import rustac

    said = [item(f"S2B_{n}_L2A", f"{scene}/data/") for n in range(3)]
    both = {"type": "FeatureCollection", "features": said}
    (scene / "items.json").write_text(json.dumps(both))

    async def save() -> None:
        await rustac.write(str(scene / "items.parquet"), both)

    asyncio.run(save())
    catalog = pystac.Catalog(id="c", description="x")
    inner = pystac.Catalog(id="inner", description="x")
    catalog.add_child(inner)
    inner.add_items(pystac.Item.from_dict(one) for one in said)
    catalog.normalize_and_save(str(scene / "catalog"), pystac.CatalogType.SELF_CONTAINED)
    expected = [source.name for source in find_scenes([scene / "items.json"])]
    # All three name the same files, so they are one scene; what counts is the last.
    assert len(expected) == 1
    for other in ("items.parquet", "catalog/catalog.json"):
        assert len(find_scenes([scene / other])) == 1
        assert [b.wavelength_um for b in opened(scene / other).record.bands] == [0.4924, 0.5598, 0.6646]
        assert opened(scene / other).record.properties["eo:cloud_cover"] == 7.5


def test_a_search_asks_the_api_and_goes_through_its_pages(scene, archive, encoder):
    with serve(scene) as site:
        conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
        search = {"rel": "search", "href": f"{site.url}/search", "type": "application/geo+json", "method": "POST"}
        first, second = (item(f"S2B_{n}_L2A", f"{site.url}/{folder}/") for n, folder in enumerate(("data", "more")))
        (scene / "more").symlink_to(scene / "data")

        def page(body: bytes) -> dict[str, Any]:
            asked = json.loads(body)
            more = {"rel": "next", "href": f"{site.url}/search", "method": "POST", "body": {**asked, "token": "2"}}
            last = asked.get("token") == "2"
            return {
                "type": "FeatureCollection",
                "features": [second if last else first],
                "links": [] if last else [more],
            }

        root = {"type": "Catalog", "id": "api", "description": "x", "stac_version": "1.0.0", "conformsTo": conforms}
        site.pages = {"/": lambda _: root | {"links": [search]}, "/search": page}
        query = StacQuery(collections=("sentinel-2-l2a",), bbox=(12.0, 51.0, 14.0, 53.0), datetime="2022-02-16")
        summary = index([f"stac:{site.url}/"], archive=archive, model=encoder, query=query)
        assert (summary.scenes, summary.failed) == (2, [])
        asked = [json.loads(body) for method, path, body in site.asked if (method, path) == ("POST", "/search")]
        assert asked[0]["collections"] == ["sentinel-2-l2a"]
        assert asked[0]["bbox"] == [12, 51, 14, 53]
        assert asked[0]["datetime"].startswith("2022-02-16T00:00:00Z/")
        again = index([f"stac:{site.url}/"], archive=archive, model=encoder, query=query)
        assert (again.scenes, again.skipped_scenes) == (0, 2)


def test_an_updated_item_is_indexed_again(scene, archive, encoder):
    with serve(scene) as site:
        for updated, expected in (("2022-01-01", 1), ("2022-01-01", 0), ("2022-01-02", 1)):
            said = item("S2B_L2A", f"{site.url}/data/", updated=updated)
            (scene / "item.json").write_text(json.dumps(said))
            assert index([scene / "item.json"], archive=archive, model=encoder).scenes == expected
        assert len(archive.scenes()) == 1


def test_a_remote_item_cannot_make_us_read_a_file_of_this_machine(scene):
    with serve(scene) as site:
        (scene / "item.json").write_text(json.dumps(item("S2B_L2A", f"file://{scene}/data/")))
        with pytest.raises(SceneError, match="a local file; this is not allowed"):
            opened(f"{site.url}/item.json")


def test_an_api_that_is_not_there_is_a_failure_with_its_reason(tmp_path, archive, encoder):
    with serve(tmp_path) as site:
        summary = index([f"stac:{site.url}/nothing"], archive=archive, model=encoder)
    assert "the search failed" in summary.failed[0][1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[1]", "found a JSON list"),
        ('{"type": "Topology"}', "found type 'Topology'"),
        ('{"type": "Feature", "id": "a"}', "not valid STAC"),
        ('{"type": "FeatureCollection", "features": [3]}', "not valid STAC"),
    ],
)
def test_what_is_no_stac_is_refused_by_name(tmp_path, archive, encoder, text, says):
    (tmp_path / "a.json").write_text(text)
    summary = index([tmp_path / "a.json"], archive=archive, model=encoder)
    assert "a.json" in summary.failed[0][1]
    assert says in summary.failed[0][1]


def test_an_item_without_rasters_names_its_assets(scene):
    said = item("empty", "./data/")
    said["assets"] = {"thumbnail": said["assets"]["thumbnail"]}
    (scene / "item.json").write_text(json.dumps(said))
    with pytest.raises(SceneError, match=r"no raster assets \(thumbnail\)"):
        opened(scene / "item.json")


@pytest.mark.parametrize(
    ("module", "given", "message"),
    [
        ("pystac_client", "stac:http://127.0.0.1:9/", "Searching a STAC API needs the package pystac_client"),
        ("rustac", "items.parquet", "Reading items from a GeoParquet file needs the package rustac"),
    ],
)
def test_without_the_packages_for_stac_the_command_says_what_to_install(
    tmp_path, capsys, monkeypatch, module, given, message
):
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = run_command(capsys, monkeypatch, "index", given, "--archive", "a")
    assert code != 0
    assert f"{message}, which is not installed; pip install 'bandsight[stac]'" in " ".join(err.split())


def test_a_file_that_is_no_geoparquet_is_refused_by_name(tmp_path, archive, encoder):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    summary = index([tmp_path / "a.parquet"], archive=archive, model=encoder)
    assert "a.parquet: not a readable stac-geoparquet file" in summary.failed[0][1]


def collection(*features: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def test_an_item_that_is_none_does_not_cost_the_others_of_its_collection(scene, archive, encoder):
    bad = item("bad", "data/")
    bad["assets"]["B02"]["bands"] = ["blue"]
    url = item("url", "data/")
    url["assets"]["B02"]["href"] = "http://[bad/B02.tif"
    bare = [item(name, "data/") | {"assets": {}} for name in ("first", "second")]
    (scene / "all.json").write_text(
        collection(bad, {"type": "Feature", "id": "broken"}, url, *bare, item("ok", "data/"))
    )
    summary = index([scene / "all.json"], archive=archive, model=encoder)
    assert summary.scenes == 1
    reasons = " ".join(reason for _, reason in summary.failed)
    assert len(summary.failed) == 5
    assert all(name in reasons for name in ("bad", "feature 2", "url", "first", "second"))


def test_a_catalogue_whose_links_lead_in_circles_or_nowhere_gives_all_of_its_items(scene):
    def catalogue(name: str, *links: tuple[str, str]) -> None:
        said = {"type": "Catalog", "stac_version": "1.0.0", "id": name, "description": name}
        said["links"] = [{"rel": rel, "href": f"./{href}.json"} for rel, href in links]
        (scene / f"{name}.json").write_text(json.dumps(said))

    catalogue("root", ("child", "below"), ("child", "root"), ("item", "missing"), ("item", "one"))
    catalogue("below", ("child", "root"), ("item", "two"))
    for name in ("one", "two"):
        (scene / f"{name}.json").write_text(json.dumps(item(name, "data/")))
    (scene / "data2").symlink_to(scene / "data")
    (scene / "two.json").write_text(json.dumps(item("two", "data2/")))
    found = find_scenes([scene / "root.json"])
    assert sorted(source.name for source in found if not source.problem) == ["one", "two"]
    assert [Path(source.name).name for source in found if source.problem] == ["missing.json"]


def test_an_interval_is_kept_searched_by_overlap_and_given_back(tmp_path, archive, encoder):
    write(tmp_path / "rgb.tif", picture(3, 64, 64))
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "mosaic-2020",
        "properties": {
            "datetime": None,
            "start_datetime": "2020-01-01T00:00:00Z",
            "end_datetime": "2020-12-31T23:59:59Z",
        },
        "geometry": {"type": "Point", "coordinates": [13.5, 52.3]},
        "bbox": [13.5, 52.3, 13.5, 52.3],
        "links": [],
        "assets": {"data": {"href": "./rgb.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }
    (tmp_path / "item.json").write_text(json.dumps(item))
    assert index([tmp_path / "item.json"], archive=archive, model=encoder).failed == []
    (scene,) = archive.scenes()
    assert (scene.datetime, scene.start_datetime, scene.end_datetime) == (
        None,
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2020, 12, 31, 23, 59, 59, tzinfo=UTC),
    )
    assert scene.properties["start_datetime"] == "2020-01-01T00:00:00Z"

    def found(start, end):
        return len(archive.tile_ids(Filter(start=start, end=end)))

    june, july = datetime(2020, 6, 1, tzinfo=UTC), datetime(2020, 7, 1, tzinfo=UTC)
    assert found(june, july) == found(None, datetime(2020, 1, 1, tzinfo=UTC)) == found(None, None) > 0
    assert found(datetime(2021, 1, 1, tzinfo=UTC), None) == found(None, datetime(2019, 12, 31, tzinfo=UTC)) == 0


@pytest.mark.parametrize("version", ["0.6.2", "0.8.1", "1.1.0"])
@pytest.mark.parametrize("below", ["", "stac"])
def test_a_catalogue_in_a_folder_is_read_and_its_files_are_no_other_scenes(scene, version, below):
    folder = scene / below
    folder.mkdir(exist_ok=True)
    base = "../data/" if below else "data/"
    write(scene / "data" / "TCI.tif", picture(3, 64, 64))
    write(scene / "ortho" / "beside.tif", picture(3, 64, 64))
    (folder / "item.json").write_text(json.dumps(item("S2B", base, old=version < "1")))
    catalogue = {
        "stac_version": version,
        "id": "c",
        "description": "c",
        "links": [{"rel": "item", "href": "item.json"}],
    }
    if version >= "1":
        catalogue["type"] = "Catalog"
    (folder / "catalog.json").write_text(json.dumps(catalogue))
    found = {source.name: source for source in find_scenes([scene])}
    assert set(found) == {"S2B", "beside.tif"}
    assert not any(source.problem for source in found.values())
    (direct,) = find_scenes([folder / "catalog.json"])
    assert found["S2B"].hrefs == direct.hrefs
    assert open_scene(direct, "key", tiling={}).record.datetime.isoformat() == "2022-02-16T10:21:01+00:00"


def test_a_catalogue_of_which_nothing_is_there_is_reported_and_other_json_is_not(tmp_path):
    write(tmp_path / "a.tif", picture(3, 64, 64))
    (tmp_path / "catalog.json").write_text('{"books": []}')
    assert [source.problem for source in find_scenes([tmp_path])] == [""]
    links = [{"rel": "child", "href": "gone/catalog.json"}]
    old = {"stac_version": "0.6.2", "id": "c", "description": "c", "links": links}
    (tmp_path / "catalog.json").write_text(json.dumps(old))
    problems = [source.problem for source in find_scenes([tmp_path])]
    assert sum("no such file" in problem for problem in problems) == 1
    assert len(problems) == 2
