import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox, around

longitudes = st.floats(-180, 180)
latitudes = st.tuples(st.floats(-90, 90), st.floats(-90, 90)).map(sorted)


@st.composite
def boxes(draw: st.DrawFn) -> LonLatBox:
    south, north = draw(latitudes)
    return LonLatBox(west=draw(longitudes), south=south, east=draw(longitudes), north=north)


def _contains(box: LonLatBox, lon: float, lat: float) -> bool:
    """Reference implementation, without `split`."""
    if not box.south <= lat <= box.north:
        return False
    if box.west <= box.east:
        return box.west <= lon <= box.east
    return lon >= box.west or lon <= box.east


def test_text_and_sequences_give_the_same_box() -> None:
    box = LonLatBox(west=12.3, south=51.9, east=12.6, north=52.1)
    assert LonLatBox.from_text(" 12.3, 51.9,12.6,52.1") == box
    assert LonLatBox.from_sequence([12.3, 51.9, 12.6, 52.1]) == box


def test_heights_of_a_bbox_of_six_are_ignored() -> None:
    assert LonLatBox.from_text("1,2,-50,3,4,900") == LonLatBox(west=1, south=2, east=3, north=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a (finite )?number"),
        ("1,2,3,x", "not a (finite )?number"),
        ("1,2,3", "found 3 numbers"),
        ("1,2,3,4,5", "found 5 numbers"),
        ("nan,0,1,1", "not a (finite )?number"),
        ("0,0,inf,1", "not a (finite )?number"),
        ("-181,0,1,1", "longitude outside"),
        ("0,0,190,1", "longitude outside"),
        ("0,-91,1,1", "latitude outside"),
        ("0,50,1,40", "north of its north"),
    ],
)
def test_an_invalid_box_is_an_error_with_reason_and_advice(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        LonLatBox.from_text(text)
    assert "west,south,east,north" in str(caught.value)


@settings(deadline=None)
@given(boxes())
def test_no_part_of_a_split_box_crosses_the_antimeridian(box: LonLatBox) -> None:
    parts = box.split()
    assert all(part.west <= part.east for part in parts)
    assert len(parts) == (1 if box.west <= box.east else 2)


@settings(deadline=None)
@given(boxes(), longitudes, st.floats(-90, 90))
def test_splitting_preserves_every_point(box: LonLatBox, lon: float, lat: float) -> None:
    assert any(_contains(part, lon, lat) for part in box.split()) == _contains(box, lon, lat)


@settings(deadline=None)
@given(boxes(), longitudes, st.floats(-90, 90))
def test_a_box_intersects_the_points_that_it_contains(box: LonLatBox, lon: float, lat: float) -> None:
    point = LonLatBox(west=lon, south=lat, east=lon, north=lat)
    assert box.intersects(point) == _contains(box, lon, lat) == point.intersects(box)


@settings(deadline=None)
@given(boxes(), boxes())
def test_intersection_is_symmetric_and_reflexive(one: LonLatBox, other: LonLatBox) -> None:
    assert one.intersects(other) == other.intersects(one)
    assert one.intersects(one)


def test_a_box_across_the_antimeridian_intersects_both_sides_only() -> None:
    fiji = LonLatBox(west=177, south=-20, east=-178, north=-15)
    assert fiji.intersects(LonLatBox(west=178, south=-18, east=179, north=-17))
    assert fiji.intersects(LonLatBox(west=-180, south=-18, east=-179, north=-17))
    assert not fiji.intersects(LonLatBox(west=-10, south=-18, east=10, north=-17))


def test_values_become_floats() -> None:
    box = LonLatBox.from_sequence((1, 2, 3, 4))
    assert math.isclose(box.west, 1)
    assert isinstance(box.west, float)


@given(
    starts=st.lists(
        st.tuples(st.floats(-180, 180), st.floats(0, 60), st.floats(-90, 80), st.floats(0, 10)), min_size=1, max_size=6
    )
)
@example(starts=[(180.0, 0.0, 0.0, 0.0)])
@example(starts=[(180.0, 0.0, 0.0, 0.0), (-180.0, 0.0, 0.0, 0.0)])
def test_the_box_around_boxes_contains_them_and_excludes_the_widest_gap(
    starts: list[tuple[float, float, float, float]],
) -> None:
    boxes = [
        LonLatBox(
            west=west, south=south, east=west + wide if west + wide <= 180 else west + wide - 360, north=south + high
        )
        for west, wide, south, high in starts
    ]
    whole = around(boxes)
    assert (whole.south, whole.north) == (min(b.south for b in boxes), max(b.north for b in boxes))
    for box in boxes:
        for part in box.split():
            assert any(own.west <= part.west and part.east <= own.east for own in whole.split())
    covered = np.zeros(3600, bool)
    for part in (part for box in boxes for part in box.split()):
        # 180° itself lies in the last bin.
        first, last = (min(int(np.floor((lon + 180) * 10)), 3599) for lon in (part.west, part.east))
        covered[first : last + 1] = True
    width = sum(part.east - part.west for part in whole.split())
    twice = np.concatenate([covered, covered])
    edges = np.flatnonzero(np.diff(np.concatenate([[True], twice, [True]]).astype(int)))
    gaps = np.diff(edges)[::2] if len(edges) else np.array([0])
    assert width <= 360 - gaps.max(initial=0) / 10 + 0.3
