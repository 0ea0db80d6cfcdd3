"""Parses CQL2, text or JSON, into archive filters.

Supports `and`, `or`, `not`, comparisons of a property with a value, `in`, `between`, `isNull`, `s_intersects` with the
geometry and `t_before`, `t_after`, `t_during`, `t_intersects`, `t_equals` with the time. Any other operator is an error
that names it.
"""

import json
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal

from bandsight.attributes import cql2_text
from bandsight.attributes.fields import FIELDS, scene_ids, scenes_collection, tile_ids, tiles_collection
from bandsight.attributes.filters import Filter, Property, Scalar
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.geo.vertices import check_vertices

Kind = Literal["tile", "scene"]
"""What a filter applies to."""

MAX_CHARS = 10_000
_MAX_DEPTH, _MAX_NODES = 32, 1000
MAX_VALUES = 2000
"""Maximum total number of values in a filter; vertices are limited separately."""
# Invalid values are truncated to this length in errors.
_QUOTED_CHARS = 60
_TICK = timedelta(microseconds=1)
_TIMED = ("t_before", "t_after", "t_during", "t_intersects", "t_equals")
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_OPERATORS = (
    "and, or, not, =, <>, <, <=, >, >=, in, between, isNull, s_intersects, t_before, t_after, t_during, t_intersects "
    "and t_equals"
)
NOTHING = ~Filter()


def parse_text(text: str) -> Any:
    """Return CQL2 text as CQL2 JSON.

    Raises:
        QueryError: The text is too long, too deeply nested, or not CQL2.
    """
    if len(text) > MAX_CHARS:
        raise QueryError(f"filter: found {len(text)} characters; at most {MAX_CHARS} are allowed, so shorten it")
    try:
        parsed = cql2_text.parse(text)
    except cql2_text.TextError as error:
        raise QueryError(f'filter: not valid CQL2 text ({error}); e.g. "eo:cloud_cover" < 10') from error
    # A chain of operators without brackets is as deep as it is long.
    return parse_json(parsed)


