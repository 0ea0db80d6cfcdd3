"""MODIS products as HDF4 and VIIRS products as HDF5 are read as they are delivered, on the sinusoidal grid."""

import zipfile

import numpy as np
import pytest
from pyproj import Transformer

from bandsight.errors import SceneError
from bandsight.raster import hdf4 as hdf4_module
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_window
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.tiling import Tiling
from tests.hdf import TILE_M, corner, hdf4, hdf5_grids, structure
from tests.rasters import picture

TILE = "A2020001.h18v03.061.2020010224400"
MODIS = [0.645, 0.8585, 0.469, 0.555, 1.24, 1.64, 2.13]


def plane(seed, side=64, dtype="int16"):
    return picture(1, side, side, seed=seed, dtype=dtype)[0] * 10


def opened(path):
    (source,) = find_scenes([path])
    assert not source.problem
    return open_scene(source, "key", tiling={})


def read(scene):
    side = scene.record.height
    with OpenFiles() as files:
        return read_window(scene.raster, (0, 0, side, side), (side, side), files)


def waves(scene):
    return [band.wavelength_um for band in scene.record.bands]


def mod09a1(folder, **options):
    bands = {f"sur_refl_b0{number}": plane(number) for number in range(1, 8)}
    state = np.zeros((64, 64), "uint16")
    state[:8] = 1
    layers = {"sur_refl_qc_500m": plane(8, dtype="uint32"), "sur_refl_szen": plane(9), "sur_refl_state_500m": state}
    return hdf4(
        folder / f"MOD09A1.{TILE}.hdf",
        {"MOD_Grid_500m_Surface_Reflectance": bands | layers},
        attributes={"_FillValue": -28672, "scale_factor": 0.0001},
        **options,
    )


def test_mod09_has_seven_bands_in_their_place_with_scale_time_nodata_and_clouds(tmp_path):
    scene = opened(mod09a1(tmp_path))
    record = scene.record
    assert (record.sensor, waves(scene)) == ("modis_sr", MODIS)
    assert record.datetime.isoformat() == "2020-01-01T00:00:00+00:00"
    assert record.stretch["high"] == pytest.approx([3000] * 7)
    (box,) = record.boxes
    # Tile h18v03 lies between 0 and 10 degrees east at 50 and 20 at 60 degrees north (LP DAAC).
    assert (box.west, box.south, box.east, box.north) == pytest.approx((0, 50, 20, 60), abs=1e-3)
    found = read(scene)
    assert np.array_equal(found.values, np.stack([plane(number) for number in range(1, 8)]))
    assert found.valid.all()
    assert found.cloud[:8].all()
    assert not found.cloud[8:].any()


def test_grids_of_two_resolutions_of_one_file_belong_to_one_scene(tmp_path):
    state = np.zeros((32, 32), "uint16")
    state[:, :4] = 1
    coarse = {"state_1km_1": state, "SolarZenith_1": plane(3, 32)}
    fine = {f"sur_refl_b0{number}_1": plane(number) for number in range(1, 8)} | {"QC_500m_1": plane(8, dtype="uint32")}
    fine["sur_refl_b03_1"][5, 6] = -28672
    path = hdf4(
        tmp_path / f"MOD09GA.{TILE}.hdf",
        {"MODIS_Grid_1km_2D": coarse, "MODIS_Grid_500m_2D": fine},
        attributes={"_FillValue": -28672, "scale_factor": 10000.0, "add_offset": 0.0},
    )
    scene = opened(path)
    # A factor by which stored numbers are divided, as in collection 6.
    assert scene.record.stretch["high"] == pytest.approx([3000] * 7)
    found = read(scene)
    assert found.cloud[:, :8].all()
    assert not found.cloud[:, 8:].any()
    assert np.argwhere(~found.valid).tolist() == [[5, 6]]


