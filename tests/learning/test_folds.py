import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from bandsight.learning.folds import folds, places


def squares(*corners: tuple[float, float]) -> np.ndarray:
    return np.array([shapely.box(x, y, x + 1, y + 1) for x, y in corners], object)


def test_tiles_that_overlap_touch_or_nearly_touch_are_one_place():
    found = places(squares((0, 0), (0.5, 0.5), (1.5, 0), (2.9, 0), (10, 10), (10, 10)))
    assert len({found[0], found[1], found[2], found[3]}) == 1
    assert found[4] == found[5] != found[0]


def test_an_area_that_is_labelled_as_a_whole_is_divided_into_blocks_with_all_dates_of_a_ground_in_one():
    lattice = [(x, y) for x in range(12) for y in range(12)]
    shifted = [(x + 0.02, y - 0.03) for x, y in lattice]
    found = places(squares(*lattice, *shifted))
    assert np.array_equal(found[:144], found[144:])
    counts = np.bincount(found)
    assert len(counts) >= 16
    assert counts.max() <= 2 * 16


def test_a_footprint_across_the_antimeridian_is_near_its_neighbours_only():
    across = shapely.MultiPolygon([shapely.box(179.5, 0, 180, 1), shapely.box(-180, 0, -179.5, 1)])
    found = places(np.array([across, shapely.box(-179.4, 0, -178.4, 1), shapely.box(0, 0, 1, 1)], object))
    assert found[0] == found[1] != found[2]


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60))
def test_no_place_is_in_two_folds_and_each_fold_has_both_kinds(labels):
    groups = np.array([group for group, _ in labels])
    positive = np.array([truth for _, truth in labels])
    found = folds(groups, positive)
    if found is None:
        return
    for group in np.unique(groups):
        assert len(set(found[groups == group].tolist())) == 1
    for one in np.unique(found):
        assert set(positive[found == one].tolist()) == {True, False}


def test_labels_of_one_place_cannot_be_split():
    assert folds(np.zeros(10, int), np.arange(10) % 2 == 0) is None
