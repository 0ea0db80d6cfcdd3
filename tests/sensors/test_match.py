from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bandsight.errors import SensorError
from bandsight.sensors.match import Match, match
from bandsight.sensors.profile import load_profiles
from bandsight.sensors.raster_info import BandMetadata, RasterInfo

GREY = ("gray",)
RGBX = ("red", "green", "blue", "undefined")


def _info(path: str, count: int = 1, dtype: str = "uint16", **more: Any) -> RasterInfo:
    said: dict[str, Any] = {
        "descriptions": (None,) * count,
        "tags": {},
        "band_tags": ({},) * count,
        "colorinterp": ("gray", *("undefined",) * (count - 1)),
    }
    return RasterInfo(href=path, path=Path(path), count=count, dtype=dtype, **(said | more))


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
        ("x/LT04_L1TP_016040_19890101_20200101_02_T1_{}.TIF", ["B1", "B2", "B3"], "uint8", "landsat45_tm", None),
        ("x/LT05_L2SP_016040_19890101_20200101_02_T1_SR_{}.TIF", ["B1", "B2", "B3"], "uint16", "landsat45_sr", None),
        ("x/LE07_L2SP_016040_20010101_20200101_02_T1_SR_{}.TIF", ["B1", "B2", "B7"], "uint16", "landsat7_sr", None),
        ("h/HLS.L30.T17SLU.2020117T160901.v2.0.{}.tif", ["B02", "B05", "B07"], "int16", "hls_l30", None),
        ("h/HLS.S30.T17SLU.2020117T160901.v2.0.{}.tif", ["B02", "B8A", "B12"], "int16", "hls_s30", None),
        (
            "m/MOD09A1.A2020001.h18v03.061.{}.tif",
            [f"sur_refl_b0{n}" for n in range(1, 8)],
            "int16",
            "modis_sr",
            None,
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
def test_band_files_are_recognised_by_name(
    pattern: str, there: list[str], dtype: str, profile: str, bands: list[str] | None
) -> None:
    files = _files(pattern, there, dtype)
    found = match(files)
    assert found.profile.name == profile
    assert _names(found) == (bands or there)
    for matched in found.bands:
        info = next(info for info in files if info.href == matched.href)
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
            "planetscope",
            ["blue", "green", "red", "nir"],
        ),
        (_info("L7_ETMs.tif", 6, "uint8"), "landsat7_etm", ["B1", "B2", "B3", "B4", "B5", "B7"]),
        (_info("umbra_mount_yasur.tiff", 1, "uint8"), "sar_x", ["X"]),
        (
            _info("x/20230101_PSScene_AnalyticMS_SR_8b_clip.tif", 8),
            "planetscope8",
            ["coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"],
        ),
        (
            _info("p/WV03_20200101_M1BS.tif", 8),
            "worldview",
            ["coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"],
        ),
        (_info("worldview2_rotterdam/ms1.tif", 4, "float64"), "worldview", ["blue", "green", "red", "nir1"]),
        (_info("worldview2_rotterdam/pan1.tif", 1), "worldview_pan", ["pan"]),
        (_info("x/LC09_L2SP_016040_20220101_20220103_02_T1_ST_B10.TIF", 1), "thermal", ["lwir"]),
        (_info("MOD11A1_LST_Day_1km.tif", 1), "thermal", ["lwir"]),
        (
            _info("LisbonElevation.tif", 1, "float32"),
            "elevation",
            ["elevation", "elevation_2", "elevation_3"],
        ),
    ],
    ids=lambda value: value.path.name if isinstance(value, RasterInfo) else "",
)
def test_single_files_are_recognised_by_product_or_colours(info: RasterInfo, profile: str, bands: list[str]) -> None:
    found = match([info])
    assert found.profile.name == profile
    assert _names(found) == bands
    assert all(matched.href == info.href for matched in found.bands)


