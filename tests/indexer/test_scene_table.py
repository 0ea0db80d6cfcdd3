"""One small scene for each kind that is shipped, and the table of them in docs/scenes.md.

`python -m tests.indexer.test_scene_table` writes the table anew.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from bandsight.sensors.profile import load_profiles
from indexer.description import scenes_table
from indexer.pipeline import index
from indexer.sources import find_scenes
from tests.hdf import hdf4, hdf5_grids
from tests.indexer.test_product_metadata import safe
from tests.indexer.test_swaths import PLACES, olci, slstr
from tests.rasters import picture, variables, write

DOCS = Path(__file__).parents[2] / "docs" / "scenes.md"
BEGIN, END = "<!-- made by tests/indexer/test_scene_table.py -->\n", "<!-- end -->\n"
EMIT = Path(__file__).parents[1] / "fixtures" / "EMIT_L2A_RFL_001_20220827T091626_2223906_009.nc"
S2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]


def _bands(folder: Path, pattern: str, bands: Sequence[str], values: Any) -> None:
    for band in bands:
        write(folder / pattern.format(band), values)


def _with_wavelengths(path: Path, waves: Sequence[float]) -> None:
    write(path, picture(len(waves), 64, 64, dtype="int16") * 20)
    with rasterio.open(path, "r+") as dataset:
        for band, wave in enumerate(waves, 1):
            dataset.update_tags(band, wavelength=str(wave), wavelength_units="Nanometers")


def make_scenes(root: Path) -> Path:
    """Write a scene for each profile."""
    dn = picture(1, 64, 64, dtype="uint16") * 20
    level1 = picture(1, 64, 64, dtype="uint16") * 60 + 5000
    bright = picture(1, 64, 64, dtype="uint16") * 40 + 7000
    byte = picture(1, 64, 64)
    db = -picture(1, 64, 64, dtype="float32") / 16 - 2
    safe(root / "a_sentinel2_l2a")
    _bands(root / "b_sentinel2_l1c", "T33UUU_20170216T102101_{}.tif", S2, dn)
    seven = [f"B{n}" for n in range(1, 8)]
    _bands(root / "c_landsat5", "LT05_L1TP_224063_19880814_20200917_02_T1_{}.TIF", seven, byte)
    _bands(root / "d_landsat7", "LE07_L1TP_224063_20000814_20200917_02_T1_{}.TIF", seven[:5], byte)
    _bands(root / "e_landsat8", "LC08_L1TP_016040_20220101_20220122_02_T1_{}.TIF", seven, level1)
    _bands(root / "f_landsat9_sr", "LC09_L2SP_016040_20220101_20220122_02_T1_SR_{}.TIF", seven, bright)
    _bands(root / "g_landsat5_sr", "LT05_L2SP_224063_19880814_20200917_02_T1_SR_{}.TIF", seven[:4], bright)
    _bands(root / "h_landsat7_sr", "LE07_L2SP_224063_20000814_20200917_02_T1_SR_{}.TIF", seven[:4], bright)
    signed = dn.astype("int16")
    _bands(root / "i_hls", "HLS.L30.T17SLU.2020117T160901.v2.0.{}.tif", ["B02", "B03", "B04", "B05"], signed)
    _bands(root / "j_hls", "HLS.S30.T17SLU.2020117T160901.v2.0.{}.tif", ["B02", "B03", "B04", "B8A"], signed)
    _bands(root / "k_modis", "MOD09A1.A2020001.h18v03.061.sur_refl_b0{}.tif", "1234567", signed)
    _bands(root / "k_nbar", "MCD43A4.A2020001.h18v03.061.2020010_Nadir_Reflectance_Band{}.tif", "1234567", signed)
    _bands(root / "k_dea", "ga_ls8c_nbart_3-1-0_088080_2020-05-25_final_band0{}.tif", "1234567", signed)
    _bands(root / "l_sentinel1", "S1A_IW_GRDH_1SDV_20180204T043253_{}.tif", ["VV", "VH"], db)
    _bands(root / "m_sentinel1_dn", "s1a-iw-grd-{}-20210101t043253-035946.tiff", ["vv", "vh"], dn)
    write(root / "n_naip" / "m_4709963_se_14_1_20120731.tif", picture(4, 64, 64), photometric="MINISBLACK", alpha="NO")
    write(root / "o_planetscope" / "20200101_101010_PSScene_AnalyticMS.tif", picture(4, 64, 64, dtype="uint16"))
    write(root / "p_superdove" / "20230101_101010_PSScene_AnalyticMS_SR_8b.tif", picture(8, 64, 64, dtype="uint16"))
    write(root / "q_worldview" / "WV03_20200101_M1BS.tif", picture(8, 64, 64, dtype="uint16"))
    write(root / "r_worldview_pan" / "WV02_20200101_P1BS-P1BS.tif", dn)
    write(root / "s_umbra" / "umbra_20230101.tif", byte)
    warm = picture(1, 64, 64, dtype="uint16") * 9 + 40000
    write(root / "t_thermal" / "LC09_L2SP_016040_20220101_20220122_02_T1_ST_B10.TIF", warm)
    write(root / "u_elevation" / "srtm_dem.tif", dn.astype("int16"))
    write(root / "v_rgb" / "orthophoto.tif", picture(3, 64, 64))
    write(root / "w_bgrn" / "described.tif", picture(4, 64, 64, dtype="uint16"))
    _describe(root / "w_bgrn" / "described.tif", ["Blue", "Green", "Red", "NIR"])
    _more_products(root)
    _hdf_products(root)
    for folder, name in (
        ("x_enmap", "ENMAP01-____L2A-DT0000001049_20220612T105735Z-SPECTRAL_IMAGE.tif"),
        ("x_desis", "DESIS-HSI-L2A-DT0483531728_001-20200929T103021-V0215-SPECTRAL_IMAGE.tif"),
        ("y_prisma", "PRS_L2D_STD_20200725103423.tif"),
        ("z_aviris", "f970619t01p02r02.tif"),
        ("zz_any", "cube.tif"),
    ):
        _with_wavelengths(root / folder / name, [450, 650, 1400, 2200])
    return root


def _more_products(root: Path) -> None:
    """Write scenes of Airbus, ASTER, MODIS, VIIRS and Sentinel-3, a tar, a NetCDF file, and what lies askew."""
    dn, byte = picture(1, 64, 64, dtype="uint16") * 20, picture(1, 64, 64)
    signed = dn.astype("int16")
    aster = "AST_L1T_00305032000040446_20150409135350_78838_ImageData{}.tif"
    _bands(root / "wa_aster", aster, ["1", "2", "3N"], byte)
    _bands(root / "wa_aster", aster, ["10", "11", "12", "13", "14"], dn)
    four = picture(4, 64, 64, dtype="uint16") * 20
    write(root / "wb_pleiades" / "IMG_PHR1A_PMS_202105210912345_ORT_R1C1.TIF", four)
    write(root / "wb_spot" / "IMG_SPOT6_MS_202105210912345_ORT_R1C1.TIF", four)
    write(root / "wb_neo" / "IMG_PNEO3_202105210912345_MS-FS_ORT_RGB_R1C1.TIF", four[:3])
    write(root / "wb_neo4" / "IMG_PNEO4_202105210912345_PMS_ORT_R1C1.TIF", four)
    write(root / "wb_neo" / "IMG_PNEO3_202105210912345_MS-FS_ORT_NED_R1C1.TIF", four[:3])
    write(root / "wb_pan" / "IMG_PHR1B_P_202105210912345_ORT_R1C1.TIF", dn)
    vi = "MOD13Q1.A2020001.h18v03.061.2020010224400._250m_16_days_{}.tif"
    _bands(root / "wc_mod13", vi, [f"{name}_reflectance" for name in ("red", "NIR", "blue", "MIR")], signed)
    _bands(root / "wc_mod13", vi, ["NDVI", "EVI", "VI_Quality", "pixel_reliability"], np.zeros((1, 64, 64), "int16"))
    warm = picture(1, 64, 64, dtype="uint16") + 14000
    _bands(root / "wc_mod11", "MOD11A1.A2020001.h18v03.061.2020010224400.{}.tif", ["LST_Day_1km", "QC_Day"], warm)
    viirs = [f"I{number}_1" for number in (1, 2, 3)]
    _bands(root / "wd_viirs", "VNP09GA.A2020001.h18v03.001.2020010224400_SurfReflect_{}.tif", viirs, signed)
    olci = [f"Oa{number:02d}_radiance" for number in (4, 6, 8, 17)]
    _bands(root / "we_olci", "S3A_OL_1_EFR____20200101T100000_20200101T100300_{}.tif", olci, dn)
    slstr = [f"S{number}_radiance_an" for number in range(1, 7)]
    _bands(root / "we_slstr", "S3A_SL_1_RBT____20200101T100000_20200101T100300_{}.tif", slstr, dn)
    aws = root / "wi_aws" / "tiles" / "33" / "U" / "UU" / "2022" / "2" / "16" / "0"
    _bands(aws / "R10m", "{}.tif", ["B02", "B03", "B04", "TCI"], dn)
    _bands(aws / "R20m", "{}.tif", ["B02", "B05", "B11", "SCL"], dn)
    browser = "2022-02-16-00:00_2022-02-16-23:59_Sentinel-2_L2A_{}_(Raw).tiff"
    _bands(root / "wj_browser", browser, ["B02", "B03", "B04", "B08"], dn)
    _bands(root / "wk_appeears", "MOD09A1.061_sur_refl_b0{}_doy2020001_aid0001.tif", "1234567", signed)
    write(root / "wl_skysat" / "20200814_162132_ssc4d3_0021_analytic.tif", four)
    write(root / "wl_skysat" / "20200814_162132_ssc4d3_0021_panchromatic.tif", dn)
    write(root / "wl_rapideye" / "1234567_2012-05-05_RE3_3A_Analytic.tif", picture(5, 64, 64, dtype="uint16") * 20)
    _bands(root / "wm_kompsat", "K3A_20200101120000_12345_12345678_L1G_{}.tif", ["PR", "PG", "PB", "PN"], dn)
    write(root / "wn_spot" / "SPOT5_20100101" / "IMAGERY.TIF", picture(4, 64, 64), photometric="MINISBLACK", alpha="NO")
    shutil.copy(EMIT, _made(root / "wo_emit") / EMIT.name)
    numbers = picture(1, 64, 64) % 3
    write(_made(root / "wp_palette") / "map.tif", numbers)
    with rasterio.open(root / "wp_palette" / "map.tif", "r+") as dataset:
        dataset.write_colormap(1, {0: (250, 0, 0, 255), 1: (0, 250, 0, 255), 2: (0, 0, 250, 255)})
    landsat = "LC08_L2SP_016040_20220101_20220122_02_T1"
    with tempfile.TemporaryDirectory() as folder:
        _bands(Path(folder), f"{landsat}_SR_{{}}.TIF", [f"B{n}" for n in range(1, 8)], dn * 2 + 7000)
        write(Path(folder) / f"{landsat}_QA_PIXEL.TIF", np.full((1, 64, 64), 21824, "uint16"))
        (root / "wf_tar").mkdir()
        with tarfile.open(root / "wf_tar" / f"{landsat}.tar", "w") as packed:
            for file in sorted(Path(folder).iterdir()):
                packed.add(file, file.name)
    variables(root / "wg_netcdf" / "mosaic_20200501.nc", ["red", "green", "blue", "nir", "quality_flags"])
    askew = Affine.translation(400_000, 5_800_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    write(root / "wh_rotated" / "orthophoto.tif", picture(3, 64, 64), transform=askew)


def _hdf_products(root: Path) -> None:
    """Write MODIS, VIIRS and Sentinel-3 as delivered: HDF4 and HDF5 on the sinusoidal grid, NetCDF of a swath."""
    name, folder = "{}.A2020001.h18v03.061.2020010224400.{}", root / "wq_hdf"
    fill, plane = {"_FillValue": -28672, "scale_factor": 0.0001}, picture(1, 64, 64, dtype="int16")[0] * 20
    clear = np.zeros((32, 32), "uint16")
    fine = {f"sur_refl_b0{number}_1": plane for number in range(1, 8)}
    grids = {"MODIS_Grid_1km_2D": {"state_1km_1": clear}, "MODIS_Grid_500m_2D": fine}
    hdf4(folder / name.format("MOD09GA", "hdf"), grids, attributes=fill)
    warm = plane.astype("uint16") // 10 + 14500
    grids = {"MODIS_Grid_Daily_1km_LST": {"LST_Day_1km": warm, "LST_Night_1km": warm}}
    hdf4(folder / name.format("MOD11A1", "hdf"), grids, attributes={"_FillValue": 0, "scale_factor": 0.02})
    indices = [*("NDVI", "EVI"), *(f"{band} reflectance" for band in ("red", "NIR", "blue", "MIR"))]
    fields = {f"250m 16 days {one}": plane for one in [*indices, "pixel reliability"]}
    hdf4(folder / name.format("MOD13Q1", "hdf"), {"MODIS_Grid_16DAY": fields}, attributes={"_FillValue": -1000})
    fields = {f"Nadir_Reflectance_Band{number}": plane for number in range(1, 8)}
    hdf4(folder / name.format("MCD43A4", "hdf"), {"MOD_Grid_BRDF": fields}, attributes={"_FillValue": 32767})
    fine = {f"SurfReflect_I{number}_1": plane for number in (1, 2, 3)}
    coarse = {f"SurfReflect_M{number}_1": plane[::2, ::2] for number in (3, 4, 5)}
    grids = {"VNP_Grid_1km_2D": coarse, "VNP_Grid_500m_2D": fine}
    hdf5_grids(folder / name.format("VNP09GA", "h5"), grids, attributes=fill)
    olci(root / "wr_olci", PLACES["Baltic"], 64, 64)
    slstr(root / "wr_slstr", PLACES["Baltic"], 64, 64)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _describe(path: Path, names: Sequence[str]) -> None:
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names


def test_every_shipped_sensor_is_indexed_and_stands_in_the_table(tmp_path, archive, encoder):
    root = make_scenes(tmp_path / "scenes")
    table = scenes_table([root])
    said = DOCS.read_text()
    assert table == said[said.index(BEGIN) + len(BEGIN) : said.index(END)]
    summary = index([root], archive=archive, model=encoder)
    assert summary.failed == []
    assert summary.scenes == len(find_scenes([root]))
    shown = {scene.sensor for scene in archive.scenes()}
    assert shown == {profile.name for profile in load_profiles()}
    for scene in archive.scenes():
        assert f"| {scene.sensor} |" in table
        assert np.isfinite([band.wavelength_um for band in scene.bands]).all()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = scenes_table([make_scenes(Path(folder))])
    text = DOCS.read_text()
    DOCS.write_text(text[: text.index(BEGIN) + len(BEGIN)] + made + text[text.index(END) :])
