"""Filters, compared with a simple check of every tile, including the antimeridian and the poles."""

from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import mapping, shape

from bandsight.attributes.fields import CLOUD_FRACTION, VALID_FRACTION
from bandsight.attributes.filters import Filter, Property
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.search.ranking import nearest
from tests.archive.makers import COLLECTIONS, SENSORS, filled, polar, vectors

SCENES, TILES = 30, 4
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
RECTANGLE = {"type": "Polygon", "coordinates": [[[0, 0], [20, 0], [20, 20], [0, 20], [0, 0]]]}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with filled(tmp_path_factory.mktemp("archive") / "a", SCENES, TILES) as opened:
        opened.add([polar(900, north=True), polar(901, north=False)])
        yield opened


BOXES = st.builds(
    lambda w, s, width, height: LonLatBox(
        west=w, south=s, east=(w + width + 180) % 360 - 180, north=min(s + height, 90.0)
    ),
    st.floats(-180, 179, width=32),
    st.floats(-90, 89, width=32),
    st.floats(0, 200, width=32),
    st.floats(0, 60, width=32),
)
# Triangles and stars, some over ±180° or a pole.
AREAS = st.builds(
    lambda lon, lat, size, corners: Area.from_geojson(
        mapping(
            shapely.Polygon(
                [
                    (lon + size * np.cos(a) * r, np.clip(lat + size * np.sin(a) * r, -90, 90))
                    for a, r in zip(np.linspace(0, 2 * np.pi, len(corners), endpoint=False), corners, strict=True)
                ]
            ).buffer(0)
        )
    ),
    st.floats(-200, 200, width=16),
    st.floats(-80, 80, width=16),
    st.floats(8, 60, width=16),
    st.lists(st.floats(0.5, 1, width=16), min_size=3, max_size=7),
)
TIMES = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2020, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001
ORDER = st.sampled_from(["=", "<", "<=", ">", ">="])
PROPERTIES = st.one_of(
    st.builds(Property, name=st.just("eo:cloud_cover"), op=ORDER, value=st.integers(0, 100) | st.floats(0, 100)),
    st.builds(Property, name=st.just("eo:cloud_cover"), op=st.just("="), value=st.just("unknown")),
    st.builds(Property, name=st.sampled_from([VALID_FRACTION, CLOUD_FRACTION]), op=ORDER, value=st.floats(0, 1)),
    st.builds(Property, name=st.sampled_from([VALID_FRACTION, CLOUD_FRACTION]), op=st.just("is null")),
    st.builds(Property, name=st.just("gsd"), op=ORDER, value=st.sampled_from([10, 20.0, 25])),
    st.builds(Property, name=st.just("platform"), op=ORDER, value=st.sampled_from(["sat-a", "sat-b", "x"])),
    st.builds(Property, name=st.just("platform"), op=st.just("in"), value=st.just(("sat-a", "sat-c"))),
    st.builds(Property, name=st.just("tasked"), op=st.just("="), value=st.booleans()),
    st.builds(
        Property, name=st.sampled_from(["eo:cloud_cover", "view:off_nadir", "tasked", "gsd"]), op=st.just("is null")
    ),
)
PLAIN = st.builds(
    Filter,
    boxes=st.lists(BOXES, max_size=2).map(lambda boxes: tuple(part for box in boxes for part in box.split())),
    area=st.none() | AREAS,
    start=TIMES,
    end=TIMES,
    collections=st.lists(st.sampled_from([*COLLECTIONS, "none"]), max_size=2).map(tuple),
    sensors=st.lists(st.sampled_from(SENSORS), max_size=1).map(tuple),
    scenes=st.lists(st.integers(1, SCENES), max_size=3).map(tuple),
    properties=st.lists(PROPERTIES, max_size=2).map(tuple),
    exclude=st.lists(st.integers(1, SCENES * TILES), max_size=5).map(tuple),
    up_to=st.none() | st.integers(1, SCENES * TILES),
)
# One condition at a time: of what must hold all at once, little is left.
SINGLE = st.one_of(
    st.builds(Filter, boxes=BOXES.map(lambda box: tuple(box.split()))),
    st.builds(Filter, area=AREAS),
    st.builds(Filter, start=TIMES),
    st.builds(Filter, sensors=st.just(("one",))),
    st.builds(Filter, properties=PROPERTIES.map(lambda one: (one,))),
    PLAIN,
)
FILTERS = st.recursive(
    SINGLE,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=5,
)