@pytest.mark.parametrize(
    ("files", "quality"),
    [
        (("T33UUU_20220216T102101_B02_10m", "T33UUU_20220216T102101_B03_10m",
          "T33UUU_20220216T102101_B04_10m"), "SCL_20m"),
        (("LC09_L2SP_016040_20220101_20220103_02_T1_SR_B2", "LC09_L2SP_016040_20220101_20220103_02_T1_SR_B3",
          "LC09_L2SP_016040_20220101_20220103_02_T1_SR_B4"), "QA_PIXEL"),
        (("HLS.L30.T17SLU.2020117T160901.v2.0.B02", "HLS.L30.T17SLU.2020117T160901.v2.0.B03",
          "HLS.L30.T17SLU.2020117T160901.v2.0.B04"), "Fmask"),
    ],
)  # fmt: skip
def test_the_quality_band_is_found_beside_the_others(files: tuple[str, ...], quality: str) -> None:
    mark = "." if quality == "Fmask" else "_"
    stem = files[0].split("_B0")[0].split("_SR")[0].split(".B0")[0]
    found = match([*(_info(f"x/{name}.tif") for name in files), _info(f"x/{stem}{mark}{quality}.tif")])
    assert found.quality is not None
    assert Path(found.quality.href).stem.endswith(quality)
    assert len(found.bands) == 3


@pytest.mark.parametrize(
    ("product", "cloud_bits"),
    [("LC08_L1TP_1_2_01_T1", [4]), ("LC80160402014", [])],
    ids=["Collection 1", "before the collections"],
)
def test_a_quality_band_with_two_possible_codings_is_resolved_by_the_product(
    product: str, cloud_bits: list[int]
) -> None:
    files = [_info(f"landsat8/{product}_{b}.tif") for b in ("B2", "B3", "B4", "BQA")]
    found = match(files)
    assert found.quality is not None
    assert list(found.quality.quality.cloud_bits) == cloud_bits


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("ENMAP01-____L2A-DT0000001049_20220612T105735Z_001_V010303-SPECTRAL_IMAGE.TIF", "enmap"),
        ("PRS_L2D_STD_20200725103423.tif", "prisma"),
        ("f970619t01p02r02_sc01.img", "aviris"),
        ("ang20170328t202059_rfl.img", "aviris"),
    ],
)
def test_imaging_spectrometers_are_recognised_by_name_and_leave_out_water_vapour(name: str, profile: str) -> None:
    tags = tuple({"wavelength": v, "wavelength_units": "nm", "fwhm": "6"} for v in ("650", "1400", "1850", "2200"))
    found = match([_info(name, 4, "int16", band_tags=tags)])
    assert (found.profile.name, found.origin) == (profile, "band metadata")
    assert [m.band.wavelength_um for m in found.bands] == pytest.approx([0.65, 2.2])
    assert [m.index for m in found.bands] == [1, 4]
    assert found.bands[0].band.fwhm_um == pytest.approx(0.006)


def test_user_profiles_extend_and_override_the_built_in_ones(tmp_path: Path) -> None:
    band = '[[bands]]\nname = "b"\nwavelength_um = 0.7\n[scaling.default]\nkind = "percentile"\n'
    layout = '[[layouts]]\nbands = ["b"]\n'
    (tmp_path / "cube9.toml").write_text(f'title = "Cube"\ncollection = "cube"\nproduct = "cube9"\n{band}{layout}')
    (tmp_path / "rgb.toml").write_text(f'title = "Mine"\ncollection = "mine"\n{band}{layout}')
    mine = load_profiles(tmp_path)
    found = match([_info("x/cube9_01.tif")], profiles=mine)
    assert (found.profile.name, found.bands[0].band.wavelength_um) == ("cube9", 0.7)
    assert match([_info("x/a.tif")], "rgb", mine).profile.title == "Mine"
    assert len(mine) == len(load_profiles()) + 1


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
def test_bands_are_recognised_by_their_descriptions(said: tuple[str, ...], profile: str) -> None:
    found = match([_info("scene.tif", len(said), "uint16", descriptions=said)])
    assert found.profile.name == profile
    assert {said[matched.index - 1].lower() for matched in found.bands} <= {name.lower() for name in said}
    assert all(said[m.index - 1].lower() == m.band.name.lower() for m in found.bands)


