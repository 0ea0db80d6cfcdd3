"""Checking a row by its stored text gives the same result as checking its values."""

import json

import pytest

from bandsight.catalog.sql.rows import checksum_by_text, geometry_text, is_as_written, row_checksum
from bandsight.catalog.sql.tables import TileRow

TABLE = TileRow.__table__


def row(**changed):
    made = dict.fromkeys((column.name for column in TABLE.columns), 1.5)
    made |= dict.fromkeys(("id", "scene_id", "scale", "col_off", "row_off", "width", "height"), 2)
    made |= {"cell": 'a "cell", "coordinates": é', "west2": None, "cloud_fraction": None}
    made["geometry"] = {"type": "Polygon", "coordinates": [[[1e-7, 2], [1e22, 4.5], [-0.1, 1], [1e-7, 2]]]}
    made |= changed
    return made | {"checksum": row_checksum(TABLE, made)}


@pytest.mark.parametrize("cloud", [None, 0.25])
def test_an_unchanged_row_is_recognised_by_its_text(cloud):
    sound = row(cloud_fraction=cloud)
    assert is_as_written(TABLE, sound, json.dumps(sound["geometry"]))


def test_any_change_of_text_or_values_is_detected():
    sound = row()
    text = json.dumps(sound["geometry"])
    for at in range(len(text)):
        other = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        assert not is_as_written(TABLE, sound, other)
    assert not is_as_written(TABLE, sound | {"west": 1.25}, text)


@pytest.mark.parametrize(
    "text", ["", "null", "{}", '{"coordinates": [], "type": "Polygon"}', '{"type":"Polygon","coordinates":[]}']
)
def test_text_of_another_form_is_left_to_the_slow_check(text):
    assert not is_as_written(TABLE, row(), text)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[1e-7, 2.0], [1e22, 4.5], [-0.1, 1.0], [1e-7, 2.0]]]},
        {"type": "Polygon", "coordinates": [[[12.3456789, -0.0], [0.0001, 4.5], [-179.9999999, 90.0]]]},
        {"type": "MultiPolygon", "coordinates": [[[[1.25, 2], [3, 4]]], [[[5.5, 6], [7, 8]]]]},
        {"coordinates": [[[1.5, 2.5]]], "type": "Polygon"},
    ],
)
def test_a_geometry_is_written_as_json_writes_it(geometry):
    text = geometry_text(geometry)
    assert text == json.dumps(geometry)
    found = checksum_by_text(TABLE, row(geometry=geometry), text)
    assert found in {None, row(geometry=geometry)["checksum"]}
