"""Which tiles a search may return: one value that the catalog and every vector store understand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox

_DATE_LENGTH = len("2020-01-01")
_OPEN = ("", "..")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions that must all hold; an empty one asks nothing."""

    boxes: tuple[LonLatBox, ...] = ()
    """The tile's box meets one of these (touching counts); none crosses ±180°."""
    start: datetime | None = None
    """The scene is not older than this (UTC)."""
    end: datetime | None = None
    """The scene is not younger than this (UTC)."""
    collections: tuple[str, ...] = ()
    """The scene is of one of these collections."""
    sensors: tuple[str, ...] = ()
    """The scene is of one of these sensor profiles."""
    scenes: tuple[int, ...] = ()
    """The tile is of one of these scenes."""
    min_valid_fraction: float | None = None
    """At least this share of the tile's pixels is valid, 0..1."""
    exclude: tuple[int, ...] = ()
    """The tile is none of these."""

    @property
    def is_empty(self) -> bool:
        """True when every tile passes."""
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
    ) -> "Filter":
        """Return the filter that the words of a command line or of a STAC query mean.

        Args:
            bbox: `west,south,east,north` in degrees, or four numbers; west > east crosses ±180°.
            datetime: A day, an RFC 3339 instant, or an interval `start/end` with `..` for an open end.
            collections: Names; empty means any.
            sensors: Names; empty means any.
            exclude: Tile ids to leave out.

        Raises:
            QueryError: A value cannot be read.
        """
        box = None
        if bbox is not None:
            box = LonLatBox.from_text(bbox) if isinstance(bbox, str) else LonLatBox.from_sequence(bbox)
        start, end = parse_interval(datetime) if datetime else (None, None)
        return cls(
            boxes=tuple(box.split()) if box else (),
            start=start,
            end=end,
            collections=tuple(collections),
            sensors=tuple(sensors),
            exclude=tuple(exclude),
        )


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Return both ends (inclusive, UTC) of a day, an instant, or a STAC interval.

    Raises:
        QueryError: The text is none of these, or the interval is empty.
    """
    parts = text.strip().split("/")
    if len(parts) > 2 or not any(part.strip() not in _OPEN for part in parts):  # noqa: PLR2004
        raise QueryError(
            f"datetime {text!r}: need a day (2020-05-01), an instant (2020-05-01T10:00:00Z) or an interval "
            "(2020-01-01/2020-12-31, ../2015-01-01)"
        )
    first, last = parts[0].strip(), parts[-1].strip()
    start = None if first in _OPEN else _instant(first, text)
    end = None if last in _OPEN else _instant(last, text)
    if end is not None and len(last) == _DATE_LENGTH:
        end += timedelta(days=1, microseconds=-1)
    if start and end and start > end:
        raise QueryError(f"datetime {text!r}: the interval ends before it starts; swap its ends")
    return start, end


def _instant(text: str, whole: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(
            f"datetime {whole!r}: {text!r} is no date; write it like 2020-05-01 or 2020-05-01T10:00:00Z"
        ) from error
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
