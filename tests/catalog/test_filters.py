from datetime import UTC, datetime

import pytest

from bandsight.attributes.filters import Filter, parse_interval
from bandsight.errors import QueryError


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2020", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2020-02", datetime(2020, 2, 1, tzinfo=UTC), datetime(2020, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2019/2020-02", datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
        ("9999", datetime(9999, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2020-05-01", datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 5, 1, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2020-05-01T10:00:00Z", datetime(2020, 5, 1, 10, tzinfo=UTC), datetime(2020, 5, 1, 10, tzinfo=UTC)),
        ("2020-05-01T10:00:00+02:00/..", datetime(2020, 5, 1, 8, tzinfo=UTC), None),
        ("../2015-01-01", None, datetime(2015, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)),
        ("/2015-01-01T00:00:00Z", None, datetime(2015, 1, 1, tzinfo=UTC)),
    ],
)
def test_intervals_are_parsed_as_stac_defines_them(text, start, end):
    assert parse_interval(text) == (start, end)


@pytest.mark.parametrize("text", ["yesterday", "2020-13-01", "2020-01-02/2020-01-01", "../..", "/", "a/b/c"])
def test_an_invalid_interval_is_rejected_with_an_example(text):
    with pytest.raises(QueryError, match="datetime"):
        parse_interval(text)


def test_a_box_across_the_antimeridian_becomes_two():
    assert [(box.west, box.east) for box in Filter.parse(bbox="170,-10,-170,10").boxes] == [(170, 180), (-180, -170)]


def test_empty_parameters_give_an_empty_filter():
    assert Filter.parse().is_empty
    assert not Filter.parse(sensors=["rgb"]).is_empty
