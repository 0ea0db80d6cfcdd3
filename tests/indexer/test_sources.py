import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import from_origin

from bandsight.errors import SceneError, SensorError
from bandsight.geo.grid import tile_windows
from bandsight.raster.drivers import gdal_name, local_file, open_raster
from indexer import description
from indexer.identity import scene_key
from indexer.pipeline import index
from indexer.reader import read_tiles
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.indexer.test_product_metadata import safe
from tests.rasters import picture, variables, write
from tests.web import serve


def names(*inputs: object) -> list[str]:
    return [source.name for source in find_scenes([str(one) for one in inputs])]


def opened(source):
    return open_scene(source, "key", tiling={})


def first_tile(scene) -> np.ndarray:
    windows = tile_windows(
        transform=scene.raster.transform,
        crs=scene.record.crs,
        width=scene.raster.width,
        height=scene.raster.height,
        tile_px=32,
    )
    return read_tiles(scene, windows[:1], tile_px=32, min_valid=0)[0].pixels


def test_a_folder_a_glob_a_list_and_the_files_are_the_same_scenes(tmp_path):
    files = [write(tmp_path / "in" / f"{n}.tif", picture(3, 40, 40, seed=n)) for n in range(3)]
    (tmp_path / "scenes.txt").write_text(f"# remark\n\nin/0.tif\n{files[1]}\nin/2.tif\n")
    expected = find_scenes([tmp_path / "in"])
    assert [source.name for source in expected] == ["0.tif", "1.tif", "2.tif"]
    assert find_scenes([f"{tmp_path}/in/*.tif"]) == expected
    assert find_scenes([f"{tmp_path}/**/?.tif"]) == expected
    assert find_scenes([tmp_path / "scenes.txt"]) == expected
    assert find_scenes([*files, tmp_path / "in", files[0]]) == expected


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path):
    path = write(tmp_path / "a[1].tif", picture(3, 40, 40))
    assert find_scenes([str(path)])[0].hrefs == (str(path),)


def test_a_pattern_that_finds_nothing_is_a_failed_scene(tmp_path, archive, encoder):
    write(tmp_path / "a.tif", picture(3, 64, 64))
    summary = index([f"{tmp_path}/*.tif", f"{tmp_path}/*.jp2"], archive=archive, model=encoder)
    assert summary.scenes == 1
    assert "no files match" in summary.failed[0][1]


def test_rasters_in_a_zip_are_scenes(tmp_path):
    write(tmp_path / "a.tif", picture(3, 64, 64))
    for band in ("B02", "B03", "B04"):
        write(tmp_path / f"S2A_MSIL2A_20200101T100000_{band}.tif", picture(1, 64, 64, dtype="uint16") * 10)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(tmp_path.glob("*.tif")):
            zipped.write(path, f"inner/{path.name}")
        zipped.writestr("inner/readme.txt", "x")
    from_zip = find_scenes([tmp_path / "x.zip"])
    from_files = find_scenes(sorted(tmp_path.glob("*.tif")))
    assert len(from_zip) == len(from_files) == 2
    for one, other in zip(from_zip, from_files, strict=True):
        np.testing.assert_array_equal(first_tile(opened(one)), first_tile(opened(other)))
        assert opened(one).record.sensor == opened(other).record.sensor


def test_a_safe_product_in_a_zip_is_what_it_is_in_a_folder(tmp_path):
    root = safe(tmp_path / "folder")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "folder")
    (whole,) = find_scenes([tmp_path / "packed.zip"])
    (folder,) = find_scenes([root])
    assert whole.name == folder.name == root.stem
    one, other = opened(whole).record, opened(folder).record
    assert (one.wavelengths_um, one.stretch, one.properties, one.datetime) == (
        other.wavelengths_um,
        other.stretch,
        other.properties,
        other.datetime,
    )
    assert [source.name for source in find_scenes([root / "MTD_MSIL2A.xml"])] == [root.stem]


