"""South-up, mirrored and rotated grids: all eight orientations of a raster are one scene to model and pictures."""

import io
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.warp import transform as transform_points

from bandsight.attributes.filters import Filter
from bandsight.errors import SceneError
from bandsight.imagery.crops import crop
from bandsight.imagery.model_view import model_view
from bandsight.imagery.thumbnails import thumbnail
from bandsight.query_image import decode_query_image
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.orientation import is_aligned, north_up, turned, upright_grid
from bandsight.raster.windows import read_window
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.tiling import Tiling
from tests.rasters import picture, write

ORIGIN, GSD, HEIGHT, WIDTH = (400_000.0, 5_800_000.0), 10.0, 70, 96
UPRIGHT = Affine(GSD, 0, ORIGIN[0], 0, -GSD, ORIGIN[1])
# From pixels of the turned raster to those of the upright one.
TURNS = {
    "north up": Affine.identity(),
    "south up": Affine(1, 0, 0, 0, -1, HEIGHT),
    "mirrored": Affine(-1, 0, WIDTH, 0, 1, 0),
    "half turn": Affine(-1, 0, WIDTH, 0, -1, HEIGHT),
    "transposed": Affine(0, 1, 0, 1, 0, 0),
    "quarter turn": Affine(0, -1, WIDTH, 1, 0, 0),
    "three quarters": Affine(0, 1, 0, -1, 0, HEIGHT),
    "anti-transposed": Affine(0, -1, WIDTH, -1, 0, HEIGHT),
}


def turned_raster(values, turn):
    """Return the values that a raster has whose pixels lead to the upright one by `turn`."""
    height, width = values.shape[1:]
    rows, cols = (width, height) if turn.b else (height, width)
    x, y = turn @ (np.arange(cols)[None, :] + 0.5, np.arange(rows)[:, None] + 0.5)
    x, y = np.broadcast_arrays(np.asarray(x), np.asarray(y))
    return values[:, np.floor(y).astype(int), np.floor(x).astype(int)]


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_any_orientation_is_turned_north_up(turn):
    values = picture(2, HEIGHT, WIDTH)
    stored = turned_raster(values, turn)
    transform, width, height = north_up(UPRIGHT @ turn, stored.shape[2], stored.shape[1])
    assert (width, height) == (WIDTH, HEIGHT)
    assert transform.almost_equals(UPRIGHT)
    step = ~(UPRIGHT @ turn) @ transform
    assert is_aligned(step)
    np.testing.assert_array_equal(turned(stored, step), values)


def test_all_eight_orientations_give_the_same_tiles_vectors_and_pictures(tmp_path, archive, encoder):
    values = picture(3, HEIGHT, WIDTH)
    for name, turn in TURNS.items():
        write(tmp_path / "in" / f"{name}.tif", turned_raster(values, turn), transform=UPRIGHT @ turn)
    assert index([tmp_path / "in"], archive=archive, model=encoder).failed == []
    seen = {}
    for scene in archive.scenes():
        tiles = [t for t in archive.tiles_by_id(archive.tile_ids(Filter()).tolist()).values() if t.scene_id == scene.id]
        tiles.sort(key=lambda tile: tile.cell)
        seen[scene.name] = (
            [(tile.cell, tile.col_off, tile.row_off, tile.valid_fraction) for tile in tiles],
            archive.vectors([tile.id for tile in tiles]).tobytes(),
            [model_view(scene, tile).tobytes() for tile in tiles],
            [thumbnail(scene, tile, 32).tobytes() for tile in tiles],
            [rasterio.open(io.BytesIO(crop(scene, tile, max_bytes=1 << 20))).read().tobytes() for tile in tiles],
        )
    first = seen["north up.tif"]
    assert len(seen) == len(TURNS)
    assert len(first[0]) > 1
    assert all(one == first for one in seen.values())


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_query_picture_is_turned_north_up(tmp_path, turn):
    values = picture(3, HEIGHT, WIDTH)
    path = write(tmp_path / "a.tif", turned_raster(values, turn), transform=UPRIGHT @ turn)
    np.testing.assert_array_equal(decode_query_image(path.read_bytes())[0], values)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(sorted(TURNS)),
    st.floats(1e-5, 1e4),
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_turning_north_up_covers_the_same_ground(name, gsd, origin, size):
    turn = TURNS[name]
    transform = Affine(gsd, 0, origin[0], 0, -gsd, origin[1]) @ turn
    upright, width, height = north_up(transform, *size)
    assert upright.a > 0 > upright.e
    assert upright.b == upright.d == 0
    corners = [transform @ (x, y) for x in (0, size[0]) for y in (0, size[1])]
    found = [upright @ (x, y) for x in (0, width) for y in (0, height)]
    slack = 1e-9 * max(abs(origin[0]), abs(origin[1]), gsd * 50)
    np.testing.assert_allclose(sorted(corners), sorted(found), atol=10 * slack)


# Along 30°, so that no right angle helps.
ASKEW = Affine.translation(*ORIGIN) @ Affine.rotation(30) @ Affine.scale(GSD, -GSD)


def ground(x, y):
    """Return red, green and blue of any place: smooth, never 0, and different in each direction."""
    return np.stack([60 + x / 40, 60 + y / 40, 120 + (x + y) / 80]).clip(1, 255)


def ground_on(transform, height, width):
    x, y = transform @ (np.arange(width)[None, :] + 0.5, np.arange(height)[:, None] + 0.5)
    x, y = np.broadcast_arrays(np.asarray(x), np.asarray(y))
    return ground(x - ORIGIN[0], y - ORIGIN[1]).round().astype(np.uint8)


