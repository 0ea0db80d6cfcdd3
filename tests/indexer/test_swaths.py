"""Sentinel-3 OLCI and SLSTR, in instrument geometry, are placed by the geolocation of each of their pixels."""

import shutil
import zipfile

import numpy as np
import pytest
from pyproj import Geod, Transformer

from bandsight.errors import SceneError
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_window
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.tiling import Tiling
from tests.hdf import netcdf4

OLCI = "S3A_OL_1_EFR____20200101T100000_20200101T100300_20200102T130000_0179_053_165_2160_LN1_O_NT_002.SEN3"
SLSTR = "S3B_SL_1_RBT____20200101T100000_20200101T100300_20200102T130000_0179_053_165_2160_LN2_O_NT_004.SEN3"
MICRO = {"scale_factor": 1e-6, "add_offset": 0.0, "_FillValue": -2147483648}


def swath(lines, columns, lat, lon, heading, step_m):
    """Return latitude and longitude of each pixel of a swath along a great circle; pixels grow towards its edges."""
    sphere = Geod(a=6_371_000, b=6_371_000)
    along = np.arange(lines) * step_m
    lons, lats, back = sphere.fwd(*(np.full(lines, value) for value in (lon, lat, heading)), along)
    across = (np.arange(columns) - columns * 0.6) * step_m * (1 + 0.1 * np.linspace(-1, 1, columns) ** 2)
    turned = np.repeat(np.asarray(back) - 90, columns)
    places = np.repeat(lons, columns), np.repeat(lats, columns), turned, np.tile(across, lines)
    found = sphere.fwd(*places)
    return tuple(np.asarray(one).reshape(lines, columns) for one in (found[1], found[0]))


def numbers(lines, columns):
    line, column = np.mgrid[:lines, :columns]
    return (line * 7 + column * 3 + 100).astype("uint16")


def olci(folder, where, lines=150, columns=130):
    """Write a product and return latitude and longitude of its pixels."""
    lat, lon = swath(lines, columns, *where, 300)
    packed = {name: np.round(one * 1e6).astype("int32") for name, one in (("latitude", lat), ("longitude", lon))}
    netcdf4(folder / OLCI / "geo_coordinates.nc", packed, attributes=dict.fromkeys(packed, MICRO))
    for band in (4, 6, 8, 17):
        name = f"Oa{band:02d}_radiance"
        values = {name: numbers(lines, columns) + band}
        netcdf4(folder / OLCI / f"{name}.nc", values, attributes={name: {"_FillValue": 65535, "scale_factor": 0.0125}})
    netcdf4(folder / OLCI / "qualityFlags.nc", {"quality_flags": np.zeros((lines, columns), "uint32")})
    return lat, lon


def slstr(folder, where, lines=120, columns=100):
    lat, lon = swath(lines, columns, *where, 500)
    for grid, every in (("an", 1), ("in", 2)):
        own = {f"latitude_{grid}": lat[::every, ::every], f"longitude_{grid}": lon[::every, ::every]}
        netcdf4(folder / SLSTR / f"geodetic_{grid}.nc", own)
    fill = {"_FillValue": -32768, "scale_factor": 0.01, "add_offset": 0.0}
    for name, every in [*((f"S{n}_radiance_an", 1) for n in range(1, 7)), *((f"S{n}_BT_in", 2) for n in (7, 8, 9))]:
        values = numbers(lines, columns).astype("int16")[::every, ::every]
        own = {name: values, name.replace("radiance", "exception").replace("BT", "exception"): values.astype("uint8")}
        netcdf4(folder / SLSTR / f"{name}.nc", own, attributes={name: fill})
    for name in ("S1_radiance_ao", "flags_an", "geometry_tn"):
        netcdf4(folder / SLSTR / f"{name}.nc", {name: np.zeros((8, 8), "int16")})
    return lat, lon


def opened(path):
    (source,) = find_scenes([path])
    assert not source.problem
    return open_scene(source, "key", tiling={})


def read(scene):
    raster = scene.raster
    with OpenFiles() as files:
        return read_window(raster, (0, 0, raster.width, raster.height), (raster.height, raster.width), files)