def test_vegetation_indices_are_left_out_beside_their_reflectance(tmp_path):
    names = [*("NDVI", "EVI", "VI Quality"), *(f"{band} reflectance" for band in ("red", "NIR", "blue", "MIR"))]
    fields = {f"250m 16 days {name}": plane(number) for number, name in enumerate(names)}
    fields["250m 16 days pixel reliability"] = np.full((64, 64), 3, "uint8")
    attributes = {"_FillValue": -1000, "scale_factor": 10000.0}
    path = hdf4(tmp_path / f"MYD13Q1.{TILE}.hdf", {"MODIS_Grid_16DAY": fields}, attributes=attributes)
    scene = opened(path)
    assert (scene.record.sensor, waves(scene)) == ("modis_vi", [0.645, 0.8585, 0.469, 2.13])
    assert scene.record.stretch["high"] == pytest.approx([3000] * 4)
    found = read(scene)
    assert np.array_equal(found.values, np.stack([plane(number) for number in range(3, 7)]))
    assert found.cloud.all()


def test_surface_temperature_is_that_of_the_day_in_kelvin(tmp_path):
    fields = {"LST_Day_1km": plane(1, dtype="uint16") // 10 + 14500, "QC_Day": plane(2, dtype="uint8")}
    fields |= {"LST_Night_1km": plane(3, dtype="uint16") // 10 + 13000, "Emis_31": plane(4, dtype="uint8")}
    fields["LST_Day_1km"][:4] = 0
    attributes = {"_FillValue": 0, "scale_factor": 0.02}
    path = hdf4(tmp_path / f"MOD11A1.{TILE}.hdf", {"MODIS_Grid_Daily_1km_LST": fields}, attributes=attributes)
    scene = opened(path)
    assert (scene.record.sensor, waves(scene)) == ("thermal", [10.9])
    assert (scene.record.stretch["low"], scene.record.stretch["high"]) == ([13000], [16500])
    found = read(scene)
    assert np.array_equal(found.values[0], fields["LST_Day_1km"])
    assert not found.valid[:4].any()
    assert found.valid[4:].all()


def test_nadir_reflectance_has_its_fill_value(tmp_path):
    fields = {f"BRDF_Albedo_Band_Mandatory_Quality_Band{number}": plane(0, dtype="uint8") for number in range(1, 8)}
    fields |= {f"Nadir_Reflectance_Band{number}": plane(number) for number in range(1, 8)}
    for number in range(1, 8):
        fields[f"Nadir_Reflectance_Band{number}"][:, :9] = 32767
    attributes = {"_FillValue": 32767, "scale_factor": 0.0001}
    scene = opened(hdf4(tmp_path / f"MCD43A4.{TILE}.hdf", {"MOD_Grid_BRDF": fields}, attributes=attributes))
    assert (scene.record.sensor, waves(scene)) == ("modis_nbar", MODIS)
    valid = read(scene).valid
    assert not valid[:, :9].any()
    assert valid[:, 9:].all()


def test_viirs_has_imagery_and_moderate_bands_in_their_place(tmp_path):
    moderate = (1, 2, 3, 4, 5, 7, 8, 10, 11)
    coarse = {f"SurfReflect_M{number}_1": plane(number, 32) for number in moderate}
    coarse["SurfReflect_QF1_1"] = plane(2, 32, "uint8")
    fine = {f"SurfReflect_I{number}_1": plane(number) for number in (1, 2, 3)}
    path = hdf5_grids(
        tmp_path / "VNP09GA.A2020001.h18v03.001.2020010224400.h5",
        {"VNP_Grid_1km_2D": coarse, "VNP_Grid_500m_2D": fine},
        attributes={"_FillValue": -28672, "scale_factor": 0.0001, "add_offset": 0.0},
    )
    scene = opened(path)
    assert scene.record.sensor == "viirs_sr"
    assert waves(scene)[:3] == [0.64, 0.865, 1.61]
    assert len(waves(scene)) == 12
    assert scene.raster.nodata == -28672
    assert scene.record.datetime.isoformat() == "2020-01-01T00:00:00+00:00"
    (box,) = scene.record.boxes
    assert (box.west, box.south, box.east, box.north) == pytest.approx((0, 50, 20, 60), abs=1e-3)
    found = read(scene)
    assert np.array_equal(found.values[:3], np.stack([fine[f"SurfReflect_I{number}_1"] for number in (1, 2, 3)]))


@pytest.mark.parametrize(("h", "v"), [(8, 3), (28, 3), (12, 1), (35, 8), (0, 8), (21, 11)])
def test_footprints_of_tiles_end_at_the_edge_of_the_globe(tmp_path, h, v):
    boxes = opened(mod09a1(tmp_path, h=h, v=v)).record.boxes
    west, north = corner(h, v)
    back = Transformer.from_crs("+proj=sinu +R=6371007.181", "EPSG:4326", always_xy=True)
    x, y = np.meshgrid(west + np.linspace(0, 1, 41) * TILE_M, north - np.linspace(0, 1, 41) * TILE_M)
    half = np.pi * 6371007.181 * np.cos(y / 6371007.181)
    lon, lat = back.transform(x, y)
    inside = np.abs(x) < half * (1 - 1e-9)
    assert sum(box.east - box.west for box in boxes) < 70
    west, east = min(box.west for box in boxes), max(box.east for box in boxes)
    assert (west, east) == pytest.approx((lon[inside].min(), lon[inside].max()), abs=1)
    assert boxes[0].south == pytest.approx(lat[inside].min(), abs=0.2)


def test_hdf4_is_indexed_like_any_other_file_and_recognised_again(tmp_path, archive, encoder):
    mod09a1(tmp_path / "scenes")
    summary = index([tmp_path / "scenes"], archive=archive, model=encoder, tiling=Tiling(tile_px=16))
    assert (summary.scenes, summary.failed) == (1, [])
    assert archive.tile_count == 16
    (tmp_path / "scenes").rename(tmp_path / "moved")
    assert index([tmp_path / "moved"], archive=archive, model=encoder, tiling=Tiling(tile_px=16)).scenes == 0


def test_hdf4_without_its_package_is_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    path = mod09a1(tmp_path)
    monkeypatch.setattr(hdf4_module, "find_spec", lambda _: None)
    for given in (path, tmp_path):
        (source,) = find_scenes([given])
        assert "pip install 'bandsight[hdf4]'" in source.problem


SWATH = 'GROUP=SwathStructure\n\tGROUP=SWATH_1\n\t\tSwathName="MODIS_SWATH_Type_L1B"\n'


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        (SWATH, "in instrument geometry (a swath)"),
        ("GROUP=GridStructure\n", "without an HDF-EOS grid"),
        (structure({"G": (64, ["sur_refl_b01"])}).replace("GCTP_SNSOID", "GCTP_LAMAZ"), "projection GCTP_LAMAZ"),
        (structure({"G": (64, ["sur_refl_b01"])}).replace("XDim=64", "XDim=a"), "grid is incomplete"),
        (structure({"G": (64, ["sur_refl_b01"])}).replace("XDim=64", "XDim=0"), "has no area"),
        (structure({"G": (32, ["sur_refl_b01"])}), "size differs from that of its grid"),
    ],
)
def test_other_hdf4_is_refused_in_one_sentence(tmp_path, metadata, why):
    with pytest.raises(SceneError, match=why.replace("(", r"\(").replace(")", r"\)")):
        opened(mod09a1(tmp_path, metadata=metadata))


@pytest.mark.parametrize("size", [4, 100, 3000, 9000])
def test_damaged_hdf4_is_refused_in_one_sentence(tmp_path, size):
    path = mod09a1(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SceneError, match="HDF4"):
        opened(path)


def test_hdf4_inside_a_zip_is_refused_and_read_once_unpacked_as_advised(tmp_path):
    path = mod09a1(tmp_path / "made")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(path, path.name)
    with pytest.raises(SceneError, match="unpack it and pass the folder"):
        opened(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        packed.extractall(tmp_path / "unpacked")
    assert waves(opened(tmp_path / "unpacked")) == MODIS
