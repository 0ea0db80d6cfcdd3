"""CQL2 text: what the reference implementation makes of it, in time that grows with its length only."""

import time
from contextlib import suppress
from typing import Any

import cql2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.attributes.cql2_text import TextError, parse

VALID = [
    *(
        "a=1 and b=2 and c=3",
        "a=1 or b=2 and not c=3",
        "NOT a=1",
        "not (a=1)",
        "NOT NOT a=1",
        "TRUE",
        "A=TRUE or FALSE",
    ),
    *("a is null", "a is not null", "a in (1,'x')", "a not in (1)", "a between 1 and 2", "a not between 1 and 2"),
    *("a like 'x%'", "a not like 'x'", '"eo:cloud_cover" < 10', "eo:cloud_cover<10", "a.b=1", "a=-1", "a=+1", "a=1e5"),
    *("a = 1.5e3", "a=true", "a=b", "1=a", "a=1+2*3", "a=1-2-3", "a=2^3", "a = 1 div 2", "a=1 % 2", "a=-(1)", "a=-b"),
    *("casei(a)=casei('X')", "accenti(a)='x'", "f(a,1)", "f()=1", "f(a=1)", "a<>1", "a!=1", "a>=1 and  a<=2", "a=5."),
    *("a='it''s'", '"a""b"=1', "é=1", "a-b=1", "in=1", "a=null", "(a)=1", "(1)=a", "a=(1)", "(a=1)", "((a=1))"),
    *("((a=1) or (b=2)) and c=3", "a=1 AND (b=2 OR c=3) AND d=4", "a=1 AND (b=2 AND c=3)", "a=1 OR (b=2 OR c=3)"),
    "S_INTERSECTS(geometry, POINT(1 -2.5))",
    "s_intersects(geometry, POLYGON((0 0,1 0,1 1,0 0),(0.1 0.1,0.2 0.1,0.2 0.2,0.1 0.1)))",
    "S_INTERSECTS(geometry, BBOX(1,2,3,4))",
    "S_INTERSECTS(geometry, BBOX(-1,2,3,4))",
    "S_INTERSECTS(geometry,MULTIPOINT((1 2),(3 4)))",
    "S_INTERSECTS(geometry,MULTIPOINT(1 2,3 4))",
    "S_INTERSECTS(geometry,MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5))))",
    "S_INTERSECTS(geometry,MULTILINESTRING((0 0,1 0),(1 1,2 2)))",
    "S_INTERSECTS(geometry,GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1)))",
    "S_INTERSECTS(geometry,POINT Z(1 2 3))",
    "S_INTERSECTS(geometry,POLYGON Z ((0 0 1,1 0 1,1 1 1,0 0 1)))",
    "S_INTERSECTS(geometry,LINESTRING EMPTY)",
    "T_AFTER(datetime, DATE('2020-01-01'))",
    "T_AFTER(datetime, TIMESTAMP('2020-01-01T00:00:00Z'))",
    "T_DURING(datetime, INTERVAL('2020-01-01','..'))",
    "datetime >= TIMESTAMP('2020-01-01T00:00:00Z')",
    "A_CONTAINS(a,(1,2))",
    "collection='red' AND datetime>=DATE('2020-01-01')",
]
INVALID = [
    *("", "a=", "=1", "a==1", "a > = 1", "a=.5", "a='it\\'s'", "A=1;", "a in ()", "not=1", "a b", "a=1 and", "and a=1"),
    *(
        "(a=1",
        "a=1)",
        "a not 1",
        "a is 1",
        "a between 1",
        "POINT(1,2)",
        "f(",
        "f(,)",
        "'",
        '"',
        "a=1 x",
        "1 2",
        "a=1\0",
    ),
]


@pytest.mark.parametrize("text", VALID)
def test_valid_text_is_read_as_the_reference_implementation_reads_it(text: str) -> None:
    assert parse(text) == cql2.parse_text(text).to_json()


@pytest.mark.parametrize("text", INVALID)
def test_invalid_text_is_refused_with_the_position(text: str) -> None:
    with pytest.raises(TextError, match="at character"):
        parse(text)


_NAMES = st.sampled_from(["a", "b", '"eo:cloud_cover"', "datetime"])
_VALUES = st.sampled_from(
    ["1", "-2.5", "'x'", "TRUE", "(3)", "DATE('2020-01-01')", "1 + 2 * c", "-(c - 1)", "2 ^ 2 / d"]
)
_LEAVES = st.one_of(
    st.builds("{} {} {}".format, _NAMES, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), _VALUES),
    st.builds("{} IS NULL".format, _NAMES),
    st.builds("{} NOT IN ({}, {})".format, _NAMES, _VALUES, _VALUES),
    st.builds("{} BETWEEN {} AND {}".format, _NAMES, _VALUES, _VALUES),
)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({}) AND ({})".format, inner, inner),
        st.builds("{} OR {}".format, inner, inner),
        st.builds("NOT ({})".format, inner),
        st.builds("(({}))".format, inner),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(_LEAVES, _joined, max_leaves=6))
def test_random_filters_are_read_as_the_reference_implementation_reads_them(text: str) -> None:
    assert _without_equal_nesting(parse(text)) == _without_equal_nesting(cql2.parse_text(text).to_json())


def _without_equal_nesting(value: Any) -> Any:
    """Return an expression whose and, or, + and * have no parts of the same kind, which mean the same."""
    if isinstance(value, list):
        return [_without_equal_nesting(one) for one in value]
    if not isinstance(value, dict) or "op" not in value:
        return value
    args = [_without_equal_nesting(one) for one in value["args"]]
    if value["op"] in {"and", "or", "+", "*"}:
        same = (isinstance(one, dict) and one.get("op") == value["op"] for one in args)
        args = [inner for one, flat in zip(args, same, strict=True) for inner in (one["args"] if flat else [one])]
    return {"op": value["op"], "args": args}


@pytest.mark.parametrize(
    "text",
    [
        "(" * 30 + "1<u",
        "((a=1) or (" * 15 + "'x" + "))" * 15 + " x",
        "(a=1 and (" * 15 + "1 <" + "))" * 15,
        "(1+(" * 15 + "a is" + "))" * 15 + "=1",
        "f(" * 31 + "1",
        "(" * 9_000,
        "NOT " * 2_400,
        "a=" + "-" * 9_000,
        "a=" + "1+" * 4_900,
        "a=1" + " AND a=1" * 1_200,
        "S_INTERSECTS(geometry, " + "GEOMETRYCOLLECTION(" * 500,
        "'" * 9_999,
        '"' * 9_999,
        "a IN (" + "1," * 4_900,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    with suppress(TextError):
        parse(text)
    # Seconds of the processor. Parsers that backtrack take many more, up to years, for these.
    assert time.process_time() - start < 2
