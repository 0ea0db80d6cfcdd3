"""Areas compared with shapely's exact predicates."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox

DEGREES = st.integers(-18, 18).map(lambda tens: 10.0 * tens)
BOXES = st.tuples(DEGREES, DEGREES, DEGREES, DEGREES).map(
    lambda sides: (
        min(sides[0], sides[2]),
        min(sides[1], sides[3]) / 2,
        max(sides[0], sides[2]),
        max(sides[1], sides[3]) / 2,
    )
)


@given(BOXES, st.booleans(), st.lists(BOXES, max_size=20))
def test_boxes_within_a_box_are_found_by_comparing_sides(box, crosses, others):
    west, south, east, north = box
    area = Area.from_box(
        LonLatBox(west=east if crosses else west, south=south, east=west if crosses else east, north=north)
    )
    covered = area.covers(np.array(others, np.float64).reshape(-1, 4))
    expected = [bool(shapely.contains_properly(area.geometry, shapely.box(*other))) for other in others]
    # An area without extent is a line or a point, which shapely does not treat as a surface.
    flat = [other[0] == other[2] or other[1] == other[3] for other in others]
    for inside, truth, is_flat in zip(covered.tolist(), expected, flat, strict=True):
        assert inside == truth or is_flat


@pytest.mark.parametrize("ring", [[[0, 0], [10, 0], [10, 10], [0, 0]], [[0, 0], [10, 1], [10, 10], [0, 10], [0, 0]]])
def test_a_polygon_that_is_not_a_box_is_not_treated_as_one(ring):
    area = Area.from_geojson({"type": "Polygon", "coordinates": [ring]})
    assert not area.covers(np.array([[0.1, 0.05, 9.9, 9.9]])).any()