def parse_json(value: Any) -> Any:
    """Return CQL2 JSON, given as text or already parsed, after checking its size.

    Raises:
        QueryError: The value is not JSON, too large, or too deeply nested.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise QueryError(
                f"filter: not valid JSON ({str(error)[:100]}); need CQL2 JSON, or filter-lang=cql2-text"
            ) from error
    if not isinstance(value, (dict, bool)):
        raise QueryError(f"filter: found {_quoted(value)}; need an object with op and args, as in CQL2 JSON")
    nodes = values = 0
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        nodes += isinstance(part, dict)
        values += not isinstance(part, (dict, list, bool))
        if values > MAX_VALUES:
            raise QueryError(f"filter: more than {MAX_VALUES:,} values; shorten its lists")
        if depth > _MAX_DEPTH or nodes > _MAX_NODES:
            raise QueryError(
                f"filter: more than {_MAX_NODES} parts, or more than {_MAX_DEPTH} nested levels; shorten it"
            )
        # Vertices are counted when the geometry is parsed.
        inner = (
            (one for name, one in part.items() if name != "coordinates")
            if isinstance(part, dict)
            else part
            if isinstance(part, list)
            else ()
        )
        waiting += [(one, depth + 1) for one in inner]
    return value


def to_filter(expression: Any, kind: Kind, names: Sequence[str] = ()) -> Filter:
    """Return an expression as a filter of tiles or scenes.

    Args:
        expression: CQL2 JSON.
        kind: What the filter applies to.
        names: The archive's tile collections; needed for order comparisons of collection names.

    Raises:
        QueryError: The expression uses an unsupported operator or comparison.
    """
    return _Reading(kind, tuple(names)).read(expression)


@dataclass(frozen=True, slots=True)
class _Reading:
    kind: Kind
    names: tuple[str, ...]

    def read(self, said: Any) -> Filter:
        if isinstance(said, bool):
            return Filter() if said else NOTHING
        if not isinstance(said, dict) or not isinstance(said.get("op"), str) or not isinstance(said.get("args"), list):
            raise QueryError(f"filter: found {_quoted(said)} where a condition (op and args) is needed")
        op, args = said["op"], said["args"]
        lowered = op.lower()
        read = self._readers().get(lowered)
        if read is None:
            raise QueryError(f"filter: operator {op[:60]!r} is not supported; there are {_OPERATORS}")
        counts, how = read
        if not counts[0] <= len(args) <= counts[1]:
            needed = f"{counts[0]}" if counts[0] == counts[1] else f"at least {counts[0]}"
            raise QueryError(f"filter: {op}: found {len(args)} arguments; need {needed}")
        return how(*args)

    def _readers(self) -> dict[str, tuple[tuple[int, int], Callable[..., Filter]]]:
        """Return the allowed argument counts and the reader of each operator."""
        two = (2, 2)
        compared = {op: (two, partial(self._compare, op)) for op in _FLIPPED}
        timed = {op: (two, partial(self._when, op)) for op in _TIMED}
        return {
            "and": ((1, _MAX_NODES), lambda *parts: Filter(all_of=tuple(map(self.read, parts)))),
            "or": ((1, _MAX_NODES), lambda *parts: Filter(any_of=tuple(map(self.read, parts)))),
            "not": ((1, 1), lambda part: ~self.read(part)),
            "in": (two, self._among),
            "between": ((3, 3), lambda one, low, high: self._compare(">=", one, low) & self._compare("<=", one, high)),
            "isnull": ((1, 1), lambda one: self._is_null(_name(one, "isNull"))),
            "s_intersects": (two, self._meets),
            **compared,
            **timed,
        }

    def _among(self, one: Any, values: Any) -> Filter:
        if not isinstance(values, list) or not values:
            raise QueryError(f"filter: in: found {_quoted(values)}; need a list of values")
        return Filter(any_of=tuple(self._compare("=", one, value) for value in values))

    def _compare(self, op: str, one: Any, other: Any) -> Filter:
        if not _is_property(one) and _is_property(other):
            one, other, op = other, one, _FLIPPED[op]
        name = _name(one, op)
        if op == "<>":
            return ~self._compare("=", one, other)
        match name:
            case "datetime":
                return _time(op, *_instant(other, f"datetime {op}"))
            case "geometry":
                raise QueryError("filter: geometry: compare it with s_intersects")
            case "collection" if op != "=":
                return self._collections(_ORDER[op], _text(other, name))
            case "id" | "collection" | "bandsight:sensor" | "bandsight:scene":
                if op != "=":
                    raise QueryError(f"filter: {name} {op}: names have no order; use =, <> or in")
                return self._named(name, _text(other, name))
            case _:
                value = _scalar(other, name) if FIELDS.tile_field(name) is None else _number(other, name)
                return Filter(properties=(Property(name=name, op=op, value=value),))

    def _collections(self, holds: Callable[[str, str], bool], value: str) -> Filter:
        called = (lambda name: name) if self.kind == "tile" else scenes_collection
        own = tuple(name for name in self.names if holds(called(name), value))
        return Filter(collections=own) if own else NOTHING

    def _named(self, name: str, value: str) -> Filter:
        of_tiles = self.kind == "tile"
        match name:
            case "id":
                ids = tile_ids([value]) if of_tiles else scene_ids([value])
                return ~Filter(exclude=ids) if ids else NOTHING
            case "collection":
                own = value if of_tiles else tiles_collection(value)
                return NOTHING if own is None else Filter(collections=(own,))
            case "bandsight:sensor":
                return Filter(sensors=(value,))
            case _:
                ids = scene_ids([value])
                return Filter(scenes=ids) if ids else NOTHING

    def _is_null(self, name: str) -> Filter:
        if name == "datetime":
            raise QueryError("filter: isNull: datetime is not supported; scenes without a datetime match no comparison")
        if name in {"id", "geometry", "collection", "bandsight:sensor", "bandsight:scene"}:
            return NOTHING
        return Filter(properties=(Property(name=name, op="is null"),))

    def _meets(self, one: Any, other: Any) -> Filter:
        if not _is_property(one):
            one, other = other, one
        if _name(one, "s_intersects") != "geometry":
            raise QueryError(f"filter: s_intersects: found property {one['property']!r}; need geometry")
        if isinstance(other, dict) and isinstance(other.get("bbox"), list):
            try:
                return Filter(area=Area.from_box(LonLatBox.from_sequence(_numbers(other["bbox"]))))
            except QueryError as error:
                raise QueryError(f"filter: s_intersects: {error}") from error
        if not isinstance(other, dict):
            raise QueryError(f"filter: s_intersects: found {_quoted(other)}; need a geometry or a bbox")
        check_vertices(other, "filter")
        return Filter(area=Area.from_geojson(other, "filter: s_intersects"))

    def _when(self, op: str, one: Any, other: Any) -> Filter:
        if _name(one, op) != "datetime":
            raise QueryError(f"filter: {op}: found property {one['property']!r}; need datetime")
        start, end = _interval(other, op)
        match op:
            case "t_before":
                return NOTHING if start is None else Filter(end=_shift(start, -_TICK))
            case "t_after":
                return NOTHING if end is None else Filter(start=_shift(end, _TICK))
            case "t_during":
                return Filter(
                    start=None if start is None else _shift(start, _TICK),
                    end=None if end is None else _shift(end, -_TICK),
                )
            case "t_equals":
                if start is None or start != end:
                    raise QueryError("filter: t_equals: a time cannot equal an interval; need a timestamp")
                return Filter(start=start, end=end)
            case _:
                return Filter(start=start, end=end)


def _is_property(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("property"), str)


def _name(value: Any, op: str) -> str:
    if not _is_property(value):
        if isinstance(value, dict) and isinstance(value.get("op"), str):
            raise QueryError(f"filter: operator {value['op'][:60]!r} inside {op} is not supported; need a property")
        raise QueryError(f"filter: {op}: found {_quoted(value)} where a property is needed")
    return str(value["property"]).removeprefix("properties.")


def _scalar(value: Any, name: str) -> Scalar:
    if isinstance(value, dict) and isinstance(value.get("op"), str):
        raise QueryError(f"filter: operator {value['op'][:60]!r} is not supported; compare {name} with a value")
    if _is_property(value):
        raise QueryError(f"filter: {name}: found another property; compare it with a value")
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("timestamp", value.get("date")), str):
        return str(value.get("timestamp", value.get("date")))
    if isinstance(value, (str, bool)):
        return value
    return _number(value, name)


def _number(value: Any, name: str) -> float:
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise QueryError(
            f"filter: {name}: found {_quoted(value)}; need a finite number, text, true or false, "
            "depending on the property"
        )
    return number


def _numbers(values: list[Any]) -> list[float]:
    return [_number(value, "bbox") for value in values]


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise QueryError(f"filter: {name}: found {_quoted(value)}; need text")
    return value


def _time(op: str, first: datetime, last: datetime) -> Filter:
    """Return the filter that compares the time with an instant, or with a day from its first to its last moment."""
    match op:
        case "=":
            return Filter(start=first, end=last)
        case "<":
            return Filter(end=_shift(first, -_TICK))
        case "<=":
            return Filter(end=last)
        case ">":
            return Filter(start=_shift(last, _TICK))
        case _:
            return Filter(start=first)


def _shift(when: datetime, by: timedelta) -> datetime:
    try:
        return when + by
    except OverflowError:
        return when


def _interval(value: Any, op: str) -> tuple[datetime | None, datetime | None]:
    ends = value.get("interval") if isinstance(value, dict) else None
    if ends is None:
        return _instant(value, op)
    if not isinstance(ends, list) or len(ends) != 2:  # noqa: PLR2004
        raise QueryError(f"filter: {op}: found interval {_quoted(ends)}; need two ends, `..` for an open one")
    start = None if ends[0] == ".." else _instant(ends[0], op)[0]
    end = None if ends[1] == ".." else _instant(ends[1], op)[1]
    if start is not None and end is not None and start > end:
        raise QueryError(f"filter: {op}: the interval ends before it starts; swap its ends")
    return start, end


def _instant(value: Any, where: str) -> tuple[datetime, datetime]:
    """Return the first and the last moment of a timestamp or a date."""
    if isinstance(value, dict):
        value = value.get("timestamp", value.get("date"))
    try:
        if isinstance(value, str) and len(value) == len("2020-01-01"):
            day = datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
            return day, _shift(day, timedelta(days=1) - _TICK)
        when = datetime.fromisoformat(value)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(
            f"filter: {where}: found {_quoted(value)}; need TIMESTAMP('2020-05-01T10:00:00Z') or DATE('2020-05-01')"
        ) from error
    return when, when


def _quoted(value: object) -> str:
    """Return an invalid value for an error message, truncated if long."""
    text = repr(value)
    return text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}…"
