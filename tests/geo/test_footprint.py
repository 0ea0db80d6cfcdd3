from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pyproj import Geod, Transformer
from shapely.geometry import Point, shape

from bandsight.errors import SceneError
from bandsight.geo.footprint import footprint

UTM_10M = (10.0, 0.0, 399960.0, 0.0, -10.0, 5900040.0)


def _rings(geometry: dict[str, Any]) -> list[list[list[float]]]:
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [ring for polygon in polygons for ring in polygon]


def _area_km2(geometry: dict[str, Any]) -> float:
    return abs(Geod(ellps="WGS84").geometry_area_perimeter(shape(geometry))[0]) / 1e6


def _points_in_window(
    transform: Sequence[float], crs: str, width: int, height: int, count: int = 300
) -> list[tuple[float, float]]:
    """Return points inside a window, reprojected one by one."""
    rng = np.random.default_rng(7)
    cols, rows = rng.uniform(0.02, 0.98, (2, count)) * [[width], [height]]
    a, b, c, d, e, f = transform
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    lon, lat = to_degrees.transform(a * cols + b * rows + c, d * cols + e * rows + f)
    return [((x + 180) % 360 - 180, y) for x, y in zip(lon, lat, strict=True)]


WINDOWS = {
    "utm": (UTM_10M, "EPSG:32633", 1000, 1000),
    "rotated": ((8.0, 6.0, 399960.0, 6.0, -8.0, 5900040.0), "EPSG:32633", 1000, 700),
    "south up": ((10.0, 0.0, 399960.0, 0.0, 10.0, 5800000.0), "EPSG:32633", 1000, 1000),
    "degrees": ((0.001, 0.0, 12.0, 0.0, -0.001, 52.0), "EPSG:4326", 500, 500),
    "utm over the antimeridian": ((100.0, 0.0, 700000.0, 0.0, -100.0, 8100000.0), "EPSG:32760", 3000, 1000),
    "degrees over the antimeridian": ((0.01, 0.0, 178.0, 0.0, -0.01, -15.0), "EPSG:4326", 400, 300),
    "degrees beyond 180": ((0.01, 0.0, 181.0, 0.0, -0.01, -15.0), "EPSG:4326", 400, 300),
    "north pole": ((1000.0, 0.0, -500000.0, 0.0, -1000.0, 500000.0), "EPSG:3995", 1000, 1000),
    "south pole": ((1000.0, 0.0, -300000.0, 0.0, -1000.0, 500000.0), "EPSG:3031", 1000, 1000),
    "south pole, rows upwards": ((1000.0, 0.0, -300000.0, 0.0, 1000.0, -500000.0), "EPSG:3031", 1000, 1000),
    "beside the north pole, over the antimeridian": (
        (1000.0, 0.0, -500000.0, 0.0, -1000.0, 1500000.0),
        "EPSG:3995",
        1000,
        1000,
    ),
    "the whole world": ((0.1, 0.0, -180.0, 0.0, -0.1, 90.0), "EPSG:4326", 3600, 1800),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_footprint_covers_the_points_of_its_window(name: str) -> None:
    transform, crs, width, height = WINDOWS[name]
    found = footprint(transform, crs, 0, 0, width, height)
    geometry = shape(found.geometry)
    assert geometry.is_valid
    for lon, lat in _points_in_window(transform, crs, width, height):
        assert geometry.buffer(1e-6).covers(Point(lon, lat)), (lon, lat)
        assert any(
            b.west - 1e-6 <= lon <= b.east + 1e-6 and b.south - 1e-6 <= lat <= b.north + 1e-6 for b in found.boxes
        )


@pytest.mark.parametrize("name", WINDOWS)
def test_a_footprint_is_geojson_within_bounds(name: str) -> None:
    transform, crs, width, height = WINDOWS[name]
    found = footprint(transform, crs, 0, 0, width, height)
    assert found.geometry["type"] in {"Polygon", "MultiPolygon"}
    for ring in _rings(found.geometry):
        assert ring[0] == ring[-1]
        assert all(type(point) is list and abs(point[0]) <= 180 and abs(point[1]) <= 90 for point in ring)
    for box in found.boxes:
        assert box.west <= box.east


@pytest.mark.parametrize("name", ["utm", "rotated", "utm over the antimeridian", "north pole", "south pole"])
def test_a_footprint_has_the_area_of_its_window(name: str) -> None:
    transform, crs, width, height = WINDOWS[name]
    a, b, _, d, e, _ = transform
    expected = abs(a * e - b * d) * width * height / 1e6
    # The projections distort areas: UTM by up to 1%, the polar ones by up to 7% this close to the pole.
    assert _area_km2(footprint(transform, crs, 0, 0, width, height).geometry) == pytest.approx(expected, rel=0.07)


def test_a_footprint_across_the_antimeridian_is_split_and_has_two_boxes() -> None:
    transform, crs, width, height = WINDOWS["degrees over the antimeridian"]
    found = footprint(transform, crs, 0, 0, width, height)
    assert found.geometry["type"] == "MultiPolygon"
    west, east = sorted(found.boxes, key=lambda box: box.west)
    assert [west.west, west.east] == pytest.approx([-180, -178])
    assert [east.west, east.east] == pytest.approx([178, 180])


@pytest.mark.parametrize("name", ["north pole", "south pole", "south pole, rows upwards"])
def test_a_footprint_with_a_pole_covers_all_longitudes(name: str) -> None:
    transform, crs, width, height = WINDOWS[name]
    (box,) = footprint(transform, crs, 0, 0, width, height).boxes
    assert (box.west, box.east) == (-180, 180)
    assert (box.north == 90) == (name == "north pole")
    assert (box.south == -90) == (name != "north pole")


def test_a_window_that_touches_the_antimeridian_stays_on_its_side() -> None:
    (box,) = footprint((0.01, 0.0, 179.0, 0.0, -0.01, 10.0), "EPSG:4326", 0, 0, 100, 100).boxes
    assert (box.west, box.east) == (179, 180)


def test_offsets_are_in_pixels() -> None:
    whole = footprint(UTM_10M, "EPSG:32633", 0, 0, 200, 200).boxes[0]
    part = footprint(UTM_10M, "EPSG:32633", 100, 100, 100, 100).boxes[0]
    assert whole.west < part.west < part.east <= whole.east + 1e-6
    assert part.north < whole.north


def test_wide_windows_follow_the_curve_of_their_sides() -> None:
    geometry = footprint((1000.0, 0.0, 100000.0, 0.0, -1000.0, 8000000.0), "EPSG:32633", 0, 0, 800, 100).geometry
    assert len(_rings(geometry)[0]) > 16


def test_an_unknown_crs_is_named() -> None:
    with pytest.raises(SceneError, match="EPSG:999999"):
        footprint(UTM_10M, "EPSG:999999", 0, 0, 10, 10)


def test_a_window_outside_the_projection_is_an_error() -> None:
    with pytest.raises(SceneError, match="outside the area where"):
        footprint((1e6, 0.0, 1e9, 0.0, -1e6, 1e9), "EPSG:3035", 5, 7, 100, 100)
