"""An area of interest as GeoJSON gives it, cut at ±180°, and its exact test against footprints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import LineString, Point, box, shape
from shapely.geometry.base import BaseGeometry

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox

_HOW = "need a GeoJSON geometry in lon, lat degrees, cut at ±180° or written with longitudes beyond it"
_TURN, _HALF = 360.0, 180.0
_SURFACE = 2


@dataclass(frozen=True)
class Area:
    """A geometry that footprints are tested against; touching counts.

    Sides are straight lines in degrees, as RFC 7946 (section 3.1.1) has them.
    """

    geometry: BaseGeometry
    """Valid, every longitude within -180..180."""

    @classmethod
    def from_geojson(cls, value: Mapping[str, Any], name: str = "intersects") -> "Area":
        """Read a GeoJSON geometry, or a Feature around one; longitudes beyond ±180 go on on the other side.

        Args:
            value: The geometry.
            name: What errors call it.

        Raises:
            QueryError: It is no geometry, is empty, has an open ring, crosses itself, or leaves the Earth.
        """
        if value.get("type") == "Feature":
            value = value.get("geometry") or {}
        try:
            geometry = shapely.force_2d(shape(value))
            open_rings = [ring for ring in _rings(value) if list(ring[0]) != list(ring[-1])]
        except (AttributeError, KeyError, TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
            raise QueryError(f"{name}: cannot be read ({error}); {_HOW}") from error
        if open_rings:
            first, last = (str(list(open_rings[0][end])) for end in (0, -1))
            raise QueryError(
                f"{name}: found an open ring, from {first[:60]} to {last[:60]}; need its first position again as its "
                "last (RFC 7946, section 3.1.6)"
            )
        if geometry.is_empty:
            raise QueryError(f"{name}: found an empty geometry; {_HOW}")
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise QueryError(f"{name}: found a coordinate that is no number; {_HOW}")
        if not geometry.is_valid:
            raise QueryError(f"{name}: {shapely.is_valid_reason(geometry)}; need a geometry that does not cross itself")
        west, south, east, north = geometry.bounds
        if south < -90 or north > 90 or west < -_TURN or east > _TURN:  # noqa: PLR2004
            raise QueryError(
                f"{name}: reaches {west:g},{south:g} to {east:g},{north:g}; need latitudes -90..90 and longitudes "
                "-360..360"
            )
        return cls(_within(geometry))

    @classmethod
    def from_box(cls, wanted: LonLatBox) -> "Area":
        """Return the ground of a box, a line or a point where it has no extent; it may cross ±180°."""
        return cls(shapely.union_all([_ground(part) for part in wanted.split()]))

    @cached_property
    def key(self) -> bytes:
        """The geometry as bytes: equal areas have equal keys."""
        return bytes(shapely.to_wkb(self.geometry))

    @cached_property
    def boxes(self) -> tuple[LonLatBox, ...]:
        """A box around each part."""
        return tuple(
            LonLatBox(west=west, south=south, east=east, north=north)
            for west, south, east, north in shapely.bounds(shapely.get_parts(self.geometry)).tolist()
        )

    @cached_property
    def _is_boxes(self) -> bool:
        """Whether each part is a box; comparing sides is then all there is to do."""
        parts = shapely.get_parts(self.geometry)
        outlines = shapely.box(*shapely.bounds(parts).T)
        return bool((shapely.get_dimensions(parts) == _SURFACE).all() and shapely.equals(parts, outlines).all())

    def covers(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which boxes (west, south, east, north), shape (n, 4), lie within the area's inside."""
        if self._is_boxes:
            found = np.zeros(len(boxes), bool)
            for part in self.boxes:
                found |= (boxes[:, :2] > (part.west, part.south)).all(axis=1) & (
                    boxes[:, 2:] < (part.east, part.north)
                ).all(axis=1)
            return found
        shapely.prepare(self.geometry)
        inside = shapely.contains_properly(self.geometry, shapely.box(*boxes.T))
        return np.asarray(inside, bool)

    def meets_boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for which tiles one of two boxes meets the area, shape (n, 2, 4) to (n,); a NaN box meets nothing."""
        west, south, east, north = (boxes[:, :, side] for side in range(4))
        there = np.isfinite(west)
        found = np.zeros(there.shape, bool)
        found[there] = self.meets(shapely.box(west[there], south[there], east[there], north[there]))
        return np.asarray(found.any(axis=1), bool)

    def meets(self, footprints: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Return which footprints share a point with the area, shape (n,)."""
        shapely.prepare(self.geometry)
        return np.asarray(shapely.intersects(self.geometry, footprints), bool)


def _rings(value: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Yield the rings of all polygons of a GeoJSON geometry that shapely, which closes them, has read."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        match part["type"].lower():
            case "polygon":
                yield from filter(len, part["coordinates"])
            case "multipolygon":
                for polygon in part["coordinates"]:
                    yield from filter(len, polygon)
            case "geometrycollection":
                waiting += part["geometries"]


def _ground(part: LonLatBox) -> BaseGeometry:
    corners = [(part.west, part.south), (part.east, part.north)]
    if part.west == part.east or part.south == part.north:
        return Point(corners[0]) if corners[0] == corners[1] else LineString(corners)
    return box(part.west, part.south, part.east, part.north)


def _within(geometry: BaseGeometry) -> BaseGeometry:
    """Bring what lies beyond ±180° back from the other side."""
    west, _, east, _ = geometry.bounds
    if west >= -_HALF and east <= _HALF:
        return geometry
    turns = [
        translate(geometry.intersection(box(start, -90, start + _TURN, 90)), -start - _HALF)
        for start in (-_HALF - _TURN, -_HALF, _HALF)
    ]
    return shapely.union_all([part for part in turns if not part.is_empty])