def judge(hit, wanted: Filter) -> bool | None:
    """Say in plain words what a filter asks of a hit: True, False, or None where it cannot be known."""
    tile, scene, when = hit.tile, hit.scene, hit.scene.datetime
    said: list[bool | None] = []
    if wanted.boxes:
        said.append(any(box.intersects(own) for box in wanted.boxes for own in tile.boxes))
    if wanted.area is not None:
        said.append(bool(wanted.area.geometry.intersects(shape(tile.geometry))))
    if wanted.start:
        said.append(None if when is None else when >= wanted.start)
    if wanted.end:
        said.append(None if when is None else when <= wanted.end)
    if wanted.collections:
        said.append(scene.collection in wanted.collections)
    if wanted.sensors:
        said.append(scene.sensor in wanted.sensors)
    if wanted.scenes:
        said.append(scene.id in wanted.scenes)
    if wanted.up_to is not None:
        said.append(tile.id <= wanted.up_to)
    said.append(tile.id not in wanted.exclude)
    of_tile = {VALID_FRACTION: tile.valid_fraction, CLOUD_FRACTION: tile.cloud_fraction}
    said += [judge_property({"gsd": scene.gsd_m, **scene.properties, **of_tile}, one) for one in wanted.properties]
    said += [judge(hit, part) for part in wanted.all_of]
    said += [negated(judge(hit, part)) for part in wanted.none_of]
    if wanted.any_of:
        parts = [judge(hit, part) for part in wanted.any_of]
        said.append(True if True in parts else (None if None in parts else False))
    return False if False in said else (None if None in said else True)


def negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def judge_property(properties: dict, wanted: Property) -> bool | None:
    found = properties.get(wanted.name)
    if wanted.op == "is null":
        return found is None
    if found is None:
        return None
    return any(compare(found, wanted.op, value) for value in wanted.values)


def compare(found, op, value) -> bool:
    kinds = [kind for kind in (bool, str, (int, float)) if isinstance(value, kind)]
    if not isinstance(found, kinds[0]) or isinstance(found, bool) != isinstance(value, bool):
        return False
    return {
        "=": lambda: found == value,
        "in": lambda: found == value,
        "<": lambda: found < value,
        "<=": lambda: found <= value,
        ">": lambda: found > value,
        ">=": lambda: found >= value,
    }[op]()


@given(FILTERS, st.integers(1, 200), st.integers(0, 9))
@settings(max_examples=200, suppress_health_check=QUIET, deadline=None)
def test_filters_are_exact_and_results_complete(archive, wanted, k, seed):
    query = vectors(1000 + seed, 1)
    expected = [hit for hit in nearest(archive, query, 10_000)[0] if judge(hit, wanted)]
    found = nearest(archive, query, k, wanted)[0]
    assert [(hit.tile.id, hit.score) for hit in found] == [(hit.tile.id, hit.score) for hit in expected[:k]]
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))


@given(FILTERS)
@settings(max_examples=60, suppress_health_check=QUIET, deadline=None)
def test_a_filter_its_negation_and_unknown_values_cover_all_tiles(archive, wanted):
    query = vectors(1, 1)
    sides = [{hit.tile.id for hit in nearest(archive, query, 10_000, one)[0]} for one in (wanted, ~wanted)]
    unknown = {hit.tile.id for hit in nearest(archive, query, 10_000)[0] if judge(hit, wanted) is None}
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] | unknown == {hit.tile.id for hit in nearest(archive, query, 10_000)[0]}


def test_a_tile_over_a_pole_is_found_from_every_longitude(archive):
    for lon in range(-180, 180, 30):
        wanted = Filter(boxes=(LonLatBox(west=lon, south=89, east=lon + 1, north=89.5),))
        assert "900.tif" in {hit.scene.name for hit in nearest(archive, vectors(1, 1), 999, wanted)[0]}
        point = Area.from_geojson({"type": "Point", "coordinates": [lon, -89.2]})
        assert {hit.scene.name for hit in nearest(archive, vectors(1, 1), 999, Filter(area=point))[0]} == {"901.tif"}


def test_a_polygon_written_beyond_180_finds_both_sides(archive):
    ring = [[170, -80], [190, -80], [190, 80], [170, 80], [170, -80]]
    area = Area.from_geojson({"type": "Polygon", "coordinates": [ring]})
    box = Filter.parse(bbox=[170, -80, -170, 80])
    found, expected = (
        {hit.tile.id for hit in nearest(archive, vectors(1, 1), 999, wanted)[0]} for wanted in (Filter(area=area), box)
    )
    assert found == expected
    assert len(found) > 10


