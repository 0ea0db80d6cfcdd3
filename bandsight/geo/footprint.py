"""Where a window lies on Earth: a GeoJSON footprint and its boxes, right at ±180° and at the poles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from bandsight.errors import SceneError
from bandsight.geo.box import LonLatBox

# Points along each side of a window before reprojection: a straight side in a projection is a curve in
# degrees.
_POINTS = 4
_DECIMALS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The ground that a window covers."""

    geometry: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon, lon/lat, cut at ±180° (RFC 7946, section 3.1.9)."""
    boxes: tuple[LonLatBox, ...]
    """One box, or two when the footprint meets ±180° from both sides."""


def footprint(
    transform: Sequence[float], crs: str, col_off: float, row_off: float, width: float, height: float
) -> Footprint:
    """Return the footprint of a window.

    Args:
        transform: Affine (a, b, c, d, e, f) of the raster.
        crs: Its coordinate reference system.
        col_off: First column.
        row_off: First row.
        width: Columns.
        height: Rows.

    Raises:
        SceneError: The CRS is unknown, or the window lies outside of where it is defined.
    """
    return footprints(transform, crs, [(col_off, row_off, width, height)])[0]


def footprints(
    transform: Sequence[float], crs: str, windows: Sequence[tuple[float, float, float, float]]
) -> list[Footprint]:
    """Return the footprints of windows, each given as first column, first row, columns, rows; see `footprint`."""
    if not windows:
        return []
    a, b, c, d, e, f = transform
    step = np.linspace(0, 1, _POINTS, endpoint=False)
    zero, one = np.zeros(_POINTS), np.ones(_POINTS)
    left, top, width, height = (side[:, None] for side in np.array(windows, np.float64).T)
    cols = left + width * np.concatenate([step, one, 1 - step, zero])
    rows = top + height * np.concatenate([zero, step, one, 1 - step])
    if a * e - b * d < 0:
        # Counter-clockwise as seen from above, whatever way the rows run: at a pole only this tells in from
        # out.
        cols, rows = cols[:, ::-1], rows[:, ::-1]
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    lon, lat = _degrees(x, y, crs)
    for number in np.flatnonzero(~(np.isfinite(lon).all(axis=1) & np.isfinite(lat).all(axis=1)))[:1]:
        col_off, row_off, *_ = windows[number]
        raise SceneError(f"window at column {col_off:g}, row {row_off:g}: outside of where {crs} is defined")
    lat = np.clip(lat, -90, 90)
    steps = np.abs(np.diff(np.concatenate([lon, lon[:, :1]], axis=1))).max(axis=1)
    rings = np.round(np.stack([lon, lat], axis=2), _DECIMALS)
    distinct = (rings != np.roll(rings, 1, axis=1)).any(axis=2).all(axis=1)
    whole = (steps <= 180) & (np.abs(lon).max(axis=1) <= 180)  # noqa: PLR2004
    closed = np.concatenate([rings, rings[:, :1]], axis=1).tolist()
    sides = zip(closed, rings.min(axis=1).tolist(), rings.max(axis=1).tolist(), strict=True)
    found = []
    for (ring, low, high), uncut, once in zip(sides, whole.tolist(), distinct.tolist(), strict=True):
        points = ring if once else _each_once(ring)
        found.append(_simple(points, low, high) if uncut else _cut(points))
    return found


def _each_once(ring: list[list[float]]) -> list[list[float]]:
    """Return a closed ring without points that follow themselves."""
    return [ring[0], *(point for before, point in pairwise(ring) if point != before)]


def _simple(ring: list[list[float]], low: list[float], high: list[float]) -> Footprint:
    """Return the footprint of nearly every window: no library needed, and a job makes one of these for each tile."""
    box = LonLatBox(west=low[0], south=low[1], east=high[0], north=high[1])
    return Footprint(geometry={"type": "Polygon", "coordinates": [ring]}, boxes=(box,))


def _degrees(
    x: NDArray[np.float64], y: NDArray[np.float64], crs: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes; not finite where the CRS is not defined."""
    to_degrees = _to_degrees(crs)
    try:
        lon, lat = to_degrees.transform(x, y, errcheck=True)
    except ProjError:
        lon, lat = to_degrees.transform(x, y)
    return np.asarray(lon, np.float64), np.asarray(lat, np.float64)


def _cut(ring: list[list[float]]) -> Footprint:
    """Return the footprint of a ring that crosses ±180° or holds a pole."""
    # Loaded only where they are needed: they take a third of what a reader's start takes.
    import antimeridian
    from shapely.geometry import Polygon

    fixed: Any = antimeridian.fix_polygon(Polygon(ring), fix_winding=False)
    geometry: dict[str, Any] = fixed.__geo_interface__
    return Footprint(geometry=_plain(geometry), boxes=_boxes(geometry))


@lru_cache(maxsize=64)
def _to_degrees(crs: str) -> Transformer:
    try:
        return Transformer.from_crs(CRS.from_user_input(crs), 4326, always_xy=True)
    except CRSError as error:
        raise SceneError(f"CRS {crs!r} is not known; need EPSG:n or WKT") from error


def _boxes(geometry: dict[str, Any]) -> tuple[LonLatBox, ...]:
    """Return the box of each part, parts of one side of ±180° together."""
    from shapely.geometry import shape

    whole = shape(geometry)
    parts = list(getattr(whole, "geoms", [whole]))
    sides = [[part.bounds for part in parts if (part.centroid.x < 0) == west] for west in (True, False)]
    return tuple(
        LonLatBox(
            west=min(box[0] for box in side),
            south=min(box[1] for box in side),
            east=max(box[2] for box in side),
            north=max(box[3] for box in side),
        )
        for side in sides
        if side
    )


def _plain(value: Any) -> Any:
    """Return tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