def test_described_bands_are_found_in_any_order() -> None:
    said = ("B08", "B04", "B03", "B02")
    found = match([_info("S2A_MSIL2A_20200101.tif", 4, descriptions=said)])
    assert [(m.band.name, m.index) for m in found.bands] == [("B02", 4), ("B03", 3), ("B04", 2), ("B08", 1)]


def test_four_undescribed_bands_are_rejected_with_both_candidates() -> None:
    with pytest.raises(
        SensorError,
        match=r"rgbn\.tif: 4 bands of uint8.*\(bgrn, kompsat3, .*rgbn, .*worldview\)",
    ):
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


def test_files_without_a_product_name_are_assigned_by_band_if_the_sensor_is_named() -> None:
    files = _files("field/scene_{}.tif", ["B2", "B3", "B4"])
    assert _names(match(files, "landsat89")) == ["B2", "B3", "B4"]
    with pytest.raises(SensorError, match=r"3 band files.*--sensor \(landsat45_tm, landsat7_etm, landsat89\)"):
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
def test_wavelengths_in_a_file_define_its_bands(more: dict[str, Any], sensor: str | None) -> None:
    found = match([_info("cube.tif", 3, "int16", **more)], sensor)
    assert found.profile.name == "hyperspectral"
    assert [m.band.wavelength_um for m in found.bands] == pytest.approx([0.4, 0.5, 2.4])
    assert [m.index for m in found.bands] == [1, 2, 3]


def test_metadata_gives_the_wavelengths_and_the_name_gives_the_rest() -> None:
    tags = tuple({"CENTRAL_WAVELENGTH_UM": v} for v in ("0.4924", "0.5598", "0.6646"))
    found = match([_info("S2A_MSIL2A_20200101.tif", 3, band_tags=tags, descriptions=("B02", "B03", "B04"))])
    assert (found.profile.name, found.origin) == ("sentinel2_l2a", "band metadata")
    assert [m.band.wavelength_um for m in found.bands] == [0.4924, 0.5598, 0.6646]
    assert [m.band.common_name for m in found.bands] == ["blue", "green", "red"]


def test_the_users_wavelengths_take_precedence_over_the_files() -> None:
    tags = tuple({"CENTRAL_WAVELENGTH_UM": v} for v in ("0.4", "0.5", "0.6"))
    found = match([_info("cube.tif", 3, band_tags=tags, wavelengths_um=(0.45, 0.55, 0.65))])
    assert found.origin == "the user's wavelengths_um"
    assert [m.band.wavelength_um for m in found.bands] == [0.45, 0.55, 0.65]


def test_a_catalogue_takes_precedence_over_the_file_and_names_the_bands() -> None:
    tags = tuple({"CENTRAL_WAVELENGTH_UM": v} for v in ("0.4", "0.5"))
    said = (BandMetadata(name="x", wavelength_um=0.7, fwhm_um=0.02), BandMetadata(name="y", wavelength_um=1.6))
    found = match([_info("cube.tif", 2, band_tags=tags, stated=said, stated_by="STAC item a")])
    assert found.origin == "STAC item a"
    assert [(m.band.name, m.band.wavelength_um, m.band.fwhm_um) for m in found.bands] == [
        ("x", 0.7, 0.02),
        ("y", 1.6, None),
    ]


def test_wavelengths_of_band_files_make_one_scene_and_alpha_needs_none() -> None:
    one = _info("a_1.tif", 2, band_tags=({"CENTRAL_WAVELENGTH_UM": "0.5"}, {}), colorinterp=("gray", "alpha"))
    other = _info("a_2.tif", 1, band_tags=({"CENTRAL_WAVELENGTH_UM": "0.9"},))
    found = match([one, other])
    assert [(m.href, m.index, m.band.wavelength_um) for m in found.bands] == [("a_1.tif", 1, 0.5), ("a_2.tif", 1, 0.9)]
    with pytest.raises(SensorError, match=r"a_2\.tif: other files of its scene have wavelengths_um"):
        match([_info("a_1.tif", wavelengths_um=(0.5,)), _info("a_2.tif")])