def nearest(scene, lat, lon):
    """Return the position of the nearest sensor pixel of each ground pixel, and how far away it is, m."""
    a, _, c, _, e, f = scene.raster.transform
    x, y = Transformer.from_crs("EPSG:4326", scene.raster.crs, always_xy=True).transform(lon, lat)
    east = c + a * (np.arange(scene.raster.width) + 0.5)
    north = f + e * (np.arange(scene.raster.height) + 0.5)
    found, far = (np.empty((len(north), len(east)), kind) for kind in ("int64", "float64"))
    for row, one in enumerate(north):
        distance = (x.ravel()[:, None] - east) ** 2 + (y.ravel()[:, None] - one) ** 2
        found[row] = distance.argmin(axis=0)
        far[row] = np.sqrt(distance.min(axis=0))
    return found, far


PLACES = {"Baltic": (60, 20, 190), "date line": (70, 179.5, 200), "North Pole": (89.9, 100, 30), "South": (-75, 0, 10)}


@pytest.mark.parametrize("where", PLACES.values(), ids=PLACES)
def test_each_ground_pixel_of_olci_shows_the_nearest_sensor_pixel(tmp_path, where):
    lat, lon = olci(tmp_path, where)
    scene = opened(tmp_path)
    assert scene.record.sensor == "sentinel3_olci"
    assert [band.wavelength_um for band in scene.record.bands] == [0.49, 0.56, 0.665, 0.865]
    assert scene.record.name == OLCI
    assert scene.record.datetime.isoformat() == "2020-01-01T10:00:00+00:00"
    assert scene.raster.transform[0] == 300
    window = read(scene)
    at, far = nearest(scene, lat, lon)
    near = far < 140
    assert window.valid[near].all()
    assert not window.valid[far > 400].any()
    for position, band in enumerate((4, 6, 8, 17)):
        want = (numbers(*lat.shape) + band).ravel()[at]
        # Between two pixels, rounding may decide for the other one.
        assert (window.values[position][near] == want[near]).mean() > 0.99
        assert np.abs(window.values[position][near].astype(int) - want[near]).max() <= 10


def test_footprints_and_the_grid_of_repeated_passes_agree(tmp_path):
    lat, lon = olci(tmp_path / "a", PLACES["Baltic"])
    olci(tmp_path / "b", (60.01, 20.02, 190))
    one, other = opened(tmp_path / "a"), opened(tmp_path / "b")
    (box,) = one.record.boxes
    assert (box.west, box.south) == pytest.approx((lon.min(), lat.min()), abs=0.05)
    assert (box.east, box.north) == pytest.approx((lon.max(), lat.max()), abs=0.05)
    assert one.record.crs == other.record.crs
    # On a common grid: a whole number of pixels apart.
    assert (other.raster.transform[2] - one.raster.transform[2]) % 300 == 0


def test_slstr_has_nadir_bands_of_two_resolutions(tmp_path):
    lat, lon = slstr(tmp_path, PLACES["Baltic"])
    scene = opened(tmp_path)
    assert scene.record.sensor == "sentinel3_slstr"
    # Without cirrus (S4).
    assert [band.name for band in scene.record.bands] == ["S1", "S2", "S3", "S5", "S6", "S7", "S8", "S9"]
    assert {band.href.rpartition(":")[2] for band in scene.record.bands} == {
        *(f"S{number}_radiance_an" for number in (1, 2, 3, 5, 6)),
        *(f"S{number}_BT_in" for number in (7, 8, 9)),
    }
    assert scene.raster.transform[0] == 500
    window = read(scene)
    at, far = nearest(scene, lat, lon)
    want = numbers(*lat.shape).ravel()[at]
    near = (far < 240) & window.valid
    assert near.sum() > 0.9 * (far < 240).sum()
    assert (window.values[0][near] == want[near]).mean() > 0.99
    # The coarse bands are near: within two of their pixels.
    assert np.abs(window.values[-1][near].astype(int) - want[near]).max() < 50


