"""Products by the names that their makers and the services that hand them out give to their files."""

import pytest

from bandsight.errors import BandsightError
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

S2 = "S2B_MSIL2A_20220216T102101_N0400_R065_T33UUU_20220216T130911"
AWS = "tiles/33/U/UU/2022/2/16/0"
BROWSER = "2022-02-16-00:00_2022-02-16-23:59"
ASTER = "AST_L1T_00305032000040446_20150409135350_78838"
OLCI = "S3A_OL_1_EFR____20200101T100000_20200101T100300_20200102T000000_0179_053_179_2160_MAR_O_NT_002"
SLSTR = "S3A_SL_1_RBT____20200101T100000_20200101T100300_x_MAR_O_NT_004"
NEO = "IMG_PNEO3_202105210912345_MS-FS_ORT_PWOI_000012345_1_2_F_1"
DAY, SECOND = "2020-01-01", "2020-01-01T10:00:00"


def scenes(folder, names, count=1, dtype="uint16"):
    """Write files of one folder and return the scenes that they make, opened, and what was left out."""
    for number, name in enumerate(names):
        values = picture(count, 64, 64, seed=number, dtype="uint16") * (1 if dtype == "uint8" else 20)
        write(folder / name, values.astype(dtype), photometric="MINISBLACK", alpha="NO")
    left_out = []
    found = [open_scene(source, "key", tiling={}) for source in find_scenes([folder], left_out=left_out)]
    return found, left_out


def numbered(pattern, numbers):
    return [pattern.format(number) for number in numbers]


