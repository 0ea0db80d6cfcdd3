"""Determines a scene's acquisition time from acquisition tags, product names, or finally the TIFF's date."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from indexer.datetimes import parse_time

# Tags with the acquisition time.
_TAGS = ("ACQUISITIONDATETIME", "DATATAKE_1_DATATAKE_SENSING_START", "PRODUCT_START_TIME", "acquired", "datetime")
# Time when the TIFF was written; only a fallback, because it is rarely the acquisition time.
_WRITTEN = "TIFFTAG_DATETIME"

_DATE = r"((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_DASHED = r"((?:19|20)\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_CLOCK = r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)"
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_Reader = Callable[[re.Match[str]], datetime | None]


def _calendar(match: re.Match[str]) -> datetime | None:
    """Parse year, month, day and optionally hour, minute, second."""
    year, month, day, *clock = match.groups()
    text = f"{year}-{month}-{day}"
    return parse_time(f"{text}T{clock[0]}:{clock[1]}:{clock[2]}" if clock and clock[0] else text)


def _ordinal(match: re.Match[str]) -> datetime | None:
    """Parse year, day of year and optionally hour, minute, second."""
    year, day, *clock = match.groups()
    if not 1 <= int(day) <= 366:  # noqa: PLR2004  (days of a leap year)
        return None
    when = datetime(int(year), 1, 1, tzinfo=UTC) + timedelta(days=int(day) - 1)
    if clock and clock[0]:
        when += timedelta(hours=int(clock[0]), minutes=int(clock[1]), seconds=int(clock[2]))
    return when


def _month_first(match: re.Match[str]) -> datetime | None:
    """Parse month, day, year, hour, minute, second."""
    month, day, year, *clock = match.groups()
    return parse_time(f"{year}-{month}-{day}T{clock[0]}:{clock[1]}:{clock[2]}")


def _named_month(match: re.Match[str]) -> datetime | None:
    """Parse a two-digit year, month name, day, hour, minute, second."""
    year, month, day, *clock = match.groups()
    return parse_time(f"20{year}-{_MONTHS.index(month.upper()) + 1:02d}-{day}T{clock[0]}:{clock[1]}:{clock[2]}")


def _two_digit_year(match: re.Match[str]) -> datetime | None:
    """Parse a two-digit year (from 1980 on), month and day."""
    year, month, day = match.groups()
    century = "19" if int(year) >= 80 else "20"  # noqa: PLR2004  (the earliest possible year)
    return parse_time(f"{century}{year}-{month}-{day}")


# Tried in order; the first match is used. Product names come before generic dates. In product names, the sensing time
# comes before the processing time.
_NAMES: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reader)
    for pattern, reader in (
        # HLS.L30.T17SLU.2020117T160901.v2.0: year, day of the year, time (LP DAAC).
        (rf"(?<!\d)((?:19|20)\d\d)(\d{{3}})T{_CLOCK}(?!\d)", _ordinal),
        # MOD09A1.A2020001.h18v03, VNP09GA.A2020001: year and day of the year (LP DAAC).
        # EMIT and ECOSTRESS names have calendar dates.
        (r"(?:^|[._])A((?:19|20)\d\d)(\d{3})(?=[._]|$)", _ordinal),
        # Names of NASA's AppEEARS: MOD09A1.061_sur_refl_b01_doy2020001_aid0001, newer ones with the time.
        (rf"_doy((?:19|20)\d\d)(\d{{3}})(?:{_CLOCK})?(?=[_.]|$)", _ordinal),
        # Landsat scene id before Collection 1: sensor, path, row, year and day of the year (USGS).
        (r"(?<![a-z])L[COTEM]\d\d{3}\d{3}((?:19|20)\d\d)(\d{3})", _ordinal),
        # ASTER L1T: AST_L1T_003 05032000 040446: version, month, day, year, time (LP DAAC).
        (rf"AST_L1[AT]_\d{{3}}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])((?:19|20)\d\d){_CLOCK}", _month_first),
        # Fourteen digits: PRISMA, RapidEye; Pléiades and SPOT add a digit, tenths of a second (Airbus).
        (rf"(?<!\d){_DATE}{_CLOCK}\d?(?!\d)", _calendar),
        # GOES-R: OR_ABI-L2-CMIPF-M6C01_G16_s20211231800208: start, year, day of the year, time, tenths (NOAA).
        (rf"_s((?:19|20)\d\d)(\d{{3}}){_CLOCK}\d(?=_|$)", _ordinal),
        # Sentinel, AVIRIS-NG, EMIT, PlanetScope, SkySat and many others: date and time with T, t or _ between them.
        (rf"(?<!\d){_DATE}T{_CLOCK}(?:\d{{2,3}})?(?!\d)", _calendar),
        (rf"(?<!\d){_DATE}[_ ]{_CLOCK}(?!\d)", _calendar),
        (rf"(?<!\d){_DASHED}[T_ ]([01]\d|2[0-3])[:-]?([0-5]\d)[:-]?([0-5]\d)", _calendar),
        (rf"(?<!\d){_DASHED}-([01]\d|2[0-3])-([0-5]\d)-([0-5]\d)(?!\d)", _calendar),
        # WorldView, GeoEye, QuickBird: 15AUG24101010-M2AS-500: year, month, day, time (Maxar).
        (rf"(?:^|[_/])(\d\d)({'|'.join(_MONTHS)})(0[1-9]|[12]\d|3[01]){_CLOCK}-[MPS]\d", _named_month),
        # AVIRIS: f970619t01p02r02, flight date and run (JPL).
        (r"(?:^|/)f(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])t\d\dp", _two_digit_year),
        # Landsat product ids, NAIP, and other dates.
        (rf"(?<!\d){_DATE}(?!\d)", _calendar),
        (r"(?<!\d)((?:19|20)\d\d)[-_](0[1-9]|1[0-2])[-_](0[1-9]|[12]\d|3[01])(?!\d)", _calendar),
    )
)


# Layout of Sentinel-2 on AWS: tiles/33/U/UU/2022/2/16/0/R10m/B02.jp2.
_TILE_FOLDERS = re.compile(r"/tiles/\d{1,2}/[A-Z]/[A-Z]{2}/((?:19|20)\d\d)/(1[0-2]|[1-9])/([12]\d|3[01]|[1-9])/\d+/")


def acquired(paths: Iterable[PurePath], tags: Mapping[str, str]) -> tuple[datetime | None, str]:
    """Return the acquisition time (UTC) and its source; (None, "") if unknown.

    Args:
        paths: The scene's files.
        tags: Tags of one of the files.
    """
    for name in _TAGS:
        if name in tags and (when := parse_time(tags[name])) is not None:
            return when, "the file's metadata"
    paths = list(paths)
    for text in dict.fromkeys([path.name for path in paths] + [path.parent.name for path in paths]):
        if (when := time_in_name(text)) is not None:
            return when, "the file name"
    for path in paths:
        if found := _TILE_FOLDERS.search(path.as_posix()):
            return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC), "the file's folders"
    when = parse_time(tags.get(_WRITTEN, ""))
    return when, "TIFFTAG_DATETIME, the time the file was written" if when else ""


def time_in_name(name: str) -> datetime | None:
    """Return the acquisition time in a product name (UTC), or None."""
    for pattern, reader in _NAMES:
        for match in pattern.finditer(name):
            when = reader(match)
            if when is not None:
                return when
    return None
