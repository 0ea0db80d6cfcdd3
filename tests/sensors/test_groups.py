from pathlib import Path

from bandsight.sensors.groups import group_bands


def _names(*files: str) -> dict[str, list[str]]:
    return {stem: [path.name for path in group] for stem, group in group_bands(Path("in") / f for f in files)}


def test_band_files_of_one_product_are_one_scene() -> None:
    bands = [f"T33UUU_20170216T102101_{b}.jp2" for b in ("B01", "B02", "B8A", "B12")]
    assert _names(*bands) == {"T33UUU_20170216T102101": bands}


def test_products_in_one_folder_are_kept_apart() -> None:
    found = _names("LC08_1_B4.TIF", "LC08_1_B5.TIF", "LC08_2_B4.TIF", "LC08_2_B5.TIF")
    assert found == {
        "LC08_1": ["LC08_1_B4.TIF", "LC08_1_B5.TIF"],
        "LC08_2": ["LC08_2_B4.TIF", "LC08_2_B5.TIF"],
    }


def test_quality_bands_go_with_their_product() -> None:
    assert _names("l8_B4.tif", "l8_B10.tif", "l8_BQA.tif") == {"l8": ["l8_B4.tif", "l8_B10.tif", "l8_BQA.tif"]}
    found = _names("LC09_x_SR_B4.TIF", "LC09_x_ST_B10.TIF", "LC09_x_QA_PIXEL.TIF")
    assert found == {"LC09_x": ["LC09_x_SR_B4.TIF", "LC09_x_ST_B10.TIF", "LC09_x_QA_PIXEL.TIF"]}
    files = ["T33UUU_20170216T102101_B02_10m.jp2", "T33UUU_20170216T102101_SCL_20m.jp2"]
    assert _names(*files) == {"T33UUU_20170216T102101": files}
    hls = [f"HLS.S30.T17SLU.2020117T160901.v2.0.{b}.tif" for b in ("B04", "B8A", "Fmask")]
    assert _names(*hls) == {"HLS.S30.T17SLU.2020117T160901.v2.0": hls}


def test_other_files_of_a_product_are_left_out() -> None:
    assert _names("LC09_x_SR_B4.TIF", "LC09_x_SR_QA_AEROSOL.TIF", "LC09_x_ST_QA.TIF", "LC09_x_QA_RADSAT.TIF") == {
        "LC09_x": ["LC09_x_SR_B4.TIF"]
    }
    assert _names("T_x_B02_10m.jp2", "T_x_TCI_10m.jp2", "T_x_AOT_10m.jp2") == {"T_x": ["T_x_B02_10m.jp2"]}
    assert _names("HLS.a.B04.tif", "HLS.a.SZA.tif") == {"HLS.a": ["HLS.a.B04.tif"]}
    assert _names("p_3B_AnalyticMS.tif", "p_3B_udm2_clip.tif") == {"p_3B_AnalyticMS": ["p_3B_AnalyticMS.tif"]}


def test_a_quality_band_named_alone_is_tried() -> None:
    assert _names("l8_BQA.tif") == {"l8_BQA": ["l8_BQA.tif"]}


def test_other_rasters_are_scenes_of_their_own() -> None:
    assert _names("a.tif", "b.tif") == {"a": ["a.tif"], "b": ["b.tif"]}


def test_files_named_only_by_their_colour_are_one_scene() -> None:
    bands = ["blue_band.nc", "green_band.nc", "red_band.nc", "nir_band.nc", "swir1_band.nc", "swir2_band.nc"]
    assert _names(*bands) == {"": bands}


def test_names_with_commas_and_blanks_are_understood() -> None:
    bands = [f"2018-10-13, Sentinel-2B L1C, {b}.tiff" for b in ("B02", "B03")]
    assert _names(*bands) == {"2018-10-13, Sentinel-2B L1C": bands}


def test_layers_of_a_product_that_are_not_imagery_are_left_out() -> None:
    dem, dea = "Copernicus_DSM_COG_10_N53_00_W115_00", "_3-1-0_088080_2020-05-25_final_"
    kept = [f"{dem}_DEM.tif", f"ga_ls8c_nbart{dea}band02.tif", "my_WBM.tif"]
    layers = [f"{dem}_{name}.tif" for name in ("EDM", "FLM_QL", "HEM", "WBM", "DEM_QL", "DEM_ABS_QL")]
    layers += [f"ga_ls8c_oa{dea}{name}.tif" for name in ("solar-zenith", "nbart-contiguity")]
    layers += ["MCD43A4.A2022032.h14v10.061.2022041051831_BRDF_Albedo_Band_Mandatory_Quality_Band1.tif"]
    left_out: list[Path] = []
    groups = group_bands([Path(name) for name in kept + layers], left_out=left_out)
    assert sorted(file.name for _, files in groups for file in files) == sorted(kept)
    assert sorted(file.name for file in left_out) == sorted(layers)
