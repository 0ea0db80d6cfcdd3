"""Pictures that are stored as numbers of colours, and what is read of them."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from bandsight.attributes.filters import Filter
from bandsight.errors import SensorError
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_window
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

COLOURS = {0: (10, 20, 30, 255), 1: (200, 100, 50, 255), 2: (0, 255, 0, 255), 3: (5, 5, 250, 255)}
NUMBERS = picture(1, 64, 64) % 4
EXPANDED = np.array([COLOURS[number][:3] for number in range(4)], np.uint8)[NUMBERS[0]].transpose(2, 0, 1)


def with_palette(path, numbers=NUMBERS, colours=COLOURS, **options):
    write(path, numbers, **options)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
    return path


def opened(path, **options):
    (source,) = find_scenes([path])
    return open_scene(source, "key", tiling={}, **options)


def pixels(scene, shape=(64, 64)):
    with OpenFiles() as files:
        return read_window(scene.raster, (0, 0, 64, 64), shape, files)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_palette_is_read_as_its_colours(tmp_path, dtype):
    scene = opened(with_palette(tmp_path / "map.tif", NUMBERS.astype(dtype)))
    assert (scene.record.sensor, [band.index for band in scene.record.bands]) == ("rgb", [1, 2, 3])
    found = pixels(scene)
    assert np.array_equal(found.values, EXPANDED)
    assert found.valid.all()


def test_coarse_pixels_mix_colours_and_not_their_numbers(tmp_path):
    numbers = np.full((1, 64, 64), 3, np.uint8)
    numbers[:, :, ::2] = 1
    found = pixels(opened(with_palette(tmp_path / "map.tif", numbers)), (16, 16))
    mixed = (np.array(COLOURS[1][:3]) + np.array(COLOURS[3][:3])) / 2
    assert np.allclose(found.values.transpose(1, 2, 0), mixed, atol=1)


def test_the_number_without_data_and_transparent_colours_hold_no_data(tmp_path):
    stated = pixels(opened(with_palette(tmp_path / "stated.tif", nodata=0)))
    assert np.array_equal(stated.valid, NUMBERS[0] != 0)
    image = Image.fromarray(NUMBERS[0], "P")
    image.putpalette([part for number in range(4) for part in COLOURS[number][:3]] + [0] * 756)
    image.save(tmp_path / "a.png", transparency=bytes([255, 0, 0, 255]))
    said = {"crs": "EPSG:32633", "bounds": [400_000, 5_799_360, 400_640, 5_800_000]}
    (tmp_path / "a.png.bandsight.json").write_text(json.dumps(said))
    assert np.array_equal(pixels(opened(tmp_path / "a.png")).valid, np.isin(NUMBERS[0], (0, 3)))


def test_a_palette_is_indexed_as_its_expansion_is(tmp_path, archive, encoder):
    with_palette(tmp_path / "map.tif")
    write(tmp_path / "expanded.tif", np.ascontiguousarray(EXPANDED))
    assert index([tmp_path], archive=archive, model=encoder).scenes == 2
    one, other = np.split(archive.vectors(sorted(archive.tile_ids(Filter()).tolist())), 2)
    assert np.allclose(one, other)


def test_palettes_of_any_orientation_are_read_north_up(tmp_path):
    south_up = with_palette(
        tmp_path / "south.tif", NUMBERS[:, ::-1].copy(), transform=Affine(10, 0, 400_000, 0, 10, 5_799_360)
    )
    assert np.array_equal(pixels(opened(south_up)).values, EXPANDED)
    askew = Affine.translation(400_000, 5_800_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    turned = opened(with_palette(tmp_path / "turned.tif", transform=askew)).raster
    expanded = opened(write(tmp_path / "expanded.tif", np.ascontiguousarray(EXPANDED), transform=askew)).raster
    extent, shape = (0, 0, turned.width, turned.height), (turned.height, turned.width)
    with OpenFiles() as files, OpenFiles() as others:
        one, other = read_window(turned, extent, shape, files), read_window(expanded, extent, shape, others)
    assert np.array_equal(one.valid, other.valid)
    assert np.array_equal(one.values[:, one.valid], other.values[:, other.valid])


def test_the_fourth_band_of_a_png_is_opacity_whatever_its_numbers(tmp_path):
    mixed = np.concatenate([EXPANDED, picture(1, 64, 64)]).transpose(1, 2, 0)
    Image.fromarray(mixed, "RGBA").save(tmp_path / "a.png")
    said = {"crs": "EPSG:32633", "bounds": [400_000, 5_799_360, 400_640, 5_800_000]}
    (tmp_path / "a.png.bandsight.json").write_text(json.dumps(said))
    assert opened(tmp_path / "a.png").record.sensor == "rgb"


def test_the_name_of_a_product_outranks_a_palette(tmp_path):
    assert opened(with_palette(tmp_path / "srtm_dem.tif")).record.sensor == "elevation"
    with pytest.raises(SensorError, match="without image bands; leave it out"):
        opened(with_palette(tmp_path / "T33UUU_20200101T101010_SCL_20m.tif"))
