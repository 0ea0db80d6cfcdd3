"""Georeferencing of rasters: CRS and transform, from the file or a sidecar."""

import math
from pathlib import Path

from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds

from bandsight.errors import SceneError
from bandsight.geo.footprint import footprint
from bandsight.raster.drivers import local_file, stored
from indexer.sidecar import Sidecar, sidecar_path

_METRES_PER_DEGREE = 111_320.0
_MOST_LON, _MOST_LAT = 360.0, 90.0
_ROUNDED = 1e-9


def crs_of(dataset: DatasetReader, sidecar: Sidecar) -> CRS:
    """Return a raster's CRS.

    Raises:
        SceneError: It has no CRS, or one that does not refer to Earth.
    """
    # xarray's rasterio convention stores the CRS of a NetCDF variable in the attribute `crs`.
    named = sidecar.crs or (dataset.crs and dataset.crs.to_wkt()) or dataset.tags(1).get("crs")
    if named and named.lower().startswith("+init="):
        # The PROJ 4 notation still occurs in files.
        named = named[len("+init=") :].upper()
    name = _shown(dataset)
    if not named:
        raise SceneError(
            f"{name}: no CRS, so it cannot be placed on Earth; write {_sidecar_name(name)} next to it with "
            '{"crs": "EPSG:…", "bounds": [left, bottom, right, top]}'
        )
    try:
        crs = CRS.from_string(named)
    except CRSError as error:
        raise SceneError(f"{name}: CRS {named!r} is unknown; need EPSG:n or WKT") from error
    if not (crs.is_projected or crs.is_geographic):
        raise SceneError(f"{name}: its CRS is neither projected nor geographic; state one in {_sidecar_name(name)}")
    return crs


def crs_text(crs: CRS) -> str:
    """Return a CRS as `EPSG:n` if possible, else as WKT."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def transform_of(dataset: DatasetReader, sidecar: Sidecar) -> Affine:
    """Return the affine transform from a raster's pixels to its CRS.

    Raises:
        SceneError: It is not georeferenced.
    """
    if sidecar.bounds and stored(dataset) is not dataset:
        own_place = "ground control points" if stored(dataset).transform.is_identity else "a rotated grid"
        raise SceneError(f"{dataset.name}: it already has {own_place}; remove bounds from its sidecar")
    if sidecar.bounds:
        placed: Affine = from_bounds(*sidecar.bounds, dataset.width, dataset.height)
        return placed
    if dataset.transform.is_identity:
        name = _shown(dataset)
        raise SceneError(
            f"{name}: no georeference, so it cannot be placed on Earth; write {_sidecar_name(name)} next to it "
            'with {"crs": "EPSG:…", "bounds": [left, bottom, right, top]}'
        )
    own: Affine = dataset.transform
    return own


def also_unplaced(dataset: DatasetReader, sidecar: Sidecar) -> str:
    """Return an addition to another error if the raster is not georeferenced, so that both can be fixed at once."""
    try:
        crs_of(dataset, sidecar)
        transform_of(dataset, sidecar)
    except SceneError:
        name = _sidecar_name(_shown(dataset))
        return f'; it is not georeferenced either: also put "crs" and "bounds" into {name}'
    return ""


def _shown(dataset: DatasetReader) -> str:
    """Return a raster's name for messages, without URL signatures."""
    name = str(stored(dataset).name)
    return name.removeprefix("/vsicurl/").partition("?")[0] if name.startswith("/vsicurl/") else name


def _sidecar_name(name: str) -> str:
    """Return the name of a raster's sidecar; subdatasets use that of their container."""
    return sidecar_path(local_file(name) or Path(name)).name


def check_degrees(affine: Affine, crs: CRS, width: int, height: int, name: str) -> None:
    """Check that a raster with a geographic CRS has coordinates in degrees; they are often metres.

    Global grids may exceed a pole by half a pixel, and start at longitude -180, 0 or -360.

    Raises:
        SceneError: The coordinates are out of range.
    """
    if not crs.is_geographic or abs(crs.units_factor[1] - math.radians(1)) > _ROUNDED:
        return
    corners = [affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    pixel = max(abs(affine.a), abs(affine.b), abs(affine.d), abs(affine.e))
    east, north = (max(abs(corner[axis]) for corner in corners) for axis in (0, 1))
    if not (east <= _MOST_LON + pixel and north <= _MOST_LAT + pixel):
        raise SceneError(
            f"{name}: its CRS is in degrees, but it extends to {east:g} in longitude and {north:g} in "
            "latitude; state its real CRS in a sidecar, or correct its georeferencing"
        )


def aligned(one: Affine, other: Affine) -> bool:
    """Return whether two grids differ only by scale and offset."""
    step = ~one @ other
    size = max(abs(step.a), abs(step.e))
    return bool(max(abs(step.b), abs(step.d)) < 1e-6 * size and step.a > 0 and step.e > 0)


def check_disk(name: str, dataset: DatasetReader) -> None:
    """Check that a raster is not a geostationary full disk, whose corners are in space.

    Raises:
        SceneError: It is a full disk.
    """
    crs = dataset.crs
    if crs is None or "geostationary" not in crs.to_wkt().lower():
        return
    t = dataset.transform
    try:
        footprint((t.a, t.b, t.c, t.d, t.e, t.f), crs_text(crs), 0, 0, dataset.width, dataset.height)
    except SceneError as error:
        raise SceneError(
            f"{name}: a geostationary full disk, whose edge is in space; crop a part of the "
            "Earth: rio warp FILE out.tif --dst-crs EPSG:4326 --bounds WEST SOUTH EAST NORTH --res DEGREES"
        ) from error


def gsd_m(affine: Affine, crs: CRS, height: int) -> float:
    """Return the ground sample distance, m."""
    side = math.sqrt(abs(affine.determinant))
    if crs.is_projected:
        return side * float(crs.linear_units_factor[1])
    # For degrees, the geometric mean of both directions at the scene's centre.
    middle = affine.f + affine.e * height / 2
    return side * _METRES_PER_DEGREE * math.sqrt(max(math.cos(math.radians(middle)), 1e-6))
