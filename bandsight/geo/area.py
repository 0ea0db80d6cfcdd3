"""Areas of interest: parsed from GeoJSON, split at ±180°, tested exactly against footprints."""

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

_ADVICE = "need a GeoJSON geometry in lon, lat degrees, split at ±180° or with longitudes beyond ±180°"
_FULL_TURN, _HALF_TURN = 360.0, 180.0
_SURFACE_DIM = 2


@dataclass(frozen=True)
class Area:
    """A geometry to test footprints against. Touching counts as intersecting.

    Edges are straight lines in degrees, as in RFC 7946 (section 3.1.1).
    """

    geometry: BaseGeometry
    """Valid, with all longitudes in -180..180."""

    @classmethod
    def from_geojson(cls, value: Mapping[str, Any], name: str = "intersects") -> "Area":
        """Parse a GeoJSON geometry, or a Feature with one. Longitudes beyond ±180 wrap around.

        Args:
            value: The geometry.
            name: Name of the parameter, for error messages.

        Raises:
            QueryError: The value is not a geometry, is empty, has an open ring, intersects itself, or exceeds the
                range of coordinates.
        """
        if value.get("type") == "Feature":
            value = value.get("geometry") or {}
        try:
            geometry = shapely.force_2d(shape(value))
            open_rings = [ring for ring in _rings(value) if list(ring[0]) != list(ring[-1])]
        except (AttributeError, KeyError, TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
            raise QueryError(f"{name}: not a GeoJSON geometry ({error}); {_ADVICE}") from error
        if open_rings:
            first, last = (str(list(open_rings[0][end])) for end in (0, -1))
            raise QueryError(
                f"{name}: found an open ring, from {first[:60]} to {last[:60]}; its last position must equal its "
                "first (RFC 7946, section 3.1.6)"
            )
        if geometry.is_empty:
            raise QueryError(f"{name}: found an empty geometry; {_ADVICE}")
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise QueryError(f"{name}: found a coordinate that is not a finite number; {_ADVICE}")
        if not geometry.is_valid:
            raise QueryError(
                f"{name}: {shapely.is_valid_reason(geometry)}; need a geometry that does not intersect itself"
            )
        west, south, east, north = geometry.bounds
        if south < -90 or north > 90 or west < -_FULL_TURN or east > _FULL_TURN:  # noqa: PLR2004
            raise QueryError(
                f"{name}: extends from {west:g},{south:g} to {east:g},{north:g}; need latitudes -90..90 and longitudes "
                "-360..360"
            )
        return cls(_wrap(geometry))

    @classmethod
    def from_box(cls, box_: LonLatBox) -> "Area":
        """Return the area of a box, which may cross ±180°; a line or point where it has no extent."""
        return cls(shapely.union_all([_box_geometry(part) for part in box_.split()]))

    @cached_property
    def key(self) -> bytes:
        """The geometry as bytes. Equal areas have equal keys."""
        return bytes(shapely.to_wkb(self.geometry))

    @cached_property
    def boxes(self) -> tuple[LonLatBox, ...]:
        """Bounding box of each part."""
        return tuple(
            LonLatBox(west=west, south=south, east=east, north=north)
            for west, south, east, north in shapely.bounds(shapely.get_parts(self.geometry)).tolist()
        )

    @cached_property
    def _is_boxes(self) -> bool:
        """Whether each part is a box, so that comparing its sides is enough."""
        parts = shapely.get_parts(self.geometry)
        outlines = shapely.box(*shapely.bounds(parts).T)
        return bool((shapely.get_dimensions(parts) == _SURFACE_DIM).all() and shapely.equals(parts, outlines).all())

    def covers(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which boxes (west, south, east, north), shape (n, 4), are in the interior of the area."""
        if self._is_boxes:
            covered = np.zeros(len(boxes), bool)
            for part in self.boxes:
                covered |= (boxes[:, :2] > (part.west, part.south)).all(axis=1) & (
                    boxes[:, 2:] < (part.east, part.north)
                ).all(axis=1)
            return covered
        shapely.prepare(self.geometry)
        inside = shapely.contains_properly(self.geometry, shapely.box(*boxes.T))
        return np.asarray(inside, bool)

    def intersects_boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which tiles, each of two boxes, intersect the area, shape (n, 2, 4) to (n,); NaN boxes never do."""
        west, south, east, north = (boxes[:, :, side] for side in range(4))
        finite = np.isfinite(west)
        intersecting = np.zeros(finite.shape, bool)
        intersecting[finite] = self.intersects(shapely.box(west[finite], south[finite], east[finite], north[finite]))
        return np.asarray(intersecting.any(axis=1), bool)

    def intersects(self, footprints: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Return which footprints share a point with the area, shape (n,)."""
        shapely.prepare(self.geometry)
        return np.asarray(shapely.intersects(self.geometry, footprints), bool)


def _rings(value: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Yield the rings of all polygons of a GeoJSON geometry. Shapely would close open ones silently."""
    pending = [value]
    while pending:
        part = pending.pop()
        match part["type"].lower():
            case "polygon":
                yield from filter(len, part["coordinates"])
            case "multipolygon":
                for polygon in part["coordinates"]:
                    yield from filter(len, polygon)
            case "geometrycollection":
                pending += part["geometries"]


def _box_geometry(part: LonLatBox) -> BaseGeometry:
    corners = [(part.west, part.south), (part.east, part.north)]
    if part.west == part.east or part.south == part.north:
        return Point(corners[0]) if corners[0] == corners[1] else LineString(corners)
    return box(part.west, part.south, part.east, part.north)


def _wrap(geometry: BaseGeometry) -> BaseGeometry:
    """Move parts beyond ±180° to the other side."""
    west, _, east, _ = geometry.bounds
    if west >= -_HALF_TURN and east <= _HALF_TURN:
        return geometry
    turns = [
        translate(geometry.intersection(box(start, -90, start + _FULL_TURN, 90)), -start - _HALF_TURN)
        for start in (-_HALF_TURN - _FULL_TURN, -_HALF_TURN, _HALF_TURN)
    ]
    return shapely.union_all([part for part in turns if not part.is_empty])
