"""Rasterising boxes, compared with a simple implementation that checks every pixel."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox, around
from bandsight.maps import rasterize as canvas_module
from bandsight.maps.rasterize import Canvas, TileBoxes


def box(west: float, south: float, east: float, north: float) -> LonLatBox:
    return LonLatBox(west=west, south=south, east=east, north=north)


def boxes_of(tiles: list[list[LonLatBox]]) -> TileBoxes:
    boxes = np.full((len(tiles), 2, 4), np.nan)
    for row, parts in enumerate(tiles):
        for at, part in enumerate(parts):
            boxes[row, at] = part.west, part.south, part.east, part.north
    return TileBoxes.of(boxes)


def slowly(canvas: Canvas, tiles: list[list[LonLatBox]], values: np.ndarray) -> np.ndarray:
    """Pixel by pixel and tile by tile, from the same rounding of edges."""
    west, south, east, north = canvas.bounds
    step_x, step_y = (east - west) / canvas.width, (north - south) / canvas.height
    out = np.full((canvas.height, canvas.width), np.nan, np.float32)
    for parts, value in zip(tiles, values, strict=True):
        for part in parts:
            for turn in (0, 360):
                x0, x1 = ((lon + turn - west) / step_x for lon in (part.west, part.east))
                y0, y1 = ((north - lat) / step_y for lat in (part.north, part.south))
                if part.west + turn >= east or part.east + turn <= west or part.south >= north or part.north <= south:
                    continue
                x0, y0 = np.rint(x0), np.rint(y0)
                x1, y1 = max(np.rint(x1), x0 + 1), max(np.rint(y1), y0 + 1)
                for row in range(canvas.height):
                    for col in range(canvas.width):
                        if y0 <= row < y1 and x0 <= col < x1:
                            out[row, col] = np.nanmax([out[row, col], value])
    return out


places = st.builds(
    lambda west, south, wide, high: box(west, south, min(180, west + wide), min(90, south + high)),
    st.floats(-180, 179),
    st.floats(-90, 89),
    st.sampled_from([0.01, 1, 30, 200]),
    st.sampled_from([0.01, 1, 30, 100]),
)


@settings(max_examples=60, deadline=None)
@given(
    tiles=st.lists(st.lists(places, min_size=1, max_size=2), max_size=8),
    shown=st.sampled_from([box(-180, -90, 180, 90), box(10, -20, 50, 40), box(170, -50, -160, 50)]),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_a_pixel_shows_the_maximum_of_the_tiles_that_cover_it(
    tiles: list[list[LonLatBox]], shown: LonLatBox, size: tuple[int, int]
) -> None:
    values = np.random.default_rng(len(tiles)).normal(size=len(tiles)).astype(np.float32)
    canvas = Canvas.of_box(shown, "EPSG:4326", *size)
    np.testing.assert_array_equal(canvas.paint(boxes_of(tiles), values), slowly(canvas, tiles, values))


def test_batch_size_and_large_boxes_do_not_change_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform([-170, -80], [150, 60], (300, 2))
    tiles = [[box(x, y, x + w, y + h)] for (x, y), (w, h) in zip(corners, rng.uniform(0.1, 20, (300, 2)), strict=True)]
    values = rng.normal(size=300).astype(np.float32)
    canvas = Canvas.of_box(box(-180, -90, 180, 90), "EPSG:4326", 300, 150)
    whole = canvas.paint(boxes_of(tiles), values)
    for pixels, large in ((50, 10**9), (10**9, 5), (64, 64)):
        monkeypatch.setattr(canvas_module, "_PIXELS", pixels)
        monkeypatch.setattr(canvas_module, "_LARGE", large)
        np.testing.assert_array_equal(canvas.paint(boxes_of(tiles), values), whole)


def test_neighbours_neither_overlap_nor_leave_a_gap() -> None:
    edges = np.linspace(-170, 170, 98)
    tiles = [[box(a, -30, b, 30)] for a, b in pairwise(edges)]
    shown = Canvas.of_box(box(-170, -30, 170, 30), "EPSG:4326", 1013, 7).paint(
        boxes_of(tiles), np.arange(97, dtype=np.float32)
    )
    assert np.isfinite(shown).all()
    assert (np.diff(shown[0]) >= 0).all()
    assert set(shown[0]) == set(range(97))


def test_map_tiles_of_a_zoom_together_are_the_canvas_of_the_world() -> None:
    rng = np.random.default_rng(1)
    tiles = [[box(x, y, x + 9, y + 6)] for x, y in rng.uniform([-170, -70], [160, 60], (40, 2))]
    values = rng.normal(size=40).astype(np.float32)
    boxes = boxes_of(tiles)
    rows = [np.concatenate([Canvas.of_tile(2, x, y).paint(boxes, values) for x in range(4)], axis=1) for y in range(4)]
    limit = canvas_module.MAX_MERCATOR_LAT
    world = Canvas.of_box(box(-180, -limit, 180, limit), "EPSG:3857", 1024, 1024).paint(boxes, values)
    differs = (np.concatenate(rows) != world) & ~(np.isnan(np.concatenate(rows)) & np.isnan(world))
    # Rounding of an edge that lies at half a pixel.
    assert differs.mean() < 1e-3


def test_mercator_places_a_latitude_as_rasterio_does() -> None:
    from rasterio.warp import transform

    canvas = Canvas.of_box(box(10, 50, 12, 60), "EPSG:3857", 10, 10)
    xs, ys = transform("EPSG:4326", "EPSG:3857", [10, 12], [50, 60])
    np.testing.assert_allclose(canvas.bounds, (xs[0], ys[0], xs[1], ys[1]), rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(places, min_size=1, max_size=9))
def test_the_bbox_of_all_tiles_equals_that_of_the_archive(boxes: list[LonLatBox]) -> None:
    found, expected = boxes_of([[one] for one in boxes]).box, around(boxes)
    assert found is not None
    assert (found.south, found.north) == (expected.south, expected.north)

    def width(one: LonLatBox) -> float:
        return (one.east - one.west) % 360 or 360

    assert width(found) == pytest.approx(width(expected))


@pytest.mark.parametrize(
    ("shown", "crs"),
    [(box(0, 0, 0, 1), "EPSG:4326"), (box(0, 5, 1, 5), "EPSG:4326"), (box(0, 86, 1, 89), "EPSG:3857")],
)
def test_a_box_without_extent_is_rejected(shown: LonLatBox, crs: str) -> None:
    with pytest.raises(QueryError, match=r"bbox: found .* need a box with an extent"):
        Canvas.of_box(shown, crs)


def test_pixels_are_square_and_sizes_are_limited() -> None:
    def sides(shown: LonLatBox, *given: int) -> tuple[int, int]:
        made = Canvas.of_box(shown, "EPSG:4326", *given)
        return made.width, made.height

    assert sides(box(0, 0, 20, 10)) == (1024, 512)
    assert sides(box(0, 0, 10, 20), 100) == (100, 200)
    assert sides(box(0, 0, 0.001, 20), 100) == (100, 4096)
