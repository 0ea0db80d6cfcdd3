import socket

import numpy as np
import pytest
import rasterio
import rasterio.control
import rasterio.rpc

from bandsight.errors import SceneError
from bandsight.geo.grid import tile_windows
from bandsight.raster.byte_scaling import ByteScaling, to_bytes
from indexer.acquisition_time import acquired
from indexer.datetimes import parse_time
from indexer.reader import read_tiles
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.tiling import Tiling
from tests.rasters import picture, write


def opened(path, sensor=None):
    return open_scene(find_scenes([path])[0], "key", sensor=sensor, tiling={})


def windows_of(scene, tile_px=32):
    return tile_windows(
        transform=scene.raster.transform,
        crs=scene.record.crs,
        width=scene.raster.width,
        height=scene.raster.height,
        tile_px=tile_px,
    )


@pytest.mark.parametrize(("height", "width"), [(64, 96), (70, 90), (20, 25), (33, 200)])
def test_windows_hold_the_pixels_that_one_whole_read_gives(tmp_path, height, width):
    path = write(tmp_path / "a.tif", picture(3, height, width))
    with rasterio.open(path) as dataset:
        whole = dataset.read()
    scene = opened(path)
    seen = np.zeros((height, width), bool)
    for window in windows_of(scene):
        tile = read_tiles(scene, [window], tile_px=32, min_valid=0)[0]
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
    together = read_tiles(scene, windows, tile_px=32, min_valid=0)
    for window, tile in zip(windows, together, strict=True):
        np.testing.assert_array_equal(tile.pixels, read_tiles(scene, [window], tile_px=32, min_valid=0)[0].pixels)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_blocks_of_tiles_read_together_are_what_each_is_alone(tmp_path, scale, overlap):
    """Also those that were moved to the edge, and between the pixels of their neighbours at a coarse scale."""
    values = picture(3, 335, 401)
    values[:, 50:90, 60:140] = 0
    scene = opened(write(tmp_path / "a.tif", values, nodata=0, origin=(400_030.0, 5_800_070.0)))
    layout = Tiling(tile_px=32, scales=(scale,), overlap=overlap).plan(scene)
    seen = []
    for read in layout.reads():
        windows = [layout.window(number) for number in read.numbers]
        for window, tile in zip(windows, read_tiles(scene, windows, tile_px=32, min_valid=0), strict=True):
            (alone,) = read_tiles(scene, [window], tile_px=32, min_valid=0)
            np.testing.assert_array_equal(tile.pixels, alone.pixels)
            assert (tile.window, tile.valid_fraction) == (window, alone.valid_fraction)
        seen += read.numbers
    assert sorted(seen) == list(range(len(layout)))
    assert layout.read_count == len(list(layout.reads()))