def test_coarse_pictures_of_a_swath_lie_where_the_fine_ones_do(tmp_path):
    olci(tmp_path, PLACES["Baltic"], 300, 280)
    scene = opened(tmp_path)
    width, height = (size // 8 * 8 for size in (scene.raster.width, scene.raster.height))
    with OpenFiles() as files:
        fine = read_window(scene.raster, (0, 0, width, height), (height, width), files)
        coarse = read_window(scene.raster, (0, 0, width, height), (height // 8, width // 8), files)
    blocks = np.where(fine.valid, fine.values[0], np.nan).reshape(height // 8, 8, width // 8, 8)
    whole = np.isfinite(blocks).all(axis=(1, 3))
    assert coarse.valid[whole].all()
    off = coarse.values[0].astype(float) - blocks.mean(axis=(1, 3))
    # One line is 7 and one column 3 numbers.
    assert np.abs(off[whole]).max() < 10


def test_sentinel_3_is_indexed_from_its_folder_its_manifest_and_under_another_name(tmp_path, archive, encoder):
    olci(tmp_path / "in", PLACES["Baltic"])
    (tmp_path / "in" / OLCI / "xfdumanifest.xml").write_text(
        "<x><platform><familyName>Sentinel-3</familyName><number>A</number></platform>"
        "<startTime>2020-01-01T10:00:01.5Z</startTime></x>"
    )
    summary = index([tmp_path / "in"], archive=archive, model=encoder, tiling=Tiling(tile_px=64))
    assert (summary.scenes, summary.failed) == (1, [])
    (scene,) = archive.scenes()
    assert scene.datetime.isoformat() == "2020-01-01T10:00:01.500000+00:00"
    assert scene.properties["platform"] == "sentinel-3a"
    again = index([tmp_path / "in" / OLCI / "xfdumanifest.xml"], archive=archive, model=encoder)
    assert again.scenes == 0
    (tmp_path / "in").rename(tmp_path / "moved")
    assert index([tmp_path / "moved"], archive=archive, model=encoder).scenes == 0


def test_a_changed_geolocation_is_read_anew(tmp_path):
    olci(tmp_path, PLACES["Baltic"])
    before = opened(tmp_path).record.boxes
    shutil.rmtree(tmp_path / OLCI)
    olci(tmp_path, PLACES["South"])
    assert opened(tmp_path).record.boxes != before


def test_sentinel_3_in_a_zip_is_read_like_its_folder(tmp_path):
    olci(tmp_path / "made", PLACES["Baltic"])
    with zipfile.ZipFile(tmp_path / f"{OLCI}.zip", "w") as packed:
        for file in (tmp_path / "made" / OLCI).iterdir():
            packed.write(file, f"{OLCI}/{file.name}")
    one, other = opened(tmp_path / "made"), opened(tmp_path / f"{OLCI}.zip")
    assert other.record.boxes == one.record.boxes
    assert np.array_equal(read(one).values, read(other).values)


def test_what_cannot_be_placed_is_refused_in_one_sentence(tmp_path):
    lat, lon = olci(tmp_path, PLACES["Baltic"])
    place, none = tmp_path / OLCI / "geo_coordinates.nc", ("latitude", "longitude")
    empty = np.full(lat.shape, MICRO["_FillValue"], "int32")
    for change, why in (
        (lambda: place.write_bytes(b"x"), "geo_coordinates.nc cannot be read"),
        (lambda: netcdf4(place, {"latitude": lat[:9], "longitude": lon[:9]}), "does not fit its images"),
        (lambda: netcdf4(place, {"latitude": lat * 0, "longitude": lon * 0}), "has no area"),
        (lambda: netcdf4(place, dict.fromkeys(none, empty), attributes=dict.fromkeys(none, MICRO)), "is empty"),
        (place.unlink, "geo_coordinates.nc cannot be read"),
    ):
        change()
        with pytest.raises(SceneError, match=why):
            opened(tmp_path)


def test_sentinel_3_without_images_is_refused_once_with_a_way_out(tmp_path):
    altimeter = tmp_path / "S3A_SR_2_LAN____20200101T100000_20200101T100300.SEN3"
    netcdf4(altimeter / "standard_measurement.nc", {"range": np.zeros((8, 8), "int16")})
    netcdf4(altimeter / "reduced_measurement.nc", {"range": np.zeros((8, 8), "int16")})
    (source,) = find_scenes([tmp_path])
    assert "SNAP: Raster, Geometric, Reprojection" in source.problem
