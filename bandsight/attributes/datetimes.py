"""The `datetime` parameter of OGC API and STAC, and RFC 3339 timestamps."""

import re
from datetime import datetime

from bandsight.attributes.filters import parse_interval
from bandsight.errors import QueryError

MAX_CHARS = 100
_OPEN = frozenset({"", ".."})
_TIME = re.compile(r"\d{4}(?:-\d\d)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)")
_FRACTION = re.compile(r"\.(\d+)")
_LEAP_SECOND = re.compile(r"(?<=:59):60(?=[.Z+-])")


def interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Return both ends (inclusive, UTC) of an instant, year, month or interval.

    A date without a time is rejected, as STAC API requires.

    Raises:
        QueryError: The text is none of these, the interval ends before it starts, or both ends are open.
    """
    upper = text.upper()
    ends = upper.split("/")
    wrong = [end for end in ends if end not in _OPEN and not _TIME.fullmatch(end)]
    if wrong or len(ends) > 2 or _OPEN.issuperset(ends):  # noqa: PLR2004
        raise QueryError(
            f"datetime: found {(wrong or [text])[0]!r}; need RFC 3339 with a time zone (2020-05-01T10:00:00Z), a year "
            "(2020) or a month (2020-05), or an interval of two of these, with .. for an open end; "
            "for a day, use 2020-05-01T00:00:00Z/2020-05-01T23:59:59Z"
        )
    # Python has no leap seconds, and parses at most six decimals of a second.
    known = _FRACTION.sub(lambda found: f".{found[1][:6]}", _LEAP_SECOND.sub(":59", upper))
    return parse_interval(known)


def rfc3339(when: datetime) -> str:
    """Return a UTC time in the RFC 3339 format of STAC."""
    return when.isoformat().replace("+00:00", "Z")