@pytest.mark.parametrize("tile_px", [32, 96])
def test_readers_share_no_more_than_a_row_of_blocks_with_each_other(tmp_path, tile_px):
    path = write(
        tmp_path / "a.tif",
        picture(3, 640, 640),
        origin=(400_030.0, 5_800_070.0),
        tiled=True,
        blockxsize=64,
        blockysize=64,
    )
    scene = opened(path)
    layout = Tiling(tile_px=tile_px).plan(scene)
    blocks = {}
    for read in layout.reads():
        windows = [layout.window(number) for number in read.numbers]
        top, bottom = (max(0, windows[0].row_off), min(640, windows[-1].row_off + tile_px))
        left, right = (max(0, windows[0].col_off), min(640, windows[-1].col_off + tile_px))
        assert bottom - top <= read.lane_px
        rows, cols = range(top // 64, (bottom - 1) // 64 + 1), range(left // 64, (right - 1) // 64 + 1)
        blocks.setdefault(read.lane, set()).update((row, col) for row in rows for col in cols)
    assert len(blocks) % 2 == 0
    assert sum(map(len, blocks.values())) <= 100 + 10 * (len(blocks) - 1)


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("to_db", [None, "amplitude"])
def test_whole_numbers_become_by_table_what_they_become_by_arithmetic(kind, to_db):
    limits = np.iinfo(kind)
    values = np.random.default_rng(1).integers(limits.min, limits.max, (3, 40, 50), kind, endpoint=True)
    for low, high in (((0.0,) * 3, (255.0,) * 3), ((-20.0, 3.5, 100.0), (40.0, 60.2, 3000.0))):
        scaling = ByteScaling(to_db=to_db, low=low, high=high)
        np.testing.assert_array_equal(to_bytes(scaling, values), to_bytes(scaling, values.astype(np.float32)))


def test_one_saturated_band_with_the_nodata_value_is_still_data(tmp_path):
    values = picture(3, 32, 32)
    values[0] = 255
    scene = opened(write(tmp_path / "a.tif", values, nodata=255))
    assert read_tiles(scene, windows_of(scene), tile_px=32, min_valid=0)[0].valid_fraction == 1


def test_not_a_number_is_no_data(tmp_path):
    values = picture(1, 32, 32, dtype="float32") / 20 - 20
    values[:, :8] = np.nan
    scene = opened(write(tmp_path / "S1A_IW_VV.tif", values, origin=(320_000, 5_760_000)))
    tile = read_tiles(scene, windows_of(scene), tile_px=32, min_valid=0)[0]
    assert tile.valid_fraction == pytest.approx(0.75)


@pytest.mark.parametrize("written", [-9999, -32768, float(np.finfo(np.float32).min)])
def test_heights_that_no_place_has_are_no_data_though_the_header_does_not_say_so(tmp_path, written):
    values = picture(1, 32, 32, dtype="float32")
    seen = values.copy()
    values[0, :8] = written
    scene = opened(write(tmp_path / "a_dem.tif", values, origin=(320_000, 5_760_000)))
    assert (scene.raster.scaling.low[0], scene.raster.scaling.high[0]) == pytest.approx(
        tuple(np.percentile(seen[0, 8:], (1, 99)))
    )
    tile = read_tiles(scene, windows_of(scene), tile_px=32, min_valid=0)[0]
    assert tile.valid_fraction == pytest.approx(0.75)


def test_numbers_beyond_float32_are_no_data(tmp_path):
    values = picture(1, 32, 32, dtype="float64")
    values[0, :8] = 1e300
    scene = opened(write(tmp_path / "a_dem.tif", values, origin=(320_000, 5_760_000)))
    assert scene.raster.scaling.high[0] < 256


def test_metres_under_a_crs_of_degrees_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", picture(3, 40, 40), crs="EPSG:4326", origin=(400_000, 5_800_000), gsd=10)
    with pytest.raises(SceneError, match=r"a\.tif: its CRS is in degrees, but it extends to 400400 .* real CRS"):
        opened(path)


@pytest.mark.parametrize("origin", [(-180, 91.25), (0, 90), (-1.25, 91.25)])
def test_global_grids_of_every_custom_are_taken(tmp_path, origin):
    rows = 73 if origin[1] > 90 else 72
    scene = opened(write(tmp_path / "a.tif", picture(3, rows, 144), crs="EPSG:4326", origin=origin, gsd=2.5))
    assert (scene.record.boxes[0].west, scene.record.boxes[-1].east) == (-180, 180)


def test_calibrated_radar_is_the_same_picture_in_decibel_and_in_power(tmp_path):
    power = np.linspace(0.003, 0.9, 32 * 32, dtype=np.float32).reshape(1, 32, 32)
    read = []
    for name, values in (("power", power), ("db", 10 * np.log10(power))):
        scene = opened(write(tmp_path / name / "S1A_IW_VV.tif", values, origin=(320_000, 5_760_000)))
        read.append(read_tiles(scene, windows_of(scene), tile_px=32, min_valid=0)[0].pixels)
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
        read.append(read_tiles(scene, windows_of(scene), tile_px=32, min_valid=0)[0].pixels)
    assert np.abs(read[0].astype(int) - read[1])[:, 1:].max() <= 1


def test_the_scale_that_a_file_states_wins_over_the_profiles(tmp_path):
    for band in ("B02", "B05", "B07"):
        path = tmp_path / "h" / f"HLS.L30.T17SLU.2020117T160901.v2.0.{band}.tif"
        write(path, picture(1, 32, 32, dtype="int16") * 10)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.0002,), (-0.1,)
    scene = opened(tmp_path / "h")
    assert [scene.raster.scaling.low[0], scene.raster.scaling.high[0]] == pytest.approx([500, 2000])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2B_MSIL2A_20170617T113321_36_85_B02.tif", "2017-06-17T11:33:21+00:00"),
        ("m_4709963_se_14_1_20120731.tif", "2012-07-31T00:00:00+00:00"),
        ("LT52240631988227CUB02_B1.TIF", "1988-08-14T00:00:00+00:00"),
        ("2018-10-13, Sentinel-2B L1C, B02.tiff", "2018-10-13T00:00:00+00:00"),
        ("IMG_PHR1A_PMS_202105210912345_ORT_R1C1.TIF", "2021-05-21T09:12:34+00:00"),
        ("OR_ABI-L2-CMIPF-M6C01_G16_s20211231800208_e20211231809516.nc", "2021-05-03T18:00:20+00:00"),
        ("scene_12345678901.tif", None),
    ],
)
def test_names_say_when_a_scene_was_taken(tmp_path, name, expected):
    found, _ = acquired([tmp_path / "folder" / name], {})
    assert (found.isoformat() if found else None) == expected


