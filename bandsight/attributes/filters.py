"""Filters on tiles and scenes, in one form that every vector store understands."""

import math
import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from bandsight.attributes.fields import CLOUD_FRACTION, FIELDS, GSD
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox

_DATE_LENGTH = len("2020-01-01")
_YEAR_OR_MONTH = re.compile(r"\d{4}(-\d\d)?")
_LAST_OF_DAY = timedelta(days=1, microseconds=-1)
_OPEN = ("", "..")
MAX_DATETIME_CHARS = 100
_TIME = re.compile(r"\d{4}(?:-\d\d)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)")
_FRACTION = re.compile(r"\.(\d+)")
_LEAP_SECOND = re.compile(r"(?<=:59):60(?=[.Z+-])")
_OPERATORS = ("=", "<", "<=", ">", ">=", "in", "is null")
CLOUD_COVER = "eo:cloud_cover"
"""STAC name for a scene's cloud cover, percent."""

Scalar = str | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A condition on a tile field or a property of the tile's scene. For unknown values, only `is null` holds."""

    name: str
    """STAC name, e.g. `eo:cloud_cover`."""
    op: str
    """`=`, `<`, `<=`, `>`, `>=`, `in` or `is null`; negate with `~` for not equal."""
    value: Scalar | tuple[Scalar, ...] | None = None
    """A number, text or (for `=`) boolean to compare with; a tuple for `in`; None for `is null`."""

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            raise QueryError(f"filter: property {self.name}: operator {self.op!r}; need one of {', '.join(_OPERATORS)}")
        if self.op == "is null":
            if self.value is not None:
                raise QueryError(f"filter: property {self.name}: `is null` takes no value, found {self.value!r}")
            return
        if (self.op == "in") != isinstance(self.value, tuple) or not self.values:
            raise QueryError(
                f"filter: property {self.name} {self.op} {self.value!r}: `in` takes a tuple of values, other "
                "operators a single one"
            )
        for value in self.values:
            self._check(value)

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The values to compare with, as a tuple."""
        if self.value is None:
            return ()
        return self.value if isinstance(self.value, tuple) else (self.value,)

    def _check(self, value: object) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not isinstance(value, get_args(Scalar)) and not number:
            raise QueryError(
                f"filter: property {self.name}: found {value!r}; need a number or text, or the operator `is null`"
            )
        if number and not math.isfinite(value):  # type: ignore[arg-type]
            raise QueryError(f"filter: property {self.name}: found {value!r}; need a finite number")
        if isinstance(value, bool) and self.op not in {"=", "in"}:
            raise QueryError(f"filter: property {self.name} {self.op} {value}: true and false have no order; use =")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions that must all hold; an empty filter matches every tile.

    Combine filters with `a & b`, `a | b` and `~a`. As in SQL and CQL2, a condition on an unknown value (no time, no
    such property) is neither true nor false, so neither it nor its negation matches.
    """

    boxes: tuple[LonLatBox, ...] = ()
    """The tile's box intersects one of these (touching counts). None may cross ±180°."""
    area: Area | None = None
    """The tile's exact footprint intersects this geometry."""
    start: datetime | None = None
    """Earliest acquisition time (UTC, inclusive)."""
    end: datetime | None = None
    """Latest acquisition time (UTC, inclusive)."""
    collections: tuple[str, ...] = ()
    """The scene belongs to one of these collections."""
    sensors: tuple[str, ...] = ()
    """The scene has one of these sensor profiles."""
    scenes: tuple[int, ...] = ()
    """The tile belongs to one of these scenes."""
    properties: tuple[Property, ...] = ()
    """Conditions on tile fields (`bandsight.attributes.fields`) and on any property of the scene."""
    exclude: tuple[int, ...] = ()
    """The tile is not one of these."""
    up_to: int | None = None
    """Largest tile id; limits the search to tiles that existed when this one was the newest."""
    all_of: "tuple[Filter, ...]" = ()
    """All of these match."""
    any_of: "tuple[Filter, ...]" = ()
    """At least one of these matches, if there are any."""
    none_of: "tuple[Filter, ...]" = ()
    """None of these matches (each is false, not unknown)."""

    def __post_init__(self) -> None:
        for box in self.boxes:
            if box.west > box.east:
                raise QueryError(
                    f"filter: box {box.west:g} to {box.east:g} crosses ±180°; pass the boxes returned by its split()"
                )
        for name in ("start", "end"):
            when = getattr(self, name)
            if when is not None and when.tzinfo is None:
                raise QueryError(f"filter: {name} {when.isoformat()} has no time zone; need UTC")

    def __and__(self, other: "Filter") -> "Filter":
        return Filter(all_of=(self, other))

    def __or__(self, other: "Filter") -> "Filter":
        return Filter(any_of=(self, other))

    def __invert__(self) -> "Filter":
        return Filter(none_of=(self,))

    @property
    def is_empty(self) -> bool:
        """Whether the filter matches every tile."""
        return self == Filter()

    @classmethod
    def parse(
        cls,
        *,
        bbox: str | Sequence[float] | None = None,
        datetime: str | None = None,
        collections: Iterable[str] = (),
        sensors: Iterable[str] = (),
        exclude: Iterable[int] = (),
        intersects: Mapping[str, Any] | None = None,
        max_cloud_cover: float | None = None,
        min_gsd_m: float | None = None,
        max_gsd_m: float | None = None,
        max_cloud_fraction: float | None = None,
        properties: Iterable[Property] = (),
    ) -> "Filter":
        """Return a filter from command-line options or STAC query parameters.

        Args:
            bbox: `west,south,east,north` in degrees, or four numbers; west > east crosses ±180°.
            datetime: A day, an RFC 3339 instant, or an interval `start/end` with `..` for an open end.
            collections: Names; empty means any.
            sensors: Names; empty means any.
            exclude: Tile ids to leave out.
            intersects: GeoJSON geometry that footprints must intersect.
            max_cloud_cover: Maximum cloud cover of the scene, percent.
            min_gsd_m: Minimum ground sample distance of the scene, m.
            max_gsd_m: Maximum ground sample distance of the scene, m.
            max_cloud_fraction: Maximum cloudy fraction of the tile itself, 0..1.
            properties: Further conditions on scene properties.

        Raises:
            QueryError: A value is invalid.
        """
        box = None
        if bbox is not None:
            box = LonLatBox.from_text(bbox) if isinstance(bbox, str) else LonLatBox.from_sequence(bbox)
        start, end = parse_interval(datetime) if datetime else (None, None)
        bounds = (
            (CLOUD_COVER, "<=", max_cloud_cover),
            (GSD, ">=", min_gsd_m),
            (GSD, "<=", max_gsd_m),
            (CLOUD_FRACTION, "<=", max_cloud_fraction),
        )
        for name, _, value in bounds:
            if value is not None and (field := FIELDS.tile_field(name)) is not None:
                field.check(value)
        return cls(
            boxes=tuple(box.split()) if box else (),
            area=Area.from_geojson(intersects) if intersects is not None else None,
            start=start,
            end=end,
            collections=tuple(collections),
            sensors=tuple(sensors),
            exclude=tuple(exclude),
            properties=(
                *(Property(name=name, op=op, value=value) for name, op, value in bounds if value is not None),
                *properties,
            ),
        )