def test_a_broken_zip_in_a_folder_is_one_failed_scene(tmp_path, archive, encoder):
    write(tmp_path / "a.tif", picture(3, 64, 64))
    (tmp_path / "b.zip").write_bytes(b"PK no zip")
    summary = index([tmp_path], archive=archive, model=encoder)
    assert summary.scenes == 1
    assert "b.zip: not a readable zip" in summary.failed[0][1]


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path, archive, encoder):
    outside = write(tmp_path / "outside.tif", picture(3, 64, 64))
    write(tmp_path / "in" / "a.tif", picture(3, 64, 64))
    (tmp_path / "in" / "link.tif").symlink_to(outside)
    (tmp_path / "in" / "near.tif").symlink_to(tmp_path / "in" / "a.tif")
    summary = index([tmp_path / "in"], archive=archive, model=encoder)
    # A link to a file beside it is the same scene.
    assert (summary.scenes, summary.skipped_scenes) == (1, 1)
    assert [reason for _, reason in summary.failed] == [
        f"{tmp_path}/in/link.tif: a link to {outside}, outside {tmp_path}/in; pass that path itself"
    ]


def test_an_envi_header_and_a_data_file_without_a_suffix_are_one_scene(tmp_path):
    values = picture(3, 40, 40)
    profile = {"driver": "ENVI", "width": 40, "height": 40, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "cube", "w", **profile, transform=rasterio.transform.from_origin(4e5, 5.8e6, 10, 10)
    ) as dataset:
        dataset.write(values)
    assert find_scenes([tmp_path / "cube.hdr"]) == find_scenes([tmp_path]) == find_scenes([tmp_path / "cube"])
    (tmp_path / "cube").unlink()
    (source,) = find_scenes([tmp_path / "cube.hdr"])
    with pytest.raises(SceneError, match="its data file is missing"):
        scene_key(source, {})


def _netcdf(path: Path, values: np.ndarray, name: str) -> Path:
    """Write variables (y, x) on one UTM grid, as GDAL writes CF; their names end in 1, 2, …"""
    with rasterio.open(write(path.with_suffix(".tif"), values), "r+") as dataset:
        for band in range(1, len(values) + 1):
            dataset.update_tags(band, NETCDF_VARNAME=name)
    rasterio.shutil.copy(path.with_suffix(".tif"), path, driver="netCDF")
    path.with_suffix(".tif").unlink()
    return path


def test_a_container_stands_for_the_bands_in_it(tmp_path):
    values = picture(3, 64, 64, dtype="uint16") * 20
    path = _netcdf(tmp_path / "S2A_MSIL2A_20200101T100000.nc", values, "B0")
    with open_raster(path) as dataset:
        assert (dataset.count, len(dataset.subdatasets)) == (0, 3)
    scene = opened(find_scenes([path])[0])
    assert scene.record.sensor == "sentinel2_l2a"
    assert [(band.name, band.href) for band in scene.raster.bands] == [
        (name, f"netcdf:{path}:{name}") for name in ("B01", "B02", "B03")
    ]
    for band, numbers in zip(("B01", "B02", "B03"), values, strict=True):
        write(tmp_path / "tif" / f"S2A_MSIL2A_20200101T100000_{band}.tif", numbers[None])
    np.testing.assert_array_equal(first_tile(scene), first_tile(opened(find_scenes([tmp_path / "tif"])[0])))


def test_the_advice_for_variables_without_wavelengths_works_in_a_file_and_in_a_zip(tmp_path):
    path = _netcdf(tmp_path / "cube.nc", picture(2, 64, 64, dtype="uint16") * 20, "v")
    with zipfile.ZipFile(tmp_path / "cube.zip", "w") as archive:
        archive.write(path, "cube.nc")
    for container in (path, tmp_path / "cube.zip"):
        with pytest.raises(SensorError) as refused:
            opened(find_scenes([container])[0])
        advice = (
            f'"wavelengths_um": […]}} with the wavelengths of its 2 parts in this order: v1, v2 into {container.name}'
        )
        assert advice in str(refused.value)
        assert "put their files beside it" not in str(refused.value)
        container.with_name(f"{container.name}.bandsight.json").write_text('{"wavelengths_um": [0.66, 0.84]}')
        scene = opened(find_scenes([container])[0])
        assert [(band.name, band.wavelength_um) for band in scene.raster.bands] == [("v1", 0.66), ("v2", 0.84)]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_container_that_lies_nowhere_is_placed_by_the_sidecar_that_its_refusal_names(tmp_path):
    with rasterio.open(write(tmp_path / "x.tif", picture(2, 64, 64), crs=None), "r+") as dataset:
        dataset.update_tags(1, NETCDF_VARNAME="VAR:A")
        dataset.update_tags(2, NETCDF_VARNAME="VAR:B")
    rasterio.shutil.copy(tmp_path / "x.tif", tmp_path / "x.nc", driver="netCDF")
    sidecar = tmp_path / "x.nc.bandsight.json"
    sidecar.write_text('{"wavelengths_um": [0.66, 0.84]}')
    (source,) = find_scenes([tmp_path / "x.nc"])
    with pytest.raises(SceneError, match=r"write x\.nc\.bandsight\.json next to it"):
        opened(source)
    place = {"crs": "EPSG:32633", "bounds": [400000, 5000000, 400640, 5000640]}
    sidecar.write_text(json.dumps({"wavelengths_um": [0.66, 0.84], **place}))
    assert opened(source).record.gsd_m == pytest.approx(10)


