"""Which assets of an item are taken, and what they are taken for."""

import json
from urllib.parse import quote

import pytest

from bandsight.errors import BandsightError
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
NUMBERS = picture(1, 64, 64, dtype="uint16") * 20
COLOURS = {"B02": ("blue", 0.49), "B03": ("green", 0.56), "B04": ("red", 0.665)}


def asset(name, **fields):
    return {"href": f"./{name}", "type": COG, **fields}


def opened(folder, assets, *, version="1.0.0", collection=None, name="item", **properties):
    """Open the scene of an item that is written beside its files."""
    item = {
        "type": "Feature",
        "stac_version": version,
        "id": name,
        "geometry": {"type": "Point", "coordinates": [13.5, 52.3]},
        "bbox": [13.5, 52.3, 13.5, 52.3],
        "properties": {"datetime": "2022-06-01T10:00:00Z", **properties},
        "links": [],
        "assets": assets,
        **({"collection": collection} if collection else {}),
    }
    (folder / "item.json").write_text(json.dumps(item))
    (source,) = find_scenes([folder / "item.json"])
    return open_scene(source, "key", tiling={})


def bands(folder, **more):
    """Write three bands of Sentinel-2 and return their assets."""
    found = {}
    for name, (colour, wave) in COLOURS.items():
        write(folder / f"{name}.tif", NUMBERS)
        stated = {"name": name, "common_name": colour, "center_wavelength": wave}
        found[colour] = asset(f"{name}.tif", **{"roles": ["data"], "eo:bands": [stated], **more})
    return found


def names(scene):
    return [band.name for band in scene.record.bands]


def test_temperature_emissivity_and_saturation_beside_surface_reflectance_are_not_its_bands(tmp_path):
    product = "LC08_L2SP_193024_20220601_20220601_02_T1"
    assets = {}
    for number, colour in enumerate(("coastal", "blue", "green", "red", "nir08", "swir16", "swir22"), 1):
        write(tmp_path / f"{product}_SR_B{number}.TIF", NUMBERS * 2 + 7000)
        stated = {"name": f"OLI_B{number}", "common_name": colour, "center_wavelength": 0.4 + 0.1 * number}
        scale = {"scale": 2.75e-05, "offset": -0.2}
        assets[colour] = asset(f"{product}_SR_B{number}.TIF", **{"eo:bands": [stated], "raster:bands": [scale]})
    for key, layer in (("lwir11", "ST_B10"), ("emis", "ST_EMIS"), ("qa_pixel", "QA_PIXEL"), ("sat", "QA_RADSAT")):
        write(tmp_path / f"{product}_{layer}.TIF", NUMBERS)
        assets[key] = asset(f"{product}_{layer}.TIF")
    assets["lwir11"]["eo:bands"] = [{"name": "TIRS_B10", "common_name": "lwir11", "center_wavelength": 10.9}]
    scene = opened(tmp_path, assets, collection="landsat-c2-l2", platform="landsat-8")
    assert (scene.record.sensor, len(scene.record.bands)) == ("landsat89_sr", 7)
    assert scene.raster.scaling.low == pytest.approx([0.2 / 2.75e-05] * 7)
    assert scene.raster.quality.quality.name == "QA_PIXEL"


