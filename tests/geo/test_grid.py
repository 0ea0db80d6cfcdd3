import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandsight.geo.grid import TileWindow, tile_windows

UTM = "EPSG:32633"


def _corner(transform: tuple[float, ...], window: TileWindow) -> tuple[float, float]:
    """Return the upper left corner of a window in its CRS."""
    a, b, c, d, e, f = transform
    return (a * window.col_off + b * window.row_off + c, d * window.col_off + e * window.row_off + f)


def _coverage(windows: list[TileWindow], width: int, height: int) -> NDArray[np.int64]:
    counts = np.zeros((height, width), np.int64)
    for w in windows:
        counts[max(w.row_off, 0) : w.row_off + w.height, max(w.col_off, 0) : w.col_off + w.width] += 1
    return counts


def _inside(window: TileWindow, width: int, height: int) -> float:
    cols = min(window.col_off + window.width, width) - max(window.col_off, 0)
    rows = min(window.row_off + window.height, height) - max(window.row_off, 0)
    return max(cols, 0) * max(rows, 0) / (window.width * window.height)


def _on_grid(window: TileWindow) -> bool:
    """Return whether a window is at its grid position."""
    return re.fullmatch(r"-?\d+_-?\d+", window.cell.rsplit("/", 1)[1]) is not None


@st.composite
def rasters(draw: st.DrawFn) -> dict[str, Any]:
    """Draw rasters on and off the shared grid, north up or rotated."""
    gsd = draw(st.sampled_from([0.5, 10.0, 30.0, 0.1]))
    west = draw(st.integers(-2000, 60000)) * gsd + draw(st.sampled_from([0, 0, 0.3 * gsd]))
    north = draw(st.integers(-20000, 60000)) * gsd
    turn = draw(st.sampled_from([0.0, 0.0, 0.2 * gsd]))
    return {
        "transform": (gsd, turn, west, turn, -gsd, north),
        "crs": UTM,
        "width": draw(st.integers(1, 400)),
        "height": draw(st.integers(1, 400)),
        "tile_px": draw(st.sampled_from([16, 64, 128])),
        "scale": draw(st.sampled_from([1, 2])),
    }


@settings(deadline=None)
@given(rasters())
def test_windows_cover_every_pixel_of_a_scene(raster: dict[str, Any]) -> None:
    side = raster["tile_px"] * raster["scale"]
    windows = tile_windows(**raster)
    assert _coverage(windows, raster["width"], raster["height"]).min() >= 1
    assert all((w.width, w.height, w.scale) == (side, side, raster["scale"]) for w in windows)