@pytest.mark.parametrize(
    ("info", "origin"),
    [
        (_info("m_4709963_se_14_1_20090818.tif", 4, "uint8"), "file names"),
        (_info("scene.tif", 3, descriptions=("Red", "Green", "Blue")), "band descriptions"),
        (_info("x.tif", 3, "uint8", colorinterp=RGBX[:3]), "colour interpretation"),
        (_info("x.tif", 1, "int16", hints=("SRTM_dem",), stated_by="x_MTL.txt"), "product named by x_MTL.txt"),
        (_info("x.tif", 3, "uint8", sensor="rgb"), "sensor given by the user"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_evidence_is_stored(info: RasterInfo, origin: str) -> None:
    assert match([info]).origin == origin


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"wavelengths_um": (0.4, 0.5)}, "2 wavelengths for 3 bands"),
        ({"wavelengths_um": (0.4, 0.5, 650)}, "650 of band 3 looks like nanometres; need µm, so divide by 1000"),
        ({"wavelengths_um": (0.4, -0.5, 0.6)}, "band 2 is not a wavelength; need a positive"),
        ({"wavelengths_um": (0.4, 0.19, 0.6)}, "0.19 of band 2 is not a wavelength of light or heat; need 0.2 to 300"),
        ({"wavelengths_um": (0.4, 55465.8, 0.6)}, "55465.8 of band 2 is not a .* for radar the code 5.405"),
        ({"band_tags": ({"central_wavelength_um": "0.05"},) * 3}, "0.05 of band 1 is not a wavelength of light"),
        ({"band_tags": ({"wavelength": "31000", "wavelength_units": "um"},) * 3}, "31000 of band 1 is not"),
        ({"stated": (BandMetadata(name="x", wavelength_um=310),) * 3}, "310 of band 1 looks like nanometres"),
        ({"band_tags": ({"wavelength": "400"},) * 3}, "'no unit'"),
        ({"band_tags": ({"wavelength": "400", "wavelength_units": "index"},) * 3}, "'index'"),
        ({"band_tags": ({"wavelength": "x", "wavelength_units": "nm"},) * 3}, "is not a number"),
    ],
)
def test_wrong_wavelengths_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(SensorError, match=says):
        match([_info("cube.tif", 3, "int16", **more)])


def test_the_error_for_hyperspectral_files_without_wavelengths_says_how_to_pass_them() -> None:
    with pytest.raises(SensorError, match=r"198 bands without wavelengths.*cube\.tif\.bandsight\.json"):
        match([_info("cube.tif", 198, "int16")], "hyperspectral")


def test_unrecognised_files_are_rejected_with_advice() -> None:
    with pytest.raises(SensorError, match=r"11 bands of uint16.*wavelengths_um") as caught:
        match([_info("what.tif", 11)])
    # No sensor has eleven bands in one file.
    assert "--sensor" not in str(caught.value)


def test_the_error_for_an_undescribed_single_band_names_the_sensors_of_one_band() -> None:
    with pytest.raises(SensorError, match=r"elevation.*sar_x") as caught:
        match([_info("x/a.tif", 1, "float32")])
    # Sentinel-1 needs to know which polarisation it is.
    assert "sentinel" not in str(caught.value)


def test_newer_sentinel_2_products_are_scaled_with_their_offset() -> None:
    folder = "S2B_MSIL2A_20220216T102049_N0400_R065_T33UUU_20220216T130911.SAFE/GRANULE/L2A/IMG_DATA/R10m"
    found = match(_files(folder + "/T33UUU_20220216T102049_{}_10m.jp2", ["B02", "B03", "B04", "B08"]))
    assert found.profile.name == "sentinel2_l2a"
    assert found.profile.rules_for("uint16")[0].stored(0) == pytest.approx(1000)


S2_EE = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12")


def test_bands_that_are_numbered_without_zeros_are_the_same_bands() -> None:
    found = match([_info("x/sentinel2_composite.tif", 12, descriptions=S2_EE)])
    assert found.profile.name.startswith("sentinel2")
    assert _names(found) == NO_CIRRUS


