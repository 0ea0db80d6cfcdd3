"""Products that are read in their own way, and refusals with advice that works."""

import json
import tarfile
import zipfile

import pytest
from rasterio.rio.main import main_group

from bandsight.errors import BandsightError
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, variables, write


def opened(path):
    (source,) = find_scenes([path])
    return open_scene(source, "key", tiling={})


def refusal(path):
    with pytest.raises(BandsightError) as refused:
        opened(path)
    return str(refused.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "names", "sensor", "bands"),
    [
        ("cube.nc", ["red", "green", "blue", "nir"], "bgrn", ["red", "green", "blue", "nir"]),
        ("cube.nc", ["red", "green", "blue", "quality_flags"], "rgb", ["red", "green", "blue"]),
        ("S2A_MSIL2A_20200101T100000.nc", ["B02", "B03", "B04", "SCL"], "sentinel2_l2a", ["B02", "B03", "B04"]),
    ],
)
def test_variables_of_a_netcdf_file_are_the_bands_of_one_scene(tmp_path, packed, name, names, sensor, bands):
    path = variables(tmp_path / name, names)
    if packed:
        with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
            archive.write(path, name)
        path = tmp_path / "scene.zip"
    scene = opened(path)
    assert scene.record.sensor == sensor
    assert sorted(band.href.rsplit(":", 1)[-1] for band in scene.raster.bands) == sorted(
        variable for variable in names if variable not in {"quality_flags", "SCL"}
    )
    assert sorted(band.name for band in scene.raster.bands) == sorted(bands)


def test_a_landsat_product_in_a_tar_is_read_with_its_metadata(tmp_path):
    product = "LC08_L2SP_016040_20220101_20220122_02_T1"
    for band in range(1, 8):
        values = picture(1, 64, 64, seed=band, dtype="uint16") * 40 + 7000
        write(tmp_path / "files" / f"{product}_SR_B{band}.TIF", values)
    contents = {"PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": product}}
    image = {"DATE_ACQUIRED": "2022-01-01", "SCENE_CENTER_TIME": "16:01:02.5Z", "SUN_ELEVATION": "40.0"}
    metadata = {"LANDSAT_METADATA_FILE": {**contents, "IMAGE_ATTRIBUTES": image}}
    (tmp_path / "files" / f"{product}_MTL.json").write_text(json.dumps(metadata))
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / f"{product}.tar", "w") as packed:
        for file in sorted((tmp_path / "files").iterdir()):
            packed.add(file, f"./{file.name}")
    for named in (tmp_path / "in", tmp_path / "in" / f"{product}.tar"):
        scene = opened(named)
        plain = opened(tmp_path / "files")
        assert (scene.record.sensor, scene.record.datetime) == ("landsat89_sr", plain.record.datetime)
        assert [band.name for band in scene.raster.bands] == [band.name for band in plain.raster.bands]
        assert scene.raster.scaling == plain.raster.scaling
    (tmp_path / "in" / "broken.tar").write_bytes(b"nothing")
    assert any("not a readable tar" in source.problem for source in find_scenes([tmp_path / "in"]))


def test_a_vrt_stands_for_the_files_that_it_names(tmp_path):
    for band in ("B02", "B03", "B04"):
        write(tmp_path / "in" / f"S2A_MSIL2A_20200101T100000_{band}.tif", picture(1, 64, 64, dtype="uint16") * 20)
    names = [f"S2A_MSIL2A_20200101T100000_{band}.tif" for band in ("B04", "B03", "B02")]
    vrt = tmp_path / "in" / "stack.vrt"
    text = "".join(f'<SourceFilename relativeToVRT="1">{name}</SourceFilename>' for name in names)
    vrt.write_text(f'<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand>{text}</VRTRasterBand></VRTDataset>')
    assert find_scenes([vrt]) == find_scenes([tmp_path / "in"])
    write(tmp_path / "other.tif", picture(3, 64, 64))
    for outside in ("../other.tif", str(tmp_path / "other.tif"), "/vsicurl/http://example.org/a.tif"):
        vrt.write_text(vrt.read_text().replace(names[0], outside).replace('relativeToVRT="1"', ""))
        (source,) = find_scenes([vrt])
        assert "outside its own folder; pass that file itself" in source.problem
        names[0] = outside
    for broken in ("", "<VRTDataset/>", "<!DOCTYPE a><VRTDataset/>", "no xml"):
        vrt.write_text(broken)
        (source,) = find_scenes([vrt])
        assert "pass the" in source.problem


def test_what_needs_another_program_first_is_refused_once_with_a_way_out(tmp_path):
    (tmp_path / "b.tar.gz").write_bytes(b"x")
    (tmp_path / "HS_H09_20230101_0000_B03_FLDK_R05_S0110.DAT").write_bytes(b"x")
    swath = tmp_path / "S3A_SR_2_LAN____20200101T100000.SEN3"
    swath.mkdir()
    for name in ("reduced_measurement.nc", "standard_measurement.nc"):
        (swath / name).write_bytes(b"x")
    problems = sorted(source.problem for source in find_scenes([tmp_path]))
    assert [problem.partition(": ")[2][:24] for problem in problems] == [
        "Himawari Standard Data, ",
        "has none of the images o",
        "a compressed tar would b",
    ]
    assert find_scenes([tmp_path / "b.tar.gz"])[0].problem in problems


def test_a_full_disk_is_refused_and_a_part_cut_out_as_advised_is_taken(tmp_path):
    crs = "+proj=geos +h=35786023 +lon_0=-75 +sweep=x +ellps=GRS80"
    path = write(tmp_path / "goes.tif", picture(3, 128, 128), crs=crs, origin=(-5_434_894, 5_434_894), gsd=84_920)
    assert "rio warp FILE out.tif --dst-crs EPSG:4326 --bounds WEST SOUTH EAST NORTH --res DEGREES" in refusal(path)
    out = tmp_path / "out.tif"
    advised = ["warp", str(path), str(out), "--dst-crs", "EPSG:4326"]
    advised += ["--bounds", "-100", "0", "-60", "30", "--res", "0.5"]
    main_group.main(advised, standalone_mode=False)
    assert opened(out).record.boxes[0].west == pytest.approx(-100)


def test_aster_bands_of_a_file_tagged_as_colours_are_those_of_the_product(tmp_path):
    name = "AST_L1T_00305032000040446_20150409135350_78838.VNIR.tif"
    bands = opened(write(tmp_path / name, picture(3, 64, 64))).raster.bands
    assert [band.wavelength_um for band in bands] == [0.56, 0.66, 0.81]


def test_a_part_of_a_full_disk_that_lies_on_the_earth_is_taken_as_it_is(tmp_path):
    crs = "+proj=geos +h=35786023 +lon_0=-75 +sweep=x +ellps=GRS80"
    path = write(tmp_path / "cut.tif", picture(3, 64, 64), crs=crs, origin=(-500_000, 2_500_000), gsd=10_000)
    assert opened(path).record.sensor == "rgb"