def test_metadata_wins_over_names():
    assert str(parse_time("2020:05:01 10:00:00")) == "2020-05-01 10:00:00+00:00"
    found, _ = acquired([], {"TIFFTAG_DATETIME": "2020:05:01 10:00:00", "ACQUISITIONDATETIME": "2019-01-01T00:00:00Z"})
    assert str(found) == "2019-01-01 00:00:00+00:00"


def test_a_coarse_tile_is_read_from_overviews(tmp_path):
    path = write(
        tmp_path / "a.tif", picture(3, 128, 128), origin=(320_000, 5_760_000), tiled=True, blockxsize=16, blockysize=16
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)
    with rasterio.open(path, OVERVIEW_LEVEL=1) as overview:
        expected = overview.read()
    # What is below the overviews is gone: whoever reads it would see nothing but 7.
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.full((3, 128, 128), 7, np.uint8))
    scene = opened(path)
    (window,) = tile_windows(
        transform=scene.raster.transform, crs=scene.record.crs, width=128, height=128, tile_px=32, scale=4
    )
    np.testing.assert_array_equal(read_tiles(scene, [window], tile_px=32, min_valid=0)[0].pixels, expected)


def _ground(points: list[rasterio.control.GroundControlPoint]) -> tuple[float, float, float, float]:
    return min(p.x for p in points), min(p.y for p in points), max(p.x for p in points), max(p.y for p in points)


# Near the pole the picture lies askew in its projection, so its box is wider than the points.
@pytest.mark.parametrize(
    ("lon", "lat", "crs", "near"),
    [(13, 52, "EPSG:32633", 0.02), (-70.0, -33.0, "EPSG:32719", 0.02), (20, 85, "EPSG:3995", 0.1)],
)
def test_a_scene_with_ground_control_points_only_is_warped_into_place(tmp_path, lon, lat, crs, near):
    step = 0.0002
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=lon + step * (c + 0.3 * r), y=lat - step * (r - 0.2 * c))
        for r in (0, 60, 120)
        for c in (0, 80, 160)
    ]
    values = picture(1, 120, 160, dtype="uint16") + 500
    path = tmp_path / "s1a-iw-grd-vv-20210101t043253-001.tiff"
    with rasterio.open(
        path, "w", driver="GTiff", width=160, height=120, count=1, dtype="uint16", gcps=points, crs="EPSG:4326"
    ) as dataset:
        dataset.write(values)
        dataset.update_tags(TIFFTAG_DATETIME="2021:01:01 04:32:53")
    scene = opened(path)
    assert (scene.record.sensor, scene.record.crs) == ("sar_amplitude", crs)
    assert str(scene.record.datetime) == "2021-01-01 04:32:53+00:00"
    west, south, east, north = _ground(points)
    box = scene.record.boxes[0]
    assert (box.west, box.south, box.east, box.north) == pytest.approx((west, south, east, north), abs=near)
    tiles = read_tiles(scene, windows_of(scene)[:3], tile_px=32, min_valid=0)
    whole = [read_tiles(scene, [window], tile_px=32, min_valid=0)[0].valid_fraction for window in windows_of(scene)]
    assert 0.2 < float(np.mean(whole)) < 0.95
    # Outside of the warped picture is no data, and is filled from inside.
    assert all(tile.pixels.min() > 0 or tile.valid_fraction == 1 for tile in tiles if tile.pixels.size)