def test_a_message_of_gdal_that_is_no_utf_8_leaves_nothing_on_stderr(tmp_path, capfd):
    path = tmp_path / "a.tif"
    with rasterio.open(write(path, picture(3, 64, 64)), "r+") as dataset:
        dataset.update_tags(KEY="value")
    path.write_bytes(path.read_bytes().replace(b'<Item name="KEY"', b'<It\x8cm name="K"/', 1))
    opened(find_scenes([path])[0])
    assert capfd.readouterr().err == ""


def test_numbers_that_gdal_gives_to_variables_are_no_names_of_bands(tmp_path):
    path = variables(tmp_path / "rgb.nc", ["Band1", "Band2", "Band3"])
    (source,) = find_scenes([path])
    with pytest.raises(SensorError, match=r"3 band files, and nothing says .*in this order: Band1, Band2, Band3"):
        open_scene(source, "key", tiling={})


def test_a_raster_without_bands_and_place_is_refused_once_and_taken_as_advised(tmp_path):
    path = write(tmp_path / "a.tif", picture(5, 64, 64, dtype="uint16"), crs=None)
    (source,) = find_scenes([path])
    with pytest.raises(SensorError, match=r'wavelengths_um.*is not georeferenced either: also put "crs" and "bounds"'):
        open_scene(source, "key", tiling={})
    said = {"wavelengths_um": [0.45, 0.55, 0.65, 0.75, 0.85], "crs": "EPSG:32633", "bounds": [0, 0, 640, 640]}
    (tmp_path / "a.tif.bandsight.json").write_text(json.dumps(said))
    assert len(open_scene(source, "key", tiling={}).record.bands) == 5


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_that_place_nothing_give_way_to_the_sidecar(tmp_path):
    path = write(tmp_path / "a.tif", picture(3, 64, 64), crs=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = ([GroundControlPoint(0, 0, 13.0, 52.0)], CRS.from_epsg(4326))
    (source,) = find_scenes([path])
    with pytest.raises(SceneError, match="cannot be placed on Earth; write"):
        open_scene(source, "key", tiling={})
    said = {"crs": "EPSG:32633", "bounds": [400_000, 5_800_000, 400_640, 5_800_640]}
    (tmp_path / "a.tif.bandsight.json").write_text(json.dumps(said))
    assert open_scene(source, "key", tiling={}).record.crs == "EPSG:32633"


def test_complex_whole_numbers_are_read_as_amplitudes(tmp_path):
    path = tmp_path / "s1a-iw1-slc-vv-20170111t043253.tiff"
    options = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "complex_int16", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=from_origin(4e5, 58e5, 10, 10), **options) as dataset:
        dataset.write((picture(1, 64, 64) * (1 + 1j)).astype("complex64"))
    (source,) = find_scenes([path])
    scene = open_scene(source, "key", tiling={})
    assert scene.record.sensor == "sar_amplitude"
    assert scene.number_bytes == 8


def test_files_of_other_programs_that_end_in_dat_are_no_scenes_of_a_folder(tmp_path):
    write(tmp_path / "a.tif", picture(3, 64, 64))
    (tmp_path / "mesh.dat").write_bytes(b"x")
    assert [source.name for source in find_scenes([tmp_path])] == ["a.tif"]
    assert [source.name for source in find_scenes([tmp_path / "mesh.dat"])] == ["mesh.dat"]


def test_a_part_of_a_container_is_a_scene_when_it_is_named(tmp_path):
    path = _netcdf(tmp_path / "x.nc", picture(3, 64, 64, dtype="uint16") * 20, "dem_")
    (part,) = find_scenes([f"netcdf:{path}:dem_2"])
    scene = opened(part)
    assert (scene.record.sensor, scene.record.href) == ("elevation", f"netcdf:{path}:dem_2")
    assert scene_key(part, {}) != scene_key(find_scenes([path])[0], {})
    (gone,) = find_scenes([f"netcdf:{tmp_path}/none.nc:dem_2"])
    with pytest.raises(SceneError, match="no such file"):
        opened(gone)