@pytest.mark.parametrize(
    ("names", "sensor", "wavelengths", "taken", "left_out"),
    [
        (
            [f"{S2}/GRANULE/L2A_T33UUU/IMG_DATA/R10m/T33UUU_20220216T102101_{band}_10m.tif" for band in ("B02", "TCI")]
            + [
                f"{S2}/GRANULE/L2A_T33UUU/IMG_DATA/R20m/T33UUU_20220216T102101_{b}_20m.tif"
                for b in ("B02", "B05", "B11")
            ]
            + [f"{S2}/GRANULE/L2A_T33UUU/QI_DATA/MSK_CLDPRB_20m.tif"],
            "sentinel2_l2a",
            [0.49, 0.705, 1.61],
            "2022-02-16T10:21:01",
            1,
        ),
        (
            [f"{AWS}/R10m/{band}.tif" for band in ("B02", "B03", "TCI")]
            + [f"{AWS}/R20m/{b}.tif" for b in ("B03", "B11")],
            "sentinel2_l2a",
            [0.49, 0.56, 1.61],
            "2022-02-16",
            1,
        ),
        (
            [f"{BROWSER}_Sentinel-2_L2A_{band}_(Raw).tiff" for band in ("B02", "B03", "B04", "B08")],
            "sentinel2_l2a",
            [0.49, 0.56, 0.665, 0.842],
            "2022-02-16",
            0,
        ),
        (
            [f"{BROWSER}_Sentinel-2_L1C_{band}_(Raw).tiff" for band in ("B02", "B03", "B04")],
            "sentinel2_l1c",
            [0.49, 0.56, 0.665],
            "2022-02-16",
            0,
        ),
        (
            numbered("MOD09A1.061_sur_refl_b0{}_doy2020001_aid0001.tif", range(1, 8)),
            "modis_sr",
            [0.645, 0.8585, 0.469, 0.555, 1.24, 1.64, 2.13],
            DAY,
            0,
        ),
        (
            [
                *numbered("MCD43A4.061_Nadir_Reflectance_Band{}_doy2020001_aid0001.tif", range(1, 8)),
                "MCD43A4.061_BRDF_Albedo_Band_Mandatory_Quality_Band1_doy2020001_aid0001.tif",
            ],
            "modis_nbar",
            [0.645, 0.8585, 0.469, 0.555, 1.24, 1.64, 2.13],
            DAY,
            1,
        ),
        (
            numbered("MOD13Q1.061__250m_16_days_{}_doy2020001000000_aid0001.tif", ["NDVI", "VI_Quality"])
            + numbered("MOD13Q1.061__250m_16_days_{}_reflectance_doy2020001000000_aid0001.tif", ["red", "NIR", "blue"]),
            "modis_vi",
            [0.645, 0.8585, 0.469],
            DAY,
            2,
        ),
        (
            numbered("VNP09H1.001_SurfReflect_I{}_doy2020001_aid0001.tif", (1, 2, 3)),
            "viirs_sr",
            [0.64, 0.865, 1.61],
            DAY,
            0,
        ),
        (
            numbered(OLCI + "/Oa{:02d}_radiance.tif", (4, 6, 8, 13, 17, 20)),
            "sentinel3_olci",
            [0.49, 0.56, 0.665, 0.865],
            SECOND,
            0,
        ),
        (
            [*numbered(SLSTR + "/S{}_radiance_an.tif", range(1, 7)), f"{SLSTR}/S1_radiance_ao.tif"],
            "sentinel3_slstr",
            [0.55427, 0.65947, 0.868, 1.6134, 2.2557],
            SECOND,
            1,
        ),
        (numbered(SLSTR + "/S{}_BT_in.tif", (7, 8, 9)), "sentinel3_slstr", [3.742, 10.854, 12.0225], SECOND, 0),
        (
            numbered("K3A_20200101100000_12345_12345678_L1G_{}.tif", ("PR", "PG", "PB", "PN")),
            "kompsat3",
            [0.485, 0.56, 0.66, 0.83],
            SECOND,
            0,
        ),
        (
            numbered("K3_20200101100000_12345_12345678_L1R_{}.tif", "RGBNP"),
            "kompsat3",
            [0.485, 0.56, 0.66, 0.83],
            SECOND,
            0,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_band_files_of_a_product_are_one_scene(tmp_path, names, sensor, wavelengths, taken, left_out):
    (scene,), others = scenes(tmp_path, names)
    assert scene.record.sensor == sensor
    assert [band.wavelength_um for band in scene.record.bands] == wavelengths
    assert scene.record.datetime.isoformat().startswith(taken)
    assert len(others) == left_out


@pytest.mark.parametrize(
    ("name", "count", "dtype", "sensor", "indexes"),
    [
        (f"{ASTER}.VNIR.tif", 3, "uint8", "aster", [1, 2, 3]),
        (f"{ASTER}.SWIR.tif", 6, "uint8", "aster", [1, 2, 3, 4, 5, 6]),
        (f"{ASTER}.TIR.tif", 5, "uint16", "aster", [1, 2, 3, 4, 5]),
        ("20200814_162132_ssc4d3_0021_analytic.tif", 4, "uint16", "skysat", [1, 2, 3, 4]),
        ("20200814_162132_ssc4d3_0021_pansharpened.tif", 4, "uint16", "skysat", [1, 2, 3, 4]),
        ("20200814_162132_ssc4d3_0021_panchromatic.tif", 1, "uint16", "skysat_pan", [1]),
        ("1234567_2012-05-05_RE3_3A_Analytic.tif", 5, "uint16", "rapideye", [1, 2, 3, 4, 5]),
        # Near infrared first; in the order of wavelengths for the model.
        ("SPOT5_20100101/IMAGERY.TIF", 4, "uint8", "spot45", [3, 2, 1, 4]),
        ("K3A_20200101120000_12345_12345678_L1G_M.tif", 4, "uint16", "kompsat3", [1, 2, 3, 4]),
        (f"{NEO}_R1C1.TIF", 6, "uint16", "pleiades_neo", [6, 3, 2, 1, 5, 4]),
    ],
)
def test_one_file_of_a_product_is_known_by_its_name(tmp_path, name, count, dtype, sensor, indexes):
    (scene,), _ = scenes(tmp_path, [name], count, dtype)
    assert (scene.record.sensor, [band.index for band in scene.record.bands]) == (sensor, indexes)


def test_the_two_files_of_pleiades_neo_are_one_scene_of_six_bands(tmp_path):
    names = [f"{NEO}_{part}_R1C{tile}.TIF" for part in ("RGB", "NED") for tile in (1, 2)]
    found, _ = scenes(tmp_path, names, 3)
    assert len(found) == 2
    for scene in found:
        assert [band.wavelength_um for band in scene.record.bands] == [0.425, 0.485, 0.56, 0.655, 0.725, 0.825]
        assert ["NED" if "_NED_" in band.href else "RGB" for band in scene.record.bands] == [
            "NED", "RGB", "RGB", "RGB", "NED", "NED",
        ]  # fmt: skip
        assert [band.index for band in scene.record.bands] == [3, 3, 2, 1, 2, 1]


def test_numbers_on_aws_have_the_offset_since_the_day_it_was_introduced(tmp_path):
    lows = {}
    for day in ("2022/1/24", "2022/1/25", "2021/12/31", "2023/1/1"):
        names = [f"{day.replace('/', '-')}/tiles/33/U/UU/{day}/0/R10m/{band}.tif" for band in ("B02", "B03", "B04")]
        ((scene,), _) = scenes(tmp_path / day.replace("/", "-"), names)
        lows[day] = scene.raster.scaling.low[0]
    assert lows == pytest.approx({"2022/1/24": 0, "2022/1/25": 1000, "2021/12/31": 0, "2023/1/1": 1000})


def test_a_layer_beside_the_bands_that_is_named_alone_is_refused_as_no_picture(tmp_path):
    with pytest.raises(BandsightError, match="an ancillary layer of a product, without image bands"):
        scenes(tmp_path, ["MOD13Q1.A2020001.h18v03.061.2020010224400._250m_16_days_NDVI.tif"])