def test_control_points_on_both_sides_of_the_antimeridian_are_warped_to_its_zone(tmp_path):
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=(179.99 + c / 1e3 + 180) % 360 - 180, y=52 - r / 1e3)
        for r in (0, 20)
        for c in (0, 20)
    ]
    path = tmp_path / "a_dem.tif"
    profile = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, gcps=points, crs="EPSG:4326") as dataset:
        dataset.write(picture(1, 20, 20))
    scene = opened(path)
    assert scene.record.crs in {"EPSG:32601", "EPSG:32660"}
    west, east = scene.record.boxes
    assert (west.east, east.west) == pytest.approx((-179.99, 179.99), abs=2e-3)


def test_control_points_that_place_nothing_are_refused_with_a_sidecar_as_the_way_out(tmp_path):
    points = [rasterio.control.GroundControlPoint(row=0, col=c, x=13 + c, y=52) for c in (0, 4, 9)]
    path = tmp_path / "a_dem.tif"
    profile = {"driver": "GTiff", "width": 9, "height": 9, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, gcps=points, crs="EPSG:4326") as dataset:
        dataset.write(picture(1, 9, 9))
    with pytest.raises(SceneError, match=r"a_dem.tif: no georeference, .* write a_dem.tif.bandsight.json next to it"):
        opened(path)


@pytest.mark.parametrize("height_m", [0, 2000])
def test_a_scene_with_rpcs_only_is_warped_into_place_at_its_own_height(tmp_path, height_m):
    zeros = [0.0] * 20
    rpcs = rasterio.rpc.RPC(
        height_off=height_m, height_scale=500, lat_off=52, lat_scale=0.01, long_off=13, long_scale=0.02, line_off=60,
        line_scale=60, samp_off=80, samp_scale=80, line_num_coeff=[0.0, 0.0, -1.0, *zeros[:17]],
        line_den_coeff=[1.0, *zeros[:19]], samp_num_coeff=[0.0, 1.0, 0.0, 0.5, *zeros[:16]],
        samp_den_coeff=[1.0, *zeros[:19]], err_bias=0, err_rand=0,
    )  # fmt: skip
    path = tmp_path / "a_dem.tif"
    profile = {"driver": "GTiff", "width": 160, "height": 120, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", **profile, rpcs=rpcs) as dataset:
        dataset.write(picture(1, 120, 160, dtype="uint16"))
    scene = opened(path)
    (box,) = scene.record.boxes
    assert (box.west, box.south, box.east, box.north) == pytest.approx((12.98, 51.99, 13.02, 52.01), abs=2e-3)
    assert scene.record.crs == "EPSG:32633"


def test_bounds_for_a_scene_with_control_points_of_its_own_are_refused(tmp_path):
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=13 + c / 1e3, y=52 - r / 1e3)
        for r in (0, 9)
        for c in (0, 9)
    ]
    path = tmp_path / "a_dem.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8", gcps=points, crs="EPSG:4326"
    ) as d:
        d.write(picture(1, 9, 9))
    path.with_name("a_dem.tif.bandsight.json").write_text('{"crs": "EPSG:4326", "bounds": [1, 2, 3, 4]}')
    with pytest.raises(SceneError, match="already has ground control points"):
        opened(path)


def overviews_named(path, name):
    said = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{name}</MDI></Metadata>'
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{said}</PAMDataset>")


@pytest.mark.parametrize("name", ["/vsicurl/http://127.0.0.1:{port}/a.ovr", "/etc/a.ovr", ":::BASE:::../a.ovr"])
def test_overviews_that_lie_elsewhere_are_refused_and_nothing_is_asked(tmp_path, name):
    path = write(tmp_path / "a.tif", picture(3, 600, 600))
    with socket.create_server(("127.0.0.1", 0)) as server:
        overviews_named(path, name.format(port=server.getsockname()[1]))
        with pytest.raises(SceneError, match=r"a\.tif: references overviews at .*a\.ovr.*OVERVIEW_FILE"):
            opened(path)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_overviews_beside_a_scene_are_used(tmp_path):
    path = write(tmp_path / "a.tif", picture(3, 600, 600))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2])
    assert (tmp_path / "a.tif.ovr").is_file()
    overviews_named(path, ":::BASE:::a.tif.ovr")
    assert opened(path).raster.width == 600