def assert_is_ground(pixels, seen, transform):
    expected = ground_on(transform, *pixels.shape[1:]).astype(int)
    assert np.abs(pixels.astype(int) - expected)[:, seen].max() <= 1


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_rotated_raster_is_read_north_up_and_its_corners_are_no_data(tmp_path, nodata):
    path = write(tmp_path / "a.tif", ground_on(ASKEW, 128, 128), transform=ASKEW, nodata=nodata)
    scene = open_scene(find_scenes([path])[0], "key", tiling={})
    grid = Affine(*scene.raster.transform)
    assert (grid.a, grid.b, grid.d, grid.e) == pytest.approx((GSD, 0, 0, -GSD))
    assert [len(scene.raster.bands), scene.record.sensor] == [3, "rgb"]
    height, width = scene.raster.height, scene.raster.width
    window = read_window(scene.raster, (0, 0, width, height), (height, width), OpenFiles())
    # Half of the square around a square at 30°: 1 / (sin 30° + cos 30°)².
    assert window.valid.mean() == pytest.approx(1 / (0.5 + 0.75**0.5) ** 2, abs=0.02)
    assert_is_ground(window.values, window.valid, grid)
    # The footprint is that of the stored picture, without the empty corners.
    corners = [ASKEW @ corner for corner in ((0, 0), (128, 0), (0, 128), (128, 128))]
    lons, lats = transform_points("EPSG:32633", "EPSG:4326", *zip(*corners, strict=True))
    (box,) = scene.record.boxes
    assert (box.west, box.south, box.east, box.north) == pytest.approx(
        (min(lons), min(lats), max(lons), max(lats)), abs=1e-5
    )
    ring = scene.record.geometry["coordinates"][0]
    assert all(min(np.hypot(lon - x, lat - y) for x, y in ring) < 1e-5 for lon, lat in zip(lons, lats, strict=True))


def test_tiles_pictures_crops_and_queries_of_a_rotated_raster_show_north_up(tmp_path, archive, encoder):
    path = write(tmp_path / "a.tif", ground_on(ASKEW, 128, 128), transform=ASKEW)
    assert index([path], archive=archive, model=encoder, tiling=Tiling(tile_px=64, min_valid=0.9)).failed == []
    (scene,) = archive.scenes()
    tiles = list(archive.tiles_by_id(archive.tile_ids(Filter()).tolist()).values())
    assert tiles
    for tile in tiles:
        place = Affine(*scene.transform) @ Affine.translation(tile.col_off, tile.row_off)
        assert_is_ground(model_view(scene, tile), np.ones((64, 64), bool), place)
        cut = crop(scene, tile, max_bytes=1 << 20)
        with rasterio.open(io.BytesIO(cut)) as dataset:
            assert_is_ground(dataset.read()[:3], np.ones((64, 64), bool), dataset.transform)
    pixels, _ = decode_query_image(path.read_bytes())
    rows, cols = pixels.shape[1:]
    inside = np.s_[:, rows // 2 - 20 : rows // 2 + 20, cols // 2 - 20 : cols // 2 + 20]
    assert np.diff(pixels[0][inside[1:]].mean(axis=0)).mean() > 0
    assert np.diff(pixels[1][inside[1:]].mean(axis=1)).mean() < 0


def test_a_rotated_raster_without_a_crs_takes_that_of_its_sidecar(tmp_path):
    path = write(tmp_path / "a.tif", ground_on(ASKEW, 64, 64), crs=None, transform=ASKEW)
    (source,) = find_scenes([path])
    with pytest.raises(SceneError, match=r"neither projected nor geographic; state one in a\.tif\.bandsight\.json"):
        open_scene(source, "key", tiling={})
    (tmp_path / "a.tif.bandsight.json").write_text('{"crs": "EPSG:32633"}')
    assert open_scene(source, "key", tiling={}).record.crs == "EPSG:32633"


def test_a_rotated_scene_of_an_older_version_is_still_read_as_it_was_indexed(tmp_path):
    values = picture(3, 64, 64)
    path = write(tmp_path / "a.tif", values, transform=ASKEW)
    made = open_scene(find_scenes([path])[0], "key", tiling={}).raster
    old = replace(made, transform=tuple(ASKEW)[:6], width=64, height=64, files={})
    np.testing.assert_array_equal(read_window(old, (0, 0, 64, 64), (64, 64), OpenFiles()).values, values)


@given(st.floats(1, 89), st.tuples(st.integers(1, 300), st.integers(1, 300)), st.floats(1e-5, 1e4))
@settings(max_examples=50, deadline=None)
def test_the_grid_of_a_rotated_raster_holds_all_of_it_and_not_a_pixel_more(angle, size, gsd):
    transform = Affine.translation(1e3, 2e3) @ Affine.rotation(angle) @ Affine.scale(gsd, -gsd)
    found = upright_grid(transform, *size)
    if found is None:
        assert max(size) > 50 * min(size)
        return
    grid, width, height = found
    corners = np.array([~grid @ (transform @ corner) for corner in ((0, 0), (size[0], 0), (0, size[1]), size)])
    assert (corners.min(axis=0) > -1e-3).all()
    assert (corners.min(axis=0) < 1).all()
    assert (corners.max(axis=0) < np.array([width, height]) + 1e-3).all()
    assert (corners.max(axis=0) > np.array([width, height]) - 1).all()


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30, 0] = 250
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(pixels)
        back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
        if orientation in back:
            # The inverse of what a viewer does.
            stored = stored.transpose(Image.Transpose(back[orientation]))
        for kind in ("PNG", "JPEG"):
            data = io.BytesIO()
            stored.save(data, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
            found, _ = decode_query_image(data.getvalue())
            assert found.shape == (3, 40, 60), orientation
            assert found[0, :16, :26].min() > 200, (orientation, kind)
            assert found[0, 24:, 34:].max() < 50, (orientation, kind)
