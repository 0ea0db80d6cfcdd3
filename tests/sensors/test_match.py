from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bandsight.errors import SensorError
from bandsight.sensors.match import Match, RasterInfo, match

GREY = ("gray",)
RGBX = ("red", "green", "blue", "undefined")


def _info(path: str, count: int = 1, dtype: str = "uint16", **more: Any) -> RasterInfo:
    said: dict[str, Any] = {
        "descriptions": (None,) * count,
        "tags": {},
        "band_tags": ({},) * count,
        "colorinterp": ("gray", *("undefined",) * (count - 1)),
    }
    return RasterInfo(path=Path(path), count=count, dtype=dtype, **(said | more))


def _files(pattern: str, bands: Sequence[str], dtype: str = "uint16") -> list[RasterInfo]:
    return [_info(pattern.format(band), dtype=dtype) for band in bands]


def _names(found: Match) -> list[str]:
    return [matched.band.name for matched in found.bands]


S2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
NO_CIRRUS = [name for name in S2 if name != "B10"]


@pytest.mark.parametrize(
    ("pattern", "there", "dtype", "profile", "bands"),
    [
        ("IMG_DATA/T33UUU_20170216T102101_{}.jp2", S2, "uint16", "sentinel2_l1c", NO_CIRRUS),
        (
            "R10m/T33UUU_20220216T102101_{}_10m.jp2",
            ["B02", "B03", "B04", "B08"],
            "uint16",
            "sentinel2_l2a",
            None,
        ),
        ("p/S2A_MSIL2A_20170613T101031_87_48_{}.tif", NO_CIRRUS, "uint16", "sentinel2_l2a", None),
        ("c/2018-10-13, Sentinel-2B L1C, {}.tiff", S2[:8], "uint8", "sentinel2_l1c", None),
        (
            "sentinel-2/{}_band.nc",
            ["blue", "green", "red", "nir", "swir1", "swir2"],
            "float64",
            "sentinel2_l1c",
            ["B02", "B03", "B04", "B08", "B11", "B12"],
        ),
        (
            "landsat8_florida/l8_{}.tif",
            [f"B{n}" for n in range(1, 12)],
            "uint16",
            "landsat89",
            [f"B{n}" for n in range(1, 8)],
        ),
        (
            "x/LC09_L1TP_016040_20220101_20220122_02_T1_{}.TIF",
            ["B4", "B3", "B2"],
            "uint16",
            "landsat89",
            ["B2", "B3", "B4"],
        ),
        ("x/LC09_L2SP_016040_20220101_02_T1_SR_{}.TIF", ["B2", "B3", "B4"], "uint16", "landsat89_sr", None),
        (
            "x/LT52240631988227CUB02_{}.TIF",
            [f"B{n}" for n in range(1, 8)],
            "uint8",
            "landsat45_tm",
            ["B1", "B2", "B3", "B4", "B5", "B7"],
        ),
        ("x/LE70350322008118EDC00_{}.tif", ["b3", "b4", "b5"], "int16", "landsat7_etm", ["B3", "B4", "B5"]),
        (
            "x/S1A_IW_GRDH_1SDV_20180204T043253_35VPK_57_38_{}.tif",
            ["VH", "VV"],
            "float32",
            "sentinel1",
            ["VV", "VH"],
        ),
        (
            "x/S1A__IW___A_20150309T173017_{}_grd_mli_geo_norm_db.tif",
            ["VV"],
            "float32",
            "sentinel1",
            None,
        ),
        (
            "measurement/s1a-iw-grd-{}-20210101t043253-20210101t043318-035946-0435d3-001.tiff",
            ["vv"],
            "uint16",
            "sar_amplitude",
            ["VV"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_band_files_are_known_by_their_names(
    pattern: str, there: list[str], dtype: str, profile: str, bands: list[str] | None
) -> None:
    files = _files(pattern, there, dtype)
    found = match(files)
    assert found.profile.name == profile
    assert _names(found) == (bands or there)
    for matched in found.bands:
        info = next(info for info in files if info.path == matched.path)
        assert matched.band.file is not None
        assert matched.band.file.search(info.path.stem)
        assert matched.index == 1


@pytest.mark.parametrize(
    ("info", "profile", "bands"),
    [
        (_info("OSBS.tif", 3, "uint8", colorinterp=RGBX[:3]), "rgb", ["red", "green", "blue"]),
        (_info("x.tif", 4, "uint8", colorinterp=(*RGBX[:3], "alpha")), "rgb", ["red", "green", "blue"]),
        (_info("x.tif", 4, "uint8", colorinterp=(*RGBX[:3], "nir")), "rgbn", ["red", "green", "blue", "nir"]),
        (
            _info("n/m_4709963_se_14_1_20090818.tif", 4, "uint8", colorinterp=RGBX),
            "rgbn",
            ["red", "green", "blue", "nir"],
        ),
        (
            _info("x/20200101_PSScene_AnalyticMS.tif", 4, "uint16"),
            "bgrn",
            ["blue", "green", "red", "nir"],
        ),
        (_info("L7_ETMs.tif", 6, "uint8"), "landsat7_etm", ["B1", "B2", "B3", "B4", "B5", "B7"]),
        (_info("umbra_mount_yasur.tiff", 1, "uint8"), "sar_x", ["X"]),
        (
            _info("LisbonElevation.tif", 1, "float32"),
            "elevation",
            ["elevation", "elevation_2", "elevation_3"],
        ),
    ],
    ids=lambda value: value.path.name if isinstance(value, RasterInfo) else "",
)
def test_single_files_are_known_by_product_or_colours(info: RasterInfo, profile: str, bands: list[str]) -> None:
    found = match([info])
    assert found.profile.name == profile
    assert _names(found) == bands
    assert all(matched.path == info.path for matched in found.bands)


def test_bands_of_a_single_file_keep_their_numbers() -> None:
    found = match([_info("L7_ETMs.tif", 6, "uint8")])
    assert [matched.index for matched in found.bands] == [1, 2, 3, 4, 5, 6]
    assert [matched.index for matched in match([_info("a_dem.tif", 1, "int16")]).bands] == [1, 1, 1]


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        (("Red", "Green", "Blue"), "rgb"),
        (("red", "green", "blue", "nir"), "rgbn"),
        (("Blue", "Green", "Red", "NIR"), "bgrn"),
        (tuple(S2), "sentinel2_l1c"),
        (tuple(NO_CIRRUS), "sentinel2_l2a"),
    ],
)
def test_descriptions_of_the_bands_say_what_they_are(said: tuple[str, ...], profile: str) -> None:
    found = match([_info("scene.tif", len(said), "uint16", descriptions=said)])
    assert found.profile.name == profile
    assert {said[matched.index - 1].lower() for matched in found.bands} <= {name.lower() for name in said}
    assert all(said[m.index - 1].lower() == m.band.name.lower() for m in found.bands)


def test_described_bands_are_found_in_any_order() -> None:
    said = ("B08", "B04", "B03", "B02")
    found = match([_info("S2A_MSIL2A_20200101.tif", 4, descriptions=said)])
    assert [(m.band.name, m.index) for m in found.bands] == [("B02", 4), ("B03", 3), ("B04", 2), ("B08", 1)]


def test_four_bands_without_a_word_are_refused_with_both_candidates() -> None:
    with pytest.raises(SensorError, match=r"rgbn\.tif: 4 bands of uint8.*--sensor \(bgrn, rgbn\)"):
        match([_info("x/rgbn.tif", 4, "uint8", colorinterp=RGBX)])


def test_the_user_names_the_sensor() -> None:
    info = _info("x/rgbn.tif", 4, "uint8", colorinterp=RGBX)
    assert _names(match([info], "bgrn")) == ["blue", "green", "red", "nir"]
    assert _names(match([info], "rgbn")) == ["red", "green", "blue", "nir"]
    assert match([_info("x/a.tif", 1, "float32")], "elevation").profile.name == "elevation"


def test_a_sidecar_names_the_sensor_and_the_command_line_wins() -> None:
    info = _info("x/a.tif", 4, "uint8", sensor="bgrn")
    assert match([info]).profile.name == "bgrn"
    assert match([info], "rgbn").profile.name == "rgbn"


def test_files_without_the_operators_name_are_taken_by_band_when_the_sensor_is_named() -> None:
    files = _files("field/scene_{}.tif", ["B2", "B3", "B4"])
    assert _names(match(files, "landsat89")) == ["B2", "B3", "B4"]
    with pytest.raises(SensorError, match="3 band files"):
        match(files)


def test_a_file_with_another_number_of_bands_than_the_sensor_is_refused() -> None:
    with pytest.raises(SensorError, match=r"a\.tif: 3 bands, sensor bgrn needs .*blue green red nir"):
        match([_info("a.tif", 3, "uint8")], "bgrn")


def test_too_few_bands_are_refused_by_name() -> None:
    with pytest.raises(SensorError, match=r"found B02, B03 of sentinel2_l2a, need at least 3.*missing B01, B04"):
        match(_files("p/S2A_MSIL2A_20170613T101031_87_48_{}.tif", ["B02", "B03"]))


def test_an_unknown_sensor_is_refused() -> None:
    with pytest.raises(SensorError, match="no such profile"):
        match([_info("a.tif")], "nothing")


@pytest.mark.parametrize(
    "more",
    [
        {"wavelengths_um": (0.4, 0.5, 2.4)},
        {"band_tags": tuple({"wavelength": v, "wavelength_units": "Micrometers"} for v in ("0.4", "0.5", "2.4"))},
        {"band_tags": tuple({"wavelength": v, "wavelength_units": "Nanometers"} for v in ("400", "500", "2400"))},
        {
            "band_tags": tuple({"wavelength": v} for v in ("400", "500", "2400")),
            "tags": {"wavelength_units": "nm"},
        },
        {"band_tags": tuple({"CENTRAL_WAVELENGTH_UM": v} for v in ("0.4", "0.5", "2.4"))},
    ],
    ids=["sidecar", "µm", "nm", "nm of the file", "IMAGERY"],
)
@pytest.mark.parametrize("sensor", [None, "hyperspectral"])
def test_wavelengths_that_come_with_a_file_make_its_bands(more: dict[str, Any], sensor: str | None) -> None:
    found = match([_info("aviris.tif", 3, "int16", **more)], sensor)
    assert found.profile.name == "hyperspectral"
    assert [m.band.wavelength_um for m in found.bands] == pytest.approx([0.4, 0.5, 2.4])
    assert [m.index for m in found.bands] == [1, 2, 3]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"wavelengths_um": (0.4, 0.5)}, "2 wavelengths are given for 3 bands"),
        ({"wavelengths_um": (0.4, 0.5, 650)}, "650 of band 3: looks like nanometres; divide by 1000"),
        ({"wavelengths_um": (0.4, -0.5, 0.6)}, "band 2: need a positive number"),
        ({"band_tags": ({"wavelength": "400"},) * 3}, "'no unit'"),
        ({"band_tags": ({"wavelength": "400", "wavelength_units": "index"},) * 3}, "'index'"),
        ({"band_tags": ({"wavelength": "x", "wavelength_units": "nm"},) * 3}, "is no number"),
    ],
)
def test_wrong_wavelengths_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(SensorError, match=says):
        match([_info("aviris.tif", 3, "int16", **more)])


