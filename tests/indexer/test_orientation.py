"""South-up, mirrored and rotated grids: all eight orientations of a raster are one scene to model and pictures."""

import io

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.attributes.filters import Filter
from bandsight.imagery.crops import crop
from bandsight.imagery.model_view import model_view
from bandsight.imagery.thumbnails import thumbnail
from bandsight.query_image import decode_query_image
from bandsight.raster.orientation import is_aligned, north_up, turned
from indexer.pipeline import index
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
