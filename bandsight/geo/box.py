"""Bounding boxes in degrees. This is the only place that handles the antimeridian for boxes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bandsight.errors import QueryError

_MAX_LON, _MAX_LAT = 180, 90
_ADVICE = "need west,south,east,north in degrees, e.g. 12.3,51.9,12.6,52.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LonLatBox:
    """A box in EPSG:4326. It crosses ±180° where west is greater than east."""

    west: float
    """Longitude, -180..180."""
    south: float
    """Latitude, -90..90."""
    east: float
    """Longitude, -180..180."""
    north: float
    """Latitude, -90..90."""

    def __post_init__(self) -> None:
        if (
            -_MAX_LON <= self.west <= _MAX_LON
            and -_MAX_LON <= self.east <= _MAX_LON
            and -_MAX_LAT <= self.south <= self.north <= _MAX_LAT
        ):
            return
        values = (self.west, self.south, self.east, self.north)
        if not all(math.isfinite(value) for value in values):
            raise QueryError(f"bbox {values}: found a value that is not a finite number; {_ADVICE}")
        if max(abs(self.west), abs(self.east)) > _MAX_LON:
            raise QueryError(f"bbox {values}: found a longitude outside -180..180; {_ADVICE}")
        if max(abs(self.south), abs(self.north)) > _MAX_LAT:
            raise QueryError(f"bbox {values}: found a latitude outside -90..90; {_ADVICE}")
        raise QueryError(f"bbox {values}: its south {self.south:g} is north of its north {self.north:g}; {_ADVICE}")

    @classmethod
    def from_text(cls, text: str) -> "LonLatBox":
        """Parse `west,south,east,north`.

        Raises:
            QueryError: The text is not four or six numbers, or they are not a valid box.
        """
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError as error:
            raise QueryError(f"bbox {text!r}: found a value that is not a number; {_ADVICE}") from error
        return cls.from_sequence(values)

    @classmethod
    def from_sequence(cls, values: Sequence[float]) -> "LonLatBox":
        """Return the box of four numbers, or of six; heights (third and sixth) are ignored.

        Raises:
            QueryError: The numbers are not a valid box.
        """
        if len(values) == 6:  # noqa: PLR2004  (RFC 7946, section 5)
            values = (values[0], values[1], values[3], values[4])
        if len(values) != 4:  # noqa: PLR2004
            raise QueryError(f"bbox {list(values)}: found {len(values)} numbers; {_ADVICE}")
        west, south, east, north = values
        return cls(west=float(west), south=float(south), east=float(east), north=float(north))

    def split(self) -> "list[LonLatBox]":
        """Return one box, or two where this box crosses ±180°; none of them crosses it."""
        if self.west <= self.east:
            return [self]
        return [
            LonLatBox(west=self.west, south=self.south, east=180.0, north=self.north),
            LonLatBox(west=-180.0, south=self.south, east=self.east, north=self.north),
        ]

    def intersects(self, other: "LonLatBox") -> bool:
        """Return whether two boxes share a point. Touching counts."""
        return any(
            a.west <= b.east and a.east >= b.west and a.south <= b.north and a.north >= b.south
            for a in self.split()
            for b in other.split()
        )


def around(boxes: Sequence[LonLatBox]) -> LonLatBox:
    """Return the narrowest box that contains all boxes. It crosses ±180° where that makes it narrower.

    Raises:
        ValueError: There are no boxes.
    """
    if not boxes:
        raise ValueError("no boxes")
    spans = sorted((part.west, part.east) for box in boxes for part in box.split())
    # The box excludes the widest gap between spans. Of equally wide gaps, the one over ±180° wins.
    reached = spans[0][1]
    west, east, widest = spans[0][0], max(end for _, end in spans), 0.0
    antimeridian_gap = 360.0 - (east - west)
    for start, end in spans[1:]:
        if start - reached > max(widest, antimeridian_gap):
            widest = start - reached
            west, east = start, reached
        reached = max(reached, end)
    south, north = min(box.south for box in boxes), max(box.north for box in boxes)
    return LonLatBox(west=west, south=south, east=east, north=north)