def test_hyperspectral_without_wavelengths_is_told_how_to_give_them() -> None:
    with pytest.raises(SensorError, match=r"198 bands without wavelengths.*cube\.tif\.bandsight\.json"):
        match([_info("cube.tif", 198, "int16")], "hyperspectral")


def test_what_nobody_knows_is_refused_with_the_way_out() -> None:
    with pytest.raises(SensorError, match=r"5 bands of uint16.*--sensor.*wavelengths_um"):
        match([_info("what.tif", 5)])


def test_single_band_without_a_word_names_the_sensors_of_one_band() -> None:
    with pytest.raises(SensorError, match=r"elevation.*sar_x.*sentinel1") as caught:
        match([_info("x/a.tif", 1, "float32")])
    assert "sentinel2" not in str(caught.value)


def test_newer_sentinel_2_products_are_scaled_with_their_offset() -> None:
    folder = "S2B_MSIL2A_20220216T102049_N0400_R065_T33UUU_20220216T130911.SAFE/GRANULE/L2A/IMG_DATA/R10m"
    found = match(_files(folder + "/T33UUU_20220216T102049_{}_10m.jp2", ["B02", "B03", "B04", "B08"]))
    assert found.profile.name == "sentinel2_l2a"
    assert found.profile.scaling_for("uint16").low == 1000
