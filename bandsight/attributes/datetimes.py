"""`datetime` as RFC 3339 has it."""

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
    """Return both ends (inclusive, UTC) of an instant, a year, a month, or an interval.

    A day without a time is refused, as STAC API demands.

    Raises:
        QueryError: It is neither, ends before it begins, or has two open ends.
    """
    upper = text.upper()
    ends = upper.split("/")
    wrong = [end for end in ends if end not in _OPEN and not _TIME.fullmatch(end)]
    if wrong or len(ends) > 2 or _OPEN.issuperset(ends):  # noqa: PLR2004
        raise QueryError(
            f"datetime: found {(wrong or [text])[0]!r}; need RFC 3339 with a time zone (2020-05-01T10:00:00Z), a year "
            "(2020) or a month (2020-05), or an interval of two, .. for one open end; "
            "a day is 2020-05-01T00:00:00Z/2020-05-01T23:59:59Z"
        )
    # Python knows no leap seconds, and reads six digits of a second at most.
    known = _FRACTION.sub(lambda found: f".{found[1][:6]}", _LEAP_SECOND.sub(":59", upper))
    return parse_interval(known)


def rfc3339(when: datetime) -> str:
    """Return a time in UTC as STAC writes it."""
    return when.isoformat().replace("+00:00", "Z")