def parse_datetime(text: str) -> tuple[datetime | None, datetime | None]:
    """Return both ends (inclusive, UTC) of the parameter `datetime` of OGC API and STAC.

    Unlike `parse_interval`, this rejects a date without a time, as STAC API requires.

    Raises:
        QueryError: The text is none of these, the interval ends before it starts, or both ends are open.
    """
    upper = text.upper()
    ends = upper.split("/")
    wrong = [end for end in ends if end not in _OPEN and not _TIME.fullmatch(end)]
    if wrong or len(ends) > 2 or set(ends) <= set(_OPEN):  # noqa: PLR2004
        raise QueryError(
            f"datetime: found {(wrong or [text])[0]!r}; need RFC 3339 with a time zone (2020-05-01T10:00:00Z), a year "
            "(2020) or a month (2020-05), or an interval of two of these, with .. for an open end; "
            "for a day, use 2020-05-01T00:00:00Z/2020-05-01T23:59:59Z"
        )
    # Python has no leap seconds, and parses at most six decimals of a second.
    known = _FRACTION.sub(lambda found: f".{found[1][:6]}", _LEAP_SECOND.sub(":59", upper))
    return parse_interval(known)


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Return both ends (inclusive, UTC) of a year, month, day, instant, or STAC interval of two of these.

    Raises:
        QueryError: The text is none of these, or the interval is empty.
    """
    parts = text.strip().split("/")
    if len(parts) > 2 or not any(part.strip() not in _OPEN for part in parts):  # noqa: PLR2004
        raise QueryError(
            f"datetime {text!r}: need a year (2020), a month (2020-05), a day (2020-05-01), an instant "
            "(2020-05-01T10:00:00Z) or an interval (2020-01-01/2020-12-31, ../2015)"
        )
    first, last = parts[0].strip(), parts[-1].strip()
    start = None if first in _OPEN else _first_instant(first, text)
    end = None if last in _OPEN else _last_instant(last, text)
    if start and end and start > end:
        raise QueryError(f"datetime {text!r}: the interval ends before it starts; swap its ends")
    return start, end


def _first_instant(text: str, whole: str) -> datetime:
    if _YEAR_OR_MONTH.fullmatch(text):
        return _instant(f"{text}-01" if "-" in text else f"{text}-01-01", whole)
    return _instant(text, whole)


def _last_instant(text: str, whole: str) -> datetime:
    begin = _first_instant(text, whole)
    if _YEAR_OR_MONTH.fullmatch(text):
        months = 1 if "-" in text else 12
        last = begin.replace(month=begin.month + months - 1)
        return last.replace(day=monthrange(last.year, last.month)[1]) + _LAST_OF_DAY
    return begin + _LAST_OF_DAY if len(text) == _DATE_LENGTH else begin


def _instant(text: str, whole: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(
            f"datetime {whole!r}: {text!r} is not a date; write it like 2020, 2020-05, 2020-05-01 or "
            "2020-05-01T10:00:00Z"
        ) from error
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise QueryError(f"datetime {whole!r}: {text!r} is outside the years 1 to 9999 in UTC") from error