def test_a_polygon_is_not_its_box(archive):
    corner = {"type": "Polygon", "coordinates": [[[-180, -80], [180, -80], [-180, 80], [-180, -80]]]}
    wanted = Filter.parse(intersects={"type": "Feature", "properties": {}, "geometry": corner})
    found = nearest(archive, vectors(1, 1), 999, wanted)[0]
    assert 0 < len(found) < len(nearest(archive, vectors(1, 1), 999, Filter(boxes=wanted.area.boxes))[0])


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "Self-intersection"),
        ({"type": "Polygon", "coordinates": []}, "empty"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}, r"open ring, from \[0, 0\] to \[1, 1\]"),
        ({"type": "polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "open ring"),
        ({"type": "Polygon", "coordinates": [[[0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 0, 6]]]}, "open ring"),
        (
            {"type": "Polygon", "coordinates": [RECTANGLE["coordinates"][0], [[1, 1], [2, 1], [2, 2], [1, 2]]]},
            r"open ring, from \[1, 1\] to \[1, 2\]",
        ),
        ({"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1]]]]}, "open ring"),
        (
            {
                "type": "GeometryCollection",
                "geometries": [RECTANGLE, {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}],
            },
            "open ring",
        ),
        ({"type": "Point", "coordinates": [0, 91]}, "latitudes -90..90"),
        ({"type": "Point", "coordinates": [500, 0]}, "longitudes -360..360"),
        ({"type": "Point", "coordinates": [float("nan"), 0]}, "empty|not a finite number"),
        ({"type": "Circle", "coordinates": [0, 0]}, "not a GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": "here"}, "not a GeoJSON geometry"),
        ({}, "not a GeoJSON geometry"),
    ],
)
def test_an_invalid_geometry_is_rejected(geometry, message):
    with pytest.raises(QueryError, match=message):
        Filter.parse(intersects=geometry)


@pytest.mark.parametrize(
    ("name", "op", "value", "message"),
    [
        ("eo:cloud_cover", "~", 1, "need one of"),
        ("eo:cloud_cover", "<", None, "need a number or text|takes a tuple"),
        ("eo:cloud_cover", "<", float("nan"), "finite"),
        ("eo:cloud_cover", "in", 3, "takes a tuple"),
        ("eo:cloud_cover", "in", (), "takes a tuple"),
        ("eo:cloud_cover", "is null", 3, "takes no value"),
        ("tasked", "<", True, "no order"),
    ],
)
def test_an_invalid_condition_is_rejected(name, op, value, message):
    with pytest.raises(QueryError, match=message):
        Property(name=name, op=op, value=value)


def test_a_property_of_no_scene_is_an_error_instead_of_an_empty_result(archive):
    with pytest.raises(
        QueryError, match=r"eo:cloudcover: no scene of this archive has it; available: eo:cloud_cover, gsd"
    ):
        nearest(archive, vectors(1, 1), 5, Filter(properties=(Property(name="eo:cloudcover", op="<", value=5),)))
    with pytest.raises(QueryError, match="no scene of this archive has text there"):
        nearest(archive, vectors(1, 1), 5, Filter(properties=(Property(name="gsd", op="=", value="10"),)))


def test_invalid_filters_are_rejected():
    with pytest.raises(QueryError, match="crosses ±180°"):
        Filter(boxes=(LonLatBox(west=170, south=0, east=-170, north=1),))
    with pytest.raises(QueryError, match="no time zone"):
        Filter(start=datetime(2020, 1, 1))  # noqa: DTZ001
    with pytest.raises(QueryError, match=r"bandsight:cloud_fraction -1; need 0\.\.1"):
        Filter.parse(max_cloud_fraction=-1)


def test_cloud_and_resolution_options_are_property_conditions():
    parsed = Filter.parse(max_cloud_cover=20, min_gsd_m=5, max_gsd_m=30, intersects=RECTANGLE)
    assert [(one.name, one.op, one.value) for one in parsed.properties] == [
        ("eo:cloud_cover", "<=", 20),
        ("gsd", ">=", 5),
        ("gsd", "<=", 30),
    ]
    assert [(box.west, box.north) for box in parsed.area.boxes] == [(0, 20)]