def test_a_raster_on_a_web_server_is_read_in_parts_and_tried_again(tmp_path):
    path = write(tmp_path / "a.tif", picture(3, 512, 512), tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with serve(tmp_path) as site:
        (source,) = find_scenes([f"{site.url}/a.tif"])
        assert source.hrefs == (f"{site.url}/a.tif",)
        site.failures = 1
        scene = opened(source)
        np.testing.assert_array_equal(first_tile(scene), first_tile(opened(find_scenes([path])[0])))
        assert site.failures == 0
        (gone,) = find_scenes([f"{site.url}/none.tif"])
        with pytest.raises(SceneError, match=r"none\.tif: not a readable raster"):
            opened(gone)


def test_object_stores_are_read_through_gdals_file_systems():
    from bandsight.raster.drivers import gdal_name, is_remote, raster_path

    assert gdal_name("s3://bucket/a/b.tif") == "/vsis3/bucket/a/b.tif"
    assert gdal_name("gs://bucket/b.tif") == "/vsigs/bucket/b.tif"
    assert gdal_name("az://bucket/b.tif") == "/vsiaz/bucket/b.tif"
    assert gdal_name("https://x/b.tif?sig=1") == "/vsicurl/https://x/b.tif?sig=1"
    assert all(is_remote(href) for href in ("s3://b/x", "gs://b/x", "az://b/x", "http://b/x"))
    assert raster_path("https://x/y/LC08_B2.tif?sig=a.b").name == "LC08_B2.tif"
    assert [source.name for source in find_scenes(["s3://bucket/a/b.tif"])] == ["b.tif"]


_SEEN = """
import sys
from indexer.identity import scene_key
from indexer.sources import find_scenes
for source in find_scenes(sys.argv[1:]):
    try:
        scene_key(source, {})
        print(source.name, "is read")
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to be someone else")
def test_what_the_user_may_not_read_is_named_and_the_rest_is_read(tmp_path):
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    for name in ("in/open.tif", "in/closed.tif", "in/locked/a.tif", "away/b.tif"):
        write(home / name, picture(3, 64, 64)).chmod(0o644)
    (home / "list.txt").write_text("in/open.tif")
    for name in ("in/closed.tif", "in/locked", "away", "list.txt"):
        (home / name).chmod(0o000)
    found = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", _SEEN]
        + [str(home / name) for name in ("in", "away/b.tif", "away", "list.txt")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    shutil.rmtree(home)
    if re.search("ModuleNotFoundError|can't open|cannot open shared object", found.stderr):
        pytest.skip("no one but root can read the code")
    closed = ("away", "away/b.tif", "in/closed.tif", "in/locked", "list.txt")
    way_out = "cannot be read (Permission denied); check the path and its permissions"
    expected = {*(f"SceneError {home / name}: {way_out}" for name in closed), "open.tif is read"}
    assert set(found.stdout.splitlines()) == expected, found.stderr


def test_a_raster_that_may_not_be_read_is_said_so(tmp_path, monkeypatch):
    from bandsight.raster.drivers import open_raster

    path = write(tmp_path / "a.tif", picture(3, 64, 64))

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SceneError, match=r"a\.tif: cannot be read \(Permission denied\)"):
        open_raster(path)


def test_a_name_that_is_no_text_is_one_failed_scene(tmp_path, archive, encoder):
    good = write(tmp_path / "scenes" / "good.tif", picture(3, 40, 40))
    shutil.copy(os.fsencode(good), os.fsencode(good.parent) + b"/b\xffd.tif")
    summary = index([good.parent], archive=archive, model=encoder)
    assert summary.scenes == 1
    ((name, reason),) = summary.failed
    assert name.endswith("b\\udcffd.tif")
    assert "not valid UTF-8" in reason


def test_a_pipe_and_a_link_to_itself_are_refused_and_not_waited_for(tmp_path, archive, encoder):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    (tmp_path / "list.txt").write_text("pipe.tif\nnul\0.tif\nloop.tif\n")
    good = write(tmp_path / "good.tif", picture(3, 40, 40))
    summary = index([tmp_path / "list.txt", good], archive=archive, model=encoder)
    assert summary.scenes == 1
    assert ["no such file" in reason or "cannot be read" in reason for _, reason in summary.failed] == [True] * 3


def test_a_list_may_name_patterns_and_begin_with_a_byte_order_mark(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.tif", picture(3, 40, 40))
    (tmp_path / "list.txt").write_text("\ufeffa.tif\n[bc].tif\nlist.txt\n")
    found = find_scenes([tmp_path / "list.txt"])
    assert [source.name for source in found] == ["a.tif", "b.tif", "c.tif", "list.txt"]


def test_a_product_is_named_by_its_mtl_file_as_text_or_as_json(tmp_path):
    stem = "LC08_L1TP_020039_20200101_20200113_01_T1"
    for band in range(1, 8):
        write(tmp_path / f"{stem}_B{band}.TIF", picture(1, 40, 40, dtype="uint16") + 5000)
    said = {"PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": stem}, "IMAGE_ATTRIBUTES": {"DATE_ACQUIRED": "2020-01-01"}}
    (tmp_path / f"{stem}_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": said}))
    (source,) = find_scenes([tmp_path / f"{stem}_MTL.json"])
    assert opened(source).record.sensor == "landsat89"


def test_a_folder_that_gets_another_band_file_is_still_one_scene(tmp_path, archive, encoder):
    folder = tmp_path / "S2A_MSIL1C_20200101T101031_N0208_R022_T33UUT_20200101T121031"
    for band in ("B02", "B03", "B04"):
        write(folder / f"T33UUT_20200101T101031_{band}.tif", picture(1, 40, 40, dtype="uint16") * 20)
    assert index([folder], archive=archive, model=encoder).scenes == 1
    write(folder / "T33UUT_20200101T101031_B01.tif", picture(1, 40, 40, dtype="uint16") * 20)
    assert index([folder], archive=archive, model=encoder).scenes == 1
    (scene,) = archive.scenes()
    assert [band.name for band in scene.bands] == ["B01", "B02", "B03", "B04"]
    assert archive.tile_count == 4


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"crs": 32633}, "crs is 32633; need text"),
        ({"datetime": 2020}, "datetime is 2020; need text"),
        ({"wavelengths_um": 0.6}, "wavelengths_um is 0.6; need a list"),
        ({"bounds": "1234"}, "bounds is '1234'; need a list"),
        ({"bounds": [float("nan")] * 4}, "need left, bottom, right, top"),
    ],
)
def test_a_sidecar_of_other_types_is_refused_by_name(tmp_path, said, says):
    path = write(tmp_path / "a.tif", picture(3, 40, 40))
    path.with_name("a.tif.bandsight.json").write_text(json.dumps(said))
    with pytest.raises(SceneError, match=says):
        opened(find_scenes([path])[0])


def test_where_no_scene_is_found_it_is_said_so(tmp_path, archive, encoder):
    (tmp_path / "empty").mkdir()
    assert "no scenes found" in index([tmp_path / "empty"], archive=archive, model=encoder).text()


def test_a_match_tells_of_all_scenes_whatever_is_wrong_with_one(tmp_path, monkeypatch):
    write(tmp_path / "a.tif", picture(3, 40, 40))
    write(tmp_path / "b.tif", picture(3, 40, 40))

    def broken(source, *args, **options):
        if source.name == "a.tif":
            raise RuntimeError("out of the blue")
        return open_scene(source, *args, **options)

    monkeypatch.setattr(description, "open_scene", broken)
    (first, ok), (_, also) = description.describe_scenes([tmp_path])
    assert (first, ok, also) == ("a.tif: RuntimeError: out of the blue", False, True)


def test_rasters_of_a_container_that_only_another_driver_reads_are_refused_with_a_way_out():
    from indexer import subdatasets

    with pytest.raises(SceneError, match=r"S102 driver.*rio convert 'S102:/x/a\.h5:Group_001' out\.tif"):
        subdatasets._bands("/x/a.h5", ["S102:/x/a.h5:Group_001"], [])
    with pytest.raises(SceneError, match=r"water levels .* not imagery; leave it out"):
        subdatasets._bands("/x/a.h5", ["S104:/x/a.h5:Group_001"], [])


def test_a_variable_with_a_colon_in_its_name_has_a_name_for_gdal():
    assert gdal_name("netcdf:/x/a.nc:VAR:NAME") == 'netcdf:"/x/a.nc":"VAR:NAME"'
    assert gdal_name("netcdf:/x/a.nc:red") == "netcdf:/x/a.nc:red"
    assert str(local_file("netcdf:/vsizip/{/x/s.zip}/a.nc:red")) == "/x/s.zip"
