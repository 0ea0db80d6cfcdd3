"""When a scene was taken, from what its files say: metadata first, then the names that products carry."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from indexer.datetimes import parse_time

# Tags that mean acquisition; TIFFTAG_DATETIME comes last, since some writers put the time of processing there.
_TAGS = (
    "ACQUISITIONDATETIME",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "PRODUCT_START_TIME",
    "acquired",
    "datetime",
    "TIFFTAG_DATETIME",
)
_STAMP = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?:[T_ ]([0-2]\d)([0-5]\d)([0-5]\d))?(?!\d)"
)
# Landsat scene id before Collection 1: sensor, path, row, year and day of year (USGS).
_LANDSAT = re.compile(r"L[COTEM]\d\d{3}\d{3}(\d{4})(\d{3})")


def acquired(paths: Iterable[PurePath], tags: Mapping[str, str]) -> tuple[datetime | None, str]:
    """Return the acquisition in UTC and what states it; (None, "") where nothing does."""
    if (when := _from_tags(tags)) is not None:
        return when, "the file's metadata"
    when = _from_names(list(paths))
    return when, "the file name" if when else ""


def _from_tags(tags: Mapping[str, str]) -> datetime | None:
    found = (parse_time(tags[name]) for name in _TAGS if name in tags)
    return next((value for value in found if value), None)


def _from_names(paths: list[PurePath]) -> datetime | None:
    for name in [path.name for path in paths] + [path.parent.name for path in paths]:
        if match := _STAMP.search(name):
            year, month, day, *clock = match.groups()
            value = parse_time(f"{year}-{month}-{day}" + (f"T{clock[0]}:{clock[1]}:{clock[2]}" if clock[0] else ""))
            if value:
                return value
        if match := _LANDSAT.search(name):
            return datetime(int(match[1]), 1, 1, tzinfo=UTC) + timedelta(days=int(match[2]) - 1)
    return None
