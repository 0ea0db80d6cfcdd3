"""Columns on disk, and boxes rounded for a quick look."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.attributes.columns import TileColumns, rounded_outwards
from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import AttributeView, matching
from bandsight.geo.box import LonLatBox
from bandsight.vectors.local.column_files import load_columns, save_columns, sound_columns
from tests.vectors.test_stores import columns, scenes

# Numbers that float32 cannot tell apart, beside some that it can.
CLOSE = [
    near for side in (-180.0, -10.1, 0.0, 1e-30, 10.1, 90.0 / 7, 180.0) for near in (float(np.nextafter(side, 0)), side)
]
SIDES = st.sampled_from([*CLOSE, *(float(np.float32(side)) for side in CLOSE)])
SPANS = st.tuples(SIDES, SIDES).map(sorted)
NORTH = st.tuples(SIDES, SIDES).map(lambda pair: sorted(float(np.clip(side, -90, 90)) for side in pair))


def tiles_of(boxes: list) -> TileColumns:
    """One tile a box; a pair of boxes is one tile of two."""
    made = TileColumns.empty(np.arange(1, len(boxes) + 1))
    made.scene_ids[:] = 1
    for row, parts in enumerate(boxes):
        for part, ((west, east), (south, north)) in enumerate(parts):
            made.boxes[row, part] = west, south, east, north
    return made


PARTS = st.lists(st.tuples(SPANS, NORTH), min_size=1, max_size=2)


@given(st.lists(PARTS, min_size=1, max_size=12), st.lists(st.tuples(SPANS, NORTH), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_rounded_boxes_decide_as_the_boxes_themselves_to_the_last_digit(tiles, wanted):
    asked = tuple(LonLatBox(west=w, south=s, east=e, north=n) for (w, e), (s, n) in wanted)
    expected = [
        any(
            w <= box.east and e >= box.west and s <= box.north and n >= box.south
            for (w, e), (s, n) in parts
            for box in asked
        )
        for parts in tiles
    ]
    found = matching(AttributeView(tiles_of(tiles), scenes(1)), Filter(boxes=asked), pytest.fail)
    assert found.tolist() == expected


def test_rounded_boxes_are_never_smaller():
    boxes = np.random.default_rng(0).uniform(-90, 90, (1000, 2, 4))
    boxes[:, 1] = np.nan
    rounded = rounded_outwards(boxes).astype(np.float64)
    assert (rounded[:2] <= boxes[:, 0, :2].T).all()
    assert (rounded[2:] >= boxes[:, 0, 2:].T).all()


def test_columns_come_back_as_they_were_and_take_no_memory_of_their_own(tmp_path):
    made = columns(1, 500)
    save_columns(tmp_path / "seg-1", made)
    loaded = load_columns(tmp_path / "seg-1", made.ids)
    assert loaded is not None
    assert loaded.agrees(made)
    np.testing.assert_array_equal(loaded.bounds, rounded_outwards(made.boxes))
    for values in (loaded.ids, loaded.boxes, loaded.bounds, loaded.values["valid_fraction"], loaded.scene_ids):
        base = values
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)


@pytest.mark.parametrize("offset", [0, 9, 13, 20, 64, 5000, -1])
def test_a_bit_flipped_anywhere_in_columns_is_found(tmp_path, offset):
    made = columns(1, 500)
    save_columns(tmp_path / "seg-1", made)
    file = tmp_path / "seg-1.bsc"
    assert sound_columns(file)
    data = bytearray(file.read_bytes())
    data[offset] ^= 4
    file.write_bytes(data)
    assert not sound_columns(file)
    assert load_columns(tmp_path / "seg-1", made.ids) is None
    os.truncate(file, len(data) - 1)
    assert not sound_columns(file)


def test_files_of_the_former_version_are_read_as_they_are(tmp_path):
    made = columns(1, 500)
    save_columns(tmp_path / "seg-1", made)
    file = tmp_path / "seg-1.bsc"
    data = bytearray(file.read_bytes())
    # Version 2 had the same columns, and no fields in its header.
    data[8], data[48:64] = 2, bytes(16)
    file.write_bytes(data)
    loaded = load_columns(tmp_path / "seg-1", made.ids)
    assert loaded is not None
    assert loaded.agrees(made)
