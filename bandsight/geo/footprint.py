"""Footprints of raster windows as GeoJSON with bounding boxes, correct at ±180° and at the poles."""

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

# Points along each side of a window, because a straight side in a projected CRS is curved in degrees.
_SIDE_POINTS = 4
_DECIMALS = 7
# Projections whose parallels are straight and whose edge is curved (PROJ, pseudocylindrical).
_CURVED = {"Sinusoidal", "Mollweide", "Robinson", "Equal Earth", "Eckert IV", "Eckert VI"}
# Just inside ±180°.
_EDGE = 180 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The area on the ground that a window covers."""

    geometry: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon, lon/lat, split at ±180° (RFC 7946, section 3.1.9)."""
    boxes: tuple[LonLatBox, ...]
    """One box, or two where the footprint crosses ±180°."""


def footprint(
    transform: Sequence[float], crs: str, col_off: float, row_off: float, width: float, height: float
) -> Footprint:
    """Return the footprint of a window.

    Args:
        transform: Affine (a, b, c, d, e, f) of the raster.
        crs: Coordinate reference system of the raster.
        col_off: First column.
        row_off: First row.
        width: Columns.
        height: Rows.

    Raises:
        SceneError: The CRS is unknown, or the window lies outside the area where it is defined.
    """
    return footprints(transform, crs, [(col_off, row_off, width, height)])[0]


def footprints(
    transform: Sequence[float], crs: str, windows: Sequence[tuple[float, float, float, float]]
) -> list[Footprint]:
    """Return the footprints of windows (first column, first row, columns, rows); see `footprint`."""
    if not windows:
        return []
    a, b, c, d, e, f = transform
    step = np.linspace(0, 1, _SIDE_POINTS, endpoint=False)
    zero, one = np.zeros(_SIDE_POINTS), np.ones(_SIDE_POINTS)
    left, top, width, height = (side[:, None] for side in np.array(windows, np.float64).T)
    cols = left + width * np.concatenate([step, one, 1 - step, zero])
    rows = top + height * np.concatenate([zero, step, one, 1 - step])
    if a * e - b * d < 0:
        # Make the ring counter-clockwise. At a pole, only the winding tells inside from outside.
        cols, rows = cols[:, ::-1], rows[:, ::-1]
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    lon, lat = _degrees(x, y, crs)
    for number in np.flatnonzero(~(np.isfinite(lon).all(axis=1) & np.isfinite(lat).all(axis=1)))[:1]:
        col_off, row_off, *_ = windows[number]
        raise SceneError(f"window at column {col_off:g}, row {row_off:g}: outside the area where {crs} is defined")
    lat = np.clip(lat, -90, 90)
    lon_steps = np.abs(np.diff(np.concatenate([lon, lon[:, :1]], axis=1))).max(axis=1)
    rings = np.round(np.stack([lon, lat], axis=2), _DECIMALS)
    distinct = (rings != np.roll(rings, 1, axis=1)).any(axis=2).all(axis=1)
    uncut = (lon_steps <= 180) & (np.abs(lon).max(axis=1) <= 180)  # noqa: PLR2004
    closed = np.concatenate([rings, rings[:, :1]], axis=1).tolist()
    sides = zip(closed, rings.min(axis=1).tolist(), rings.max(axis=1).tolist(), strict=True)
    result = []
    for (ring, low, high), is_uncut, is_distinct in zip(sides, uncut.tolist(), distinct.tolist(), strict=True):
        points = ring if is_distinct else _without_repeats(ring)
        result.append(_simple_footprint(points, low, high) if is_uncut else _split_footprint(points))
    return result


def _without_repeats(ring: list[list[float]]) -> list[list[float]]:
    """Return a closed ring without consecutive equal points."""
    return [ring[0], *(point for before, point in pairwise(ring) if point != before)]


def _simple_footprint(ring: list[list[float]], low: list[float], high: list[float]) -> Footprint:
    """Return the footprint of a ring that does not cross ±180°, without the cost of shapely."""
    box = LonLatBox(west=low[0], south=low[1], east=high[0], north=high[1])
    return Footprint(geometry={"type": "Polygon", "coordinates": [ring]}, boxes=(box,))


def _degrees(
    x: NDArray[np.float64], y: NDArray[np.float64], crs: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes, non-finite where the CRS is undefined."""
    transformer = _transformer(crs)
    if _edge_curves(crs):
        x = _on_the_globe(x, y, transformer)
    try:
        lon, lat = transformer.transform(x, y, errcheck=True)
    except ProjError:
        lon, lat = transformer.transform(x, y)
    return np.asarray(lon, np.float64), np.asarray(lat, np.float64)


def _on_the_globe(x: NDArray[np.float64], y: NDArray[np.float64], transformer: Transformer) -> NDArray[np.float64]:
    """Move points beyond the edge of the globe to the edge, because PROJ returns places on its other side for them."""
    _, lat = transformer.transform(np.zeros_like(y), y)
    ends = [transformer.transform(np.full_like(y, lon), lat, direction="INVERSE")[0] for lon in (-_EDGE, _EDGE)]
    west, east = np.minimum(*ends), np.maximum(*ends)
    known = np.isfinite(west) & np.isfinite(east)
    return np.where(known, np.clip(x, np.where(known, west, x), np.where(known, east, x)), x)


@lru_cache(maxsize=64)
def _edge_curves(crs: str) -> bool:
    """Return whether a CRS shows the whole globe with straight parallels within a curved edge, centred on 0°."""
    try:
        operation = CRS.from_user_input(crs).coordinate_operation
    except CRSError:
        # `_transformer` reports it.
        return False
    if operation is None or operation.method_name not in _CURVED:
        return False
    return not any(one.value for one in operation.params if "ongitude" in one.name)


def _split_footprint(ring: list[list[float]]) -> Footprint:
    """Return the footprint of a ring that crosses ±180° or contains a pole."""
    # Imported lazily: few scenes need them, and they take a third of a reader's start-up time.
    import antimeridian
    from shapely.geometry import Polygon

    fixed: Any = antimeridian.fix_polygon(Polygon(ring), fix_winding=False)
    geometry: dict[str, Any] = fixed.__geo_interface__
    return Footprint(geometry=_lists(geometry), boxes=_boxes(geometry))


@lru_cache(maxsize=64)
def _transformer(crs: str) -> Transformer:
    try:
        return Transformer.from_crs(CRS.from_user_input(crs), 4326, always_xy=True)
    except CRSError as error:
        raise SceneError(f"CRS {crs!r} is unknown; need EPSG:n or WKT") from error


def _boxes(geometry: dict[str, Any]) -> tuple[LonLatBox, ...]:
    """Return one box for the parts on each side of ±180°."""
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


def _lists(value: Any) -> Any:
    """Return a GeoJSON value with lists instead of tuples."""
    if isinstance(value, dict):
        return {key: _lists(part) for key, part in value.items()}
    return [_lists(part) for part in value] if isinstance(value, (list, tuple)) else value
