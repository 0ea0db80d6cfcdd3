"""Filters evaluated on runs of tiles give the same result as on each tile."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.matching import AttributeView, matching
from bandsight.attributes.zones import RUN, common, rows_of, spread
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox

SCENES = 9
# Halves: sides of tiles and of filters are often equal.
SIDE = st.integers(-8, 8).map(lambda value: value / 2)


def scenes() -> SceneColumns:
    return SceneColumns(
        ids=np.arange(1, SCENES + 1, dtype=np.int64),
        times_us=np.arange(SCENES, dtype=np.int64),
        collections=np.array(["a", "b", "c"] * 3),
        sensors=np.full(SCENES, "s"),
        boxes=np.full((SCENES, 2, 4), np.nan),
        properties=tuple({"cloud": number, "flag": number % 2 == 0, "one": 1} for number in range(SCENES)),
    )


def view_of(count: int, seed: int) -> AttributeView:
    """Tiles of a few scenes, in runs that do not begin where zones do; some of two boxes, some of a deleted scene."""
    rng = np.random.default_rng(seed)
    scene_ids = np.sort(rng.integers(1, SCENES + 2, count))
    west, south = rng.integers(-8, 8, (2, count)) / 2 + scene_ids % 3
    boxes = np.full((count, 2, 4), np.nan)
    boxes[:, 0] = np.stack([west, south, west + 0.5, south + 0.5], 1)
    two = rng.random(count) < 0.02
    boxes[two, 1] = boxes[two, 0] + 3
    tiles = TileColumns(
        ids=np.arange(1, count + 1, dtype=np.int64),
        scene_ids=scene_ids,
        boxes=boxes,
        values={field.name: np.ones(count) for field in FIELDS.tile},
    )
    return AttributeView(tiles, scenes())


def brute(view: AttributeView, where: Filter) -> list[bool]:
    """The obvious way."""
    found = []
    for scene_id, pair in zip(view.tiles.scene_ids.tolist(), view.tiles.boxes, strict=True):
        own = [box for box in pair.tolist() if not np.isnan(box[0])]
        meets = not where.boxes or any(
            west <= box.east and east >= box.west and south <= box.north and north >= box.south
            for west, south, east, north in own
            for box in where.boxes
        )
        clear = all(scene_id - 1 < one.value for one in where.properties)
        there = scene_id <= SCENES and (not where.collections or "abc"[(scene_id - 1) % 3] in where.collections)
        found.append(meets and clear and there)
    return found


@given(
    st.integers(0, 5 * RUN + 3),
    st.integers(0, 5),
    st.lists(st.tuples(SIDE, SIDE, st.integers(0, 6), st.integers(0, 6)), max_size=2),
    st.none() | st.integers(0, SCENES),
    st.sampled_from([(), ("a",), ("b", "c")]),
)
@settings(max_examples=150, deadline=None)
def test_filters_by_box_and_scene_equal_a_check_of_each_tile(count, seed, boxes, cloud, collections):
    where = Filter(
        boxes=tuple(LonLatBox(west=w, south=s, east=w + dx / 2, north=s + dy / 2) for w, s, dx, dy in boxes),
        properties=() if cloud is None else (Property(name="cloud", op="<", value=cloud),),
        collections=collections,
    )
    view = view_of(count, seed)
    assert matching(view, where, pytest.fail).tolist() == brute(view, where)


def covered(area: Area, tiles: TileColumns, ids: np.ndarray) -> list[bool]:
    """The obvious way: the tiles' footprints are all of their boxes."""
    return [
        any(area.geometry.intersects(shapely.box(*box)) for box in tiles.boxes[tile_id - 1] if not np.isnan(box[0]))
        for tile_id in ids.tolist()
    ]


AREAS = st.one_of(
    st.tuples(SIDE, SIDE, st.integers(1, 9), st.integers(1, 9)).map(
        lambda one: Area.from_box(LonLatBox(west=one[0], south=one[1], east=one[0] + one[2], north=one[1] + one[3]))
    ),
    st.tuples(SIDE, SIDE, st.integers(1, 9)).map(
        lambda one: Area(shapely.Point(one[0], one[1]).buffer(one[2] / 2, quad_segs=3))
    ),
    st.tuples(SIDE, SIDE).map(
        lambda one: Area(
            shapely.MultiPolygon([shapely.box(one[0], one[1], one[0] + 2, one[1] + 1), shapely.box(-9, -9, -5, -6)])
            if one[0] > -4
            else shapely.LineString([one, (3, 3)])
        )
    ),
)


@given(st.integers(0, 5 * RUN + 3), st.integers(0, 5), AREAS, st.sampled_from([0, 2, 10_000]))
@settings(max_examples=120, deadline=None)
def test_filters_by_area_equal_a_check_of_each_tile(count, seed, area, few_runs):
    view = view_of(count, seed)

    def footprints(ids):
        both = [[shapely.box(*box) for box in view.tiles.boxes[one - 1] if not np.isnan(box[0])] for one in ids]
        return np.array([shapely.union_all(parts) for parts in both], object)

    expected = np.array(covered(area, view.tiles, view.tiles.ids), bool) & view.alive
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bandsight.attributes.matching._FEW_RUNS", few_runs)
        assert matching(view, Filter(area=area), footprints).tolist() == expected.tolist()


def test_cached_scene_masks_belong_to_the_same_filter():
    view = view_of(700, 3)
    both = Filter(properties=(Property(name="flag", op="=", value=True),))
    assert 0 < matching(view, both, pytest.fail).sum() < view.living
    one = Filter(properties=(Property(name="one", op="=", value=1),))
    for _ in range(2):
        assert matching(view, one, pytest.fail).sum() == view.living
    nothing = Filter(none_of=(one,))
    for _ in range(2):
        assert not matching(view, nothing, pytest.fail).any()


def test_runs_have_the_stated_length():
    values = np.repeat(np.arange(4, dtype=np.int32), [RUN, RUN - 1, 2, 5])
    assert common(values).tolist() == [0, -1, -1] if RUN > 6 else True
    assert rows_of(np.array([0, 2]), 2 * RUN + 6).tolist() == [*range(RUN), *range(2 * RUN, 2 * RUN + 6)]
    assert spread(np.array([True, False]), RUN + 3).tolist() == [True] * RUN + [False] * 3
    assert not len(common(np.empty(0, np.int32)))