def test_masks_in_the_role_of_data_are_left_out(tmp_path):
    write(tmp_path / "20230101_101010_00_2468_3B_AnalyticMS_SR_8b.tif", picture(8, 64, 64, dtype="uint16"))
    write(tmp_path / "20230101_101010_00_2468_3B_udm2.tif", picture(8, 64, 64))
    assets = {
        "ortho_analytic_8b_sr": asset("20230101_101010_00_2468_3B_AnalyticMS_SR_8b.tif", roles=["data"]),
        "ortho_udm2": asset("20230101_101010_00_2468_3B_udm2.tif", roles=["data", "cloud"]),
    }
    assert opened(tmp_path, assets).record.sensor == "planetscope8"


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("visual", {"type": COG, "roles": ["visual"]}),
        ("data", {}),
        ("data", {"type": "application/octet-stream", "roles": ["data"]}),
        ("data", {"type": "image/x.geotiff", "roles": ["data"]}),
        ("overview", {"type": COG, "roles": ["overview"]}),
    ],
)
def test_the_only_picture_of_an_item_is_taken_whatever_its_role_and_type(tmp_path, key, fields):
    write(tmp_path / "picture.tif", picture(3, 64, 64))
    preview = {"href": "./t.png", "type": "image/png", "roles": ["thumbnail"]}
    scene = opened(tmp_path, {key: {"href": "./picture.tif", **fields}, "thumbnail": preview})
    assert scene.record.sensor == "rgb"


def test_an_alternate_href_is_taken_where_the_first_cannot_be_opened(tmp_path):
    assets = bands(tmp_path)
    for one in assets.values():
        one["alternate"] = {"local": {"href": one["href"]}}
        one["href"] = f"ftp://example.org/{one['href'][2:]}"
    assert names(opened(tmp_path, assets, collection="sentinel-2-l2a")) == list(COLOURS)


def test_blanks_in_hrefs_are_written_as_percent_20_or_not(tmp_path):
    folder = tmp_path / "my scenes"
    path = write(folder / "a b.tif", picture(3, 64, 64))
    for href in ("./a%20b.tif", "./a b.tif", f"file://{quote(str(path))}", str(path)):
        assert opened(folder, {"data": {"href": href, "type": COG}}).record.sensor == "rgb"


@pytest.mark.parametrize(
    ("baseline", "applied", "low"),
    [("03.01", None, 0), ("04.00", None, 1000), ("05.09", None, 1000), ("05.11", True, 0), (5.09, None, 1000)],
)
def test_numbers_have_the_offset_of_their_processing_baseline(tmp_path, baseline, applied, low):
    more = {} if applied is None else {"earthsearch:boa_offset_applied": applied}
    scene = opened(
        tmp_path, bands(tmp_path), collection="sentinel-2-l2a", **{"s2:processing_baseline": baseline, **more}
    )
    assert scene.raster.scaling.low == pytest.approx([low] * 3)


def test_the_finest_asset_of_each_band_is_taken(tmp_path):
    assets = {}
    for name, (colour, _), sizes in zip(COLOURS, COLOURS.values(), ((60, 20, 10), (20, 10), (10,)), strict=True):
        for metres in sizes:
            write(tmp_path / f"{name}_{metres}m.tif", NUMBERS)
            stated = [{"name": name, "common_name": colour}]
            assets[f"{name}_{metres}m"] = asset(f"{name}_{metres}m.tif", **{"gsd": metres, "eo:bands": stated})
    scene = opened(tmp_path, assets, collection="sentinel-2-l2a")
    assert [band.href.rpartition("_")[2] for band in scene.record.bands] == ["10m.tif"] * 3


@pytest.mark.parametrize("version", ["0.7.0", "0.9.0"])
def test_items_before_1_0_name_their_bands_in_their_own_way(tmp_path, version):
    assets = bands(tmp_path)
    listed = [one["eo:bands"][0] for one in assets.values()]
    if version == "0.7.0":
        for number, one in enumerate(assets.values()):
            one["eo:bands"] = [number]
    more = {"eo:bands": listed} if version == "0.7.0" else {}
    scene = opened(tmp_path, assets, version=version, collection="sentinel-2-l2a", **more)
    assert names(scene) == list(COLOURS)


def test_wavelengths_of_an_item_in_nanometres_are_refused(tmp_path):
    assets = bands(tmp_path)
    for one in assets.values():
        one["eo:bands"][0]["center_wavelength"] *= 1000
    with pytest.raises(BandsightError, match="looks like nanometres"):
        opened(tmp_path, assets, collection="sentinel-2-l2a")
