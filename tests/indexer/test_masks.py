"""What holds no data: alpha wherever it stands, black borders, values of profiles; and what only looks like it."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from bandsight.errors import SensorError
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_window
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

RGB = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]


def opened(path, sensor=None):
    (source,) = find_scenes([path])
    return open_scene(source, "key", sensor=sensor, tiling={})


def valid(path):
    """Return where a file holds data, as the model is to see the scene."""
    raster = opened(path).raster
    with OpenFiles() as files:
        return read_window(raster, (0, 0, raster.width, raster.height), (raster.height, raster.width), files).valid


def valid_pixels(scene, scale=1):
    """Return how many pixels hold data, as the model is to see the scene."""
    raster = scene.raster
    shape = (raster.height // scale, raster.width // scale)
    with OpenFiles() as files:
        window = read_window(raster, (0, 0, raster.width, raster.height), shape, files)
    return int(window.valid.sum())


def colours(path, interp):
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = interp
    return path


def test_a_border_that_is_connected_to_the_edge_holds_no_data_and_black_ground_inside_does(tmp_path):
    values = picture(3, 128, 128)
    values[:, :40] = 0
    values[:, :, :20] = 0
    values[:, 70:90, 70:90] = 0
    scene = opened(write(tmp_path / "a.tif", values))
    assert scene.raster.collar is not None
    assert valid_pixels(scene) == 88 * 108
    assert scene.record.decisions["collar"]


def test_a_dark_pixel_at_the_edge_is_no_border(tmp_path):
    values = picture(3, 128, 128)
    values[:, 0, 0] = 0
    scene = opened(write(tmp_path / "a.tif", values))
    assert scene.raster.collar is None
    assert valid_pixels(scene) == 128 * 128


def test_noise_of_lossy_compression_in_black_belongs_to_the_border(tmp_path):
    values = np.clip(picture(3, 128, 128).astype(int) + 40, 0, 255).astype("uint8")
    values[:, :48] = np.random.default_rng(1).integers(0, 3, (3, 48, 128))
    path = write(tmp_path / "a.tif", values, compress="JPEG", jpeg_quality=95, photometric="RGB")
    assert opened(path).raster.collar is not None
    assert valid_pixels(opened(path)) == pytest.approx(80 * 128, rel=0.02)


def test_zeros_among_the_speckle_of_radar_are_data_and_its_border_is_not(tmp_path):
    values = picture(1, 128, 128, dtype="uint16")
    values[0, ::7, ::5] = 0
    values[0, :32] = 0
    scene = opened(write(tmp_path / "umbra_1.tif", values))
    assert valid_pixels(scene) == pytest.approx(96 * 128, rel=0.01)


def test_heights_of_zero_are_data(tmp_path):
    values = picture(1, 64, 64, dtype="int16")
    values[0, :32] = 0
    assert valid_pixels(opened(write(tmp_path / "srtm_dem.tif", values))) == 64 * 64


def test_a_band_that_is_read_is_never_the_mask(tmp_path):
    values = picture(4, 64, 64)
    values[3, :48] = 0
    path = colours(write(tmp_path / "m_4709963_se_14_1_20120731.tif", values), [*RGB, ColorInterp.alpha])
    scene = opened(path)
    assert (scene.record.sensor, len(scene.record.bands)) == ("rgbn", 4)
    assert valid_pixels(scene) == 64 * 64


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("where", [0, 2, 4])
def test_alpha_is_the_mask_wherever_it_stands(tmp_path, dtype, where):
    values = picture(4, 64, 64, dtype=dtype)
    alpha = np.zeros((1, 64, 64), dtype)
    alpha[0, :, :32] = np.iinfo(dtype).max
    stack = np.insert(values, where, alpha, axis=0)
    interp = [*RGB, ColorInterp.nir]
    interp.insert(where, ColorInterp.alpha)
    scene = opened(colours(write(tmp_path / "a.tif", stack, photometric="MINISBLACK"), interp))
    assert [band.name for band in scene.record.bands] == ["red", "green", "blue", "nir"]
    assert valid_pixels(scene) == 64 * 32


def test_coarse_pixels_that_are_half_empty_do_not_count_as_valid(tmp_path):
    values = picture(4, 128, 128, dtype="uint16") * 20
    values[:, :, :37] = 0
    for name, options in (("20200101_PSScene_AnalyticMS.tif", {}), ("x_PSScene_AnalyticMS.tif", {"nodata": 0})):
        scene = opened(write(tmp_path / name, values, origin=(320_000, 5_760_000), **options))
        # Of four pixels that make one, at least two must hold data: column 9 of the coarse ones has three of four.
        assert valid_pixels(scene, scale=4) == 32 * (32 - 9)


def test_a_band_that_is_described_as_alpha_is_the_mask(tmp_path):
    half = np.full((1, 64, 64), 65535, np.uint16)
    half[:, :, :32] = 0
    path = write(tmp_path / "x.tif", np.concatenate([picture(4, 64, 64, dtype="uint16") * 20, half]))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("red", "green", "blue", "nir", "Alpha")
    assert valid(path)[:, 32:].all()
    assert not valid(path)[:, :32].any()


def test_soft_edges_are_opacity_and_what_has_other_numbers_is_not_guessed(tmp_path):
    soft = np.full((1, 64, 64), 255, np.uint8)
    soft[:, :, :2], soft[:, :, 2:4] = 0, 128
    path = write(tmp_path / "x.tif", np.concatenate([picture(3, 64, 64), soft]), photometric="RGB", alpha="YES")
    assert not valid(path)[:, :2].any()
    bright = np.maximum(picture(4, 64, 64), np.array([1, 1, 1, 255]).reshape(4, 1, 1)).astype(np.uint8)
    bright[3, :8] = 200
    for name, numbers in (("y.tif", picture(4, 64, 64)), ("z.tif", bright)):
        infrared = write(tmp_path / name, numbers, photometric="RGB", alpha="YES")
        with pytest.raises(SensorError, match=r"4 bands of uint8.*--sensor \(.*rgbn"):
            valid(infrared)


def test_zeros_among_the_speckle_do_not_stretch_the_picture(tmp_path):
    numbers = np.random.default_rng(0).rayleigh(60, (1, 128, 128)).astype(np.uint16) + 1
    plain = opened(write(tmp_path / "a" / "s1a-iw-grd-vv-20210101t043253.tiff", numbers)).raster.scaling
    numbers[:, ::5, ::3] = 0
    found = opened(write(tmp_path / "b" / "s1a-iw-grd-vv-20210101t043253.tiff", numbers)).raster.scaling
    assert found.low == pytest.approx(plain.low, abs=1)
    assert found.high == pytest.approx(plain.high, abs=1)
