import numpy as np
import pytest
import rasterio
from affine import Affine

from bandsight.errors import SceneError
from bandsight.geo.grid import tile_windows
from indexer.acquired import acquired
from indexer.reader import read_row
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.times import parse_time
from tests.rasters import picture, write


def opened(path, sensor=None):
    return open_scene(find_scenes([path])[0], "key", sensor=sensor, tiling={})


def windows_of(scene, tile_px=32):
    return tile_windows(
        transform=scene.transform, crs=scene.record.crs, width=scene.width, height=scene.height, tile_px=tile_px
    )


@pytest.mark.parametrize(("height", "width"), [(64, 96), (70, 90), (20, 25), (33, 200)])
def test_windows_hold_the_pixels_that_one_whole_read_gives(tmp_path, height, width):
    path = write(tmp_path / "a.tif", picture(3, height, width))
    with rasterio.open(path) as dataset:
        whole = dataset.read()
    scene = opened(path)
    seen = np.zeros((height, width), bool)
    for window in windows_of(scene):
        tile = read_row(scene, [window], tile_px=32, min_valid=0)[0]
        top, left = max(window.row_off, 0), max(window.col_off, 0)
        bottom, right = min(window.row_off + 32, height), min(window.col_off + 32, width)
        inside = tile.pixels[
            :, top - window.row_off : bottom - window.row_off, left - window.col_off : right - window.col_off
        ]
        np.testing.assert_array_equal(inside, whole[:, top:bottom, left:right])
        assert tile.valid_fraction == pytest.approx((bottom - top) * (right - left) / 32**2)
        seen[top:bottom, left:right] = True
    assert seen.all()


def test_neighbours_read_together_are_what_they_are_alone(tmp_path):
    scene = opened(write(tmp_path / "a.tif", picture(3, 32, 160), origin=(320_000, 5_760_000)))
    windows = windows_of(scene)
    together = read_row(scene, windows, tile_px=32, min_valid=0)
    for window, tile in zip(windows, together, strict=True):
        np.testing.assert_array_equal(tile.pixels, read_row(scene, [window], tile_px=32, min_valid=0)[0].pixels)


def test_a_rotated_scene_is_read_on_its_own_grid(tmp_path):
    rotated = Affine.translation(400_000, 5_800_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    values = picture(3, 64, 64)
    scene = opened(write(tmp_path / "a.tif", values, transform=rotated))
    tile = read_row(scene, windows_of(scene)[:1], tile_px=32, min_valid=0)[0]
    np.testing.assert_array_equal(tile.pixels, values[:, :32, :32])
    assert tile.window.cell.startswith("scene/")


def test_one_saturated_band_with_the_nodata_value_is_still_data(tmp_path):
    values = picture(3, 32, 32)
    values[0] = 255
    scene = opened(write(tmp_path / "a.tif", values, nodata=255))
    assert read_row(scene, windows_of(scene), tile_px=32, min_valid=0)[0].valid_fraction == 1


def test_not_a_number_is_no_data(tmp_path):
    values = picture(1, 32, 32, dtype="float32") / 20 - 20
    values[:, :8] = np.nan
    scene = opened(write(tmp_path / "S1A_IW_VV.tif", values, origin=(320_000, 5_760_000)))
    tile = read_row(scene, windows_of(scene), tile_px=32, min_valid=0)[0]
    assert tile.valid_fraction == pytest.approx(0.75)


def test_calibrated_radar_is_the_same_picture_in_decibel_and_in_power(tmp_path):
    power = np.linspace(0.003, 0.9, 32 * 32, dtype=np.float32).reshape(1, 32, 32)
    read = []
    for name, values in (("power", power), ("db", 10 * np.log10(power))):
        scene = opened(write(tmp_path / name / "S1A_IW_VV.tif", values, origin=(320_000, 5_760_000)))
        read.append(read_row(scene, windows_of(scene), tile_px=32, min_valid=0)[0].pixels)
    np.testing.assert_array_equal(*read)
    assert len(np.unique(read[0])) > 100


def test_numbers_that_no_rule_of_the_sensor_is_for_are_refused(tmp_path):
    path = write(tmp_path / "S1A_IW_VV.tif", picture(1, 32, 32, dtype="float32") * 100)
    with pytest.raises(SceneError, match=r"median .* sensor sentinel1 has -60 to -1 or -59 to -1 after dB"):
        opened(path)


def test_reflectance_is_the_same_picture_as_integers_and_as_fractions(tmp_path):
    fraction = np.linspace(0, 0.4, 32 * 32).reshape(1, 32, 32)
    read = []
    for name, values in (("int", np.rint(fraction * 10_000).astype(np.uint16)), ("float", fraction.astype(np.float32))):
        folder = tmp_path / name / "S2A_MSIL2A_20200101T100000"
        for band in ("B02", "B03", "B04"):
            write(folder / f"T33UUU_{band}.tif", values, origin=(320_000, 5_760_000))
        scene = opened(folder)
        read.append(read_row(scene, windows_of(scene), tile_px=32, min_valid=0)[0].pixels)
    assert np.abs(read[0].astype(int) - read[1])[:, 1:].max() <= 1


def test_the_scale_that_a_file_states_wins_over_the_profiles(tmp_path):
    for band in ("B02", "B05", "B07"):
        path = tmp_path / "h" / f"HLS.L30.T17SLU.2020117T160901.v2.0.{band}.tif"
        write(path, picture(1, 32, 32, dtype="int16") * 10)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.0002,), (-0.1,)
    scene = opened(tmp_path / "h")
    assert [scene.low[0], scene.high[0]] == pytest.approx([500, 2000])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2B_MSIL2A_20170617T113321_36_85_B02.tif", "2017-06-17T11:33:21+00:00"),
        ("m_4709963_se_14_1_20120731.tif", "2012-07-31T00:00:00+00:00"),
        ("LT52240631988227CUB02_B1.TIF", "1988-08-14T00:00:00+00:00"),
        ("2018-10-13, Sentinel-2B L1C, B02.tiff", "2018-10-13T00:00:00+00:00"),
        ("scene_12345678901.tif", None),
    ],
)
def test_names_say_when_a_scene_was_taken(tmp_path, name, expected):
    found = acquired([tmp_path / "folder" / name], {})
    assert (found.isoformat() if found else None) == expected


def test_metadata_wins_over_names():
    assert str(parse_time("2020:05:01 10:00:00")) == "2020-05-01 10:00:00+00:00"
    found = acquired([], {"TIFFTAG_DATETIME": "2020:05:01 10:00:00", "ACQUISITIONDATETIME": "2019-01-01T00:00:00Z"})
    assert str(found) == "2019-01-01 00:00:00+00:00"