def test_a_profile_that_explains_only_some_of_the_bands_is_never_chosen_silently() -> None:
    # Four bands of Sentinel-2, three of which Landsat has as well; nothing says which level it is.
    with pytest.raises(SensorError, match=r"--sensor \(sentinel2_l1c, sentinel2_l2a\)"):
        match([_info("x/s2_2020_rgbn.tif", 4, descriptions=("B2", "B3", "B4", "B8"))])
    info = _info("x/S2A_MSIL2A_20200101.tif", 4, descriptions=("B02", "B03", "B04", "NDVI"))
    with pytest.raises(SensorError, match=r"sentinel2_l2a matches 3 of 4 bands, not NDVI; pass --sensor sentinel2_l2a"):
        match([info])
    assert _names(match([info], "sentinel2_l2a", force=True)) == ["B02", "B03", "B04"]


def test_the_advice_of_an_ambiguous_scene_leads_to_its_bands() -> None:
    info = _info("x/s2_2020_rgbn.tif", 4, descriptions=("B2", "B3", "B4", "B8"))
    for sensor in ("sentinel2_l1c", "sentinel2_l2a"):
        assert _names(match([info], sensor)) == ["B02", "B03", "B04", "B08"]


def test_every_sensor_that_a_refusal_names_explains_all_bands() -> None:
    for info in (_info("x/a.tif", 1, "float32"), _info("x/a.tif", 4, "uint8", colorinterp=RGBX), _info("a.tif", 7)):
        with pytest.raises(SensorError, match="--sensor") as caught:
            match([info])
        for name in str(caught.value).split("--sensor (")[1].split(")")[0].split(", "):
            assert len({matched.index for matched in match([info], name).bands}) >= min(info.count, 6)


def test_a_product_name_outranks_a_colour_tag_and_an_alpha_that_is_none_is_a_band() -> None:
    colours = (*RGBX[:3], "alpha")
    info = _info("m_4709963_se_14_1_20090818.tif", 4, "uint8", colorinterp=colours, true_alpha=False)
    assert (match([info]).profile.name, len(match([info]).bands)) == ("rgbn", 4)
    mosaic = _info("naip_mosaic.tif", 4, "uint8", colorinterp=colours, true_alpha=True)
    assert match([mosaic]).profile.name == "rgb"


def test_the_contents_of_a_file_outrank_the_usual_product_of_its_platform() -> None:
    files = [
        _info(f"f/LC08_L2SP_193024_20220601_20220601_02_T1_SR_B{n}.TIF", hints=("scene_42",), platform="landsat-8")
        for n in (2, 3, 4)
    ]
    assert match(files).profile.name == "landsat89_sr"
    assert (
        match([_info(f"f/b{n}.tif", platform="landsat-8") for n in ("_B2", "_B3", "_B4")]).profile.name == "landsat89"
    )