@settings(deadline=None)
@given(rasters(), st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
def test_windows_of_a_large_scene_have_the_minimum_share_inside(raster: dict[str, Any], share: float) -> None:
    side = raster["tile_px"] * raster["scale"]
    raster["width"] += side
    raster["height"] += side
    windows = tile_windows(**raster, min_overlap=share)
    assert min(_inside(w, raster["width"], raster["height"]) for w in windows) >= share - 1e-9


@settings(deadline=None)
@given(rasters())
def test_cells_are_unique_in_a_scene(raster: dict[str, Any]) -> None:
    cells = [window.cell for window in tile_windows(**raster)]
    assert len(set(cells)) == len(cells)


@settings(deadline=None)
@given(rasters(), st.integers(-300, 300), st.integers(-300, 300))
def test_overlapping_scenes_of_one_grid_share_cells(raster: dict[str, Any], cols: int, rows: int) -> None:
    a, _, c, _, e, f = raster["transform"]
    c, f = round(c / a) * a, round(f / e) * e
    raster["transform"] = (a, 0.0, c, 0.0, e, f)
    raster["width"], raster["height"] = raster["width"] + 400, raster["height"] + 400
    moved = raster | {"transform": (a, 0.0, c + cols * a, 0.0, e, f + rows * e)}
    here = {w.cell: _corner(raster["transform"], w) for w in tile_windows(**raster) if _on_grid(w)}
    there = {w.cell: _corner(moved["transform"], w) for w in tile_windows(**moved) if _on_grid(w)}
    for cell in here.keys() & there.keys():
        assert max(abs(p - q) for p, q in zip(here[cell], there[cell], strict=True)) < 1e-3 * a
    # Grid cells of one scene that lie inside the other scene are cells of that scene, with the same id.
    side = raster["tile_px"] * raster["scale"] * a
    left, top = moved["transform"][2], moved["transform"][5]
    right, bottom = left + moved["width"] * a, top + moved["height"] * e
    some = 0.01 * a
    for cell, (x, y) in here.items():
        if min(x - left, top - y, right - x - side, y - side - bottom) > -some:
            assert cell in there


def test_windows_are_anchored_to_multiples_of_the_tile_in_the_crs() -> None:
    transform = (10.0, 0.0, 399960.0, 0.0, -10.0, 5900040.0)
    windows = tile_windows(transform=transform, crs=UTM, width=1536, height=768, tile_px=128)
    regular = [w for w in windows if _on_grid(w)]
    assert len(regular) >= 11 * 5
    for window in regular:
        x, y = _corner(transform, window)
        assert x % 1280 == 0
        assert y % 1280 == 0
    assert all(w.cell.startswith("EPSG:32633/10/128x1/") for w in windows)


@pytest.mark.parametrize(
    "transform",
    [
        (10.0, 0.0, 399963.0, 0.0, -10.0, 5900040.0),
        (10.0, 1.0, 399960.0, 1.0, -10.0, 5900040.0),
        (10.0, 0.0, 399960.0, 0.0, -12.0, 5900040.0),
        (10.0, 0.0, 399960.0, 0.0, 10.0, 5900040.0),
    ],
    ids=["between pixels", "rotated", "oblong pixels", "south up"],
)
def test_a_scene_off_the_grid_has_a_grid_from_its_corner(transform: tuple[float, ...]) -> None:
    windows = tile_windows(transform=transform, crs=UTM, width=300, height=300, tile_px=128)
    assert (windows[0].col_off, windows[0].row_off) == (0, 0)
    assert all(window.cell.startswith("scene/128x1/") for window in windows)


def test_rounded_coordinates_still_count_as_on_the_grid() -> None:
    transform = (1 / 3, 0.0, 300.00001, 0.0, -1 / 3, 900.00001)
    windows = tile_windows(transform=transform, crs=UTM, width=300, height=300, tile_px=128)
    assert not any(window.cell.startswith("scene/") for window in windows)


def test_a_small_scene_is_centred_in_its_only_window() -> None:
    (window,) = tile_windows(transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0), crs=UTM, width=120, height=120, tile_px=128)
    assert (window.col_off, window.row_off) == (-4, -4)


@pytest.mark.parametrize("field", ["width", "height", "tile_px", "scale"])
def test_sizes_must_be_positive(field: str) -> None:
    sizes = {"width": 10, "height": 10, "tile_px": 8, "scale": 1} | {field: 0}
    with pytest.raises(ValueError, match="need positive sizes"):
        tile_windows(transform=(1, 0, 0, 0, -1, 0), crs=UTM, **sizes)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 200), st.integers(1, 200), st.integers(0, 10_000), st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    st.sampled_from([1, 2]),
)  # fmt: skip
def test_windows_that_overlap_cover_every_pixel_and_share_cells(width, height, origin, overlap, scale):
    def cells(transform, width, height):
        found = tile_windows(
            transform=transform, crs="EPSG:32633", width=width, height=height, tile_px=32, scale=scale, overlap=overlap
        )
        seen = np.zeros((height, width), bool)
        for window in found:
            rows = slice(max(window.row_off, 0), max(window.row_off + window.height, 0))
            seen[rows, max(window.col_off, 0) : max(window.col_off + window.width, 0)] = True
        assert seen.all()
        assert len({window.cell for window in found}) == len(found)
        return {w.cell: (w.col_off + round(transform[2] / 10), w.row_off - round(transform[5] / 10)) for w in found}

    one = cells((10.0, 0.0, 10.0 * origin, 0.0, -10.0, 5_000_000.0), width, height)
    other = cells((10.0, 0.0, 10.0 * (origin + 50), 0.0, -10.0, 5_000_000.0), width, height)
    shared = {cell for cell in one.keys() & other.keys() if cell[-1] not in "+-"}
    if min(width, height) > 32 * scale:
        assert all(one[cell] == other[cell] for cell in shared)


def test_neighbours_overlap_by_the_given_share():
    found = tile_windows(
        transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0), crs="EPSG:32633", width=256, height=64, tile_px=64, overlap=0.25
    )
    assert [window.col_off for window in found] == [0, 48, 96, 144, 192]
    assert found[0].cell == "EPSG:32633/10/64x1by48/0_0"
    with pytest.raises(ValueError, match="overlap"):
        tile_windows(transform=(1, 0, 0, 0, -1, 0), crs="x", width=9, height=9, tile_px=3, overlap=1)