@pytest.mark.parametrize(
    ("info", "profile", "indexes"),
    [
        (_info("x.tif", 3, colorinterp=RGBX[:3]), "rgb", [1, 2, 3]),
        (_info("x.tif", 4, colorinterp=("blue", "green", "red", "alpha")), "rgb", [3, 2, 1]),
        (_info("x.tif", 5, "uint8", colorinterp=(*RGBX[:3], "nir", "alpha")), "rgbn", [1, 2, 3, 4]),
        (_info("x.tif", 3, descriptions=("R", "G", "B")), "rgb", [1, 2, 3]),
        (_info("x.tif", 1, "float32", descriptions=("Gamma0_VV",)), "sentinel1", [1]),
        (_info("x.tif", 2, "float32", descriptions=("Sigma0_VH_db", "Sigma0_VV_db")), "sentinel1", [2, 1]),
        (_info("x.tif", 1, "float32", descriptions=("elevation",)), "elevation", [1, 1, 1]),
        (_info("LT05_172034_20010526/all_bands.tif", 7, "uint8"), "landsat45_tm", [1, 2, 3, 4, 5, 7]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_colours_and_descriptions_in_any_order_are_recognised(
    info: RasterInfo, profile: str, indexes: list[int]
) -> None:
    found = match([info])
    assert (found.profile.name, [matched.index for matched in found.bands]) == (profile, indexes)


@pytest.mark.parametrize(
    "name",
    [
        "campus_dem_survey_2020.tif",
        "dem_zones.tif",
        "dem_boolean_crs.tif",
        "slope_dem.tif",
        "red_river.tif",
        "SR_notes.tif",
        "st_louis.tif",
    ],
)
def test_words_within_longer_names_are_ignored(name: str) -> None:
    with pytest.raises(SensorError, match="nothing says which bands"):
        match([_info(f"x/{name}", 1, "float32")])


def test_a_sensor_applies_to_what_matches_nothing_and_overrides_a_match_only_by_force() -> None:
    rgb = _info("x.tif", 3, "uint8", colorinterp=RGBX[:3])
    found = match([rgb], "landsat45_tm")
    assert (found.profile.name, found.not_applied) == ("rgb", "landsat45_tm")
    unknown = _info("x.tif", 4, "uint8", colorinterp=RGBX)
    assert match([unknown], "bgrn").not_applied == ""
    named = _info("S2A_MSIL2A_20200101.tif", 13, descriptions=tuple(S2))
    assert match([named], "sentinel2_l1c").profile.name == "sentinel2_l2a"
    assert match([named], "sentinel2_l1c", force=True).profile.name == "sentinel2_l1c"


def test_all_evidence_is_kept() -> None:
    found = match([_info("S2A_MSIL2A_20200101.tif", 3, descriptions=("B02", "B03", "B04"))])
    assert {one.kind for one in found.evidence} >= {"product name", "band names"}
    assert all(one.score > 0 and one.found for one in found.evidence)


def test_the_numbers_that_gdal_gives_to_bands_without_a_name_are_no_names() -> None:
    names = ("Band 1", "Band 2", "Band 3")
    assert match([_info("x.dat", 3, "uint8", descriptions=names, colorinterp=RGBX[:3])]).profile.name == "rgb"
    with pytest.raises(SensorError, match="nothing says which bands"):
        match([_info("x.dat", 3, "uint16", descriptions=names)])


def test_a_name_of_a_sensor_that_sees_no_blue_outranks_the_colour_tags_that_writers_set_by_default() -> None:
    with pytest.raises(SensorError, match=r"3 bands of uint8.*--sensor \(.*rgb, spot45"):
        match([_info("x/Spot5-Gloucester-after.tif", 3, "uint8", colorinterp=RGBX[:3])])
    assert match([_info("x/spotted_owl.tif", 3, "uint8", colorinterp=RGBX[:3])]).profile.name == "rgb"


@pytest.mark.parametrize(
    ("info", "missing"),
    [
        (_info("x.tif", 3, "float32"), "aster"),
        (_info("x.tif", 3, "complex64"), "rgb"),
        (_info("x.tif", 4, "uint8", colorinterp=(*RGBX[:3], "alpha"), true_alpha=False), "rgb,"),
    ],
)
def test_sensors_of_other_types_or_fewer_bands_are_no_advice(info: RasterInfo, missing: str) -> None:
    with pytest.raises(SensorError) as refused:
        match([info])
    assert missing not in str(refused.value).partition("--sensor")[2].partition(")")[0] + ","


def test_files_of_several_bands_whose_catalogue_names_and_measures_them_keep_the_product_s_profile() -> None:
    product = "ast/AST_L1T_00305032000040446_20150409135350_78838"
    parts = {"VNIR": ("Band1", "Band2", "Band3N"), "TIR": ("Band10", "Band11", "Band12", "Band13", "Band14")}
    centres = {"VNIR": (0.56, 0.66, 0.82), "TIR": (8.3, 8.65, 9.11, 10.6, 11.3)}
    files = [
        _info(
            f"{product}.{part}.tif",
            len(bands),
            "uint8" if part == "VNIR" else "uint16",
            stated=tuple(
                BandMetadata(name=f"{part}_{band}", wavelength_um=um)
                for band, um in zip(bands, centres[part], strict=True)
            ),
            stated_by="STAC item",
        )
        for part, bands in parts.items()
    ]
    found = match(files)
    assert found.profile.name == "aster"
    assert [matched.band.wavelength_um for matched in found.bands] == [*centres["VNIR"], *centres["TIR"]]
    assert len({matched.href for matched in found.bands}) == 2
