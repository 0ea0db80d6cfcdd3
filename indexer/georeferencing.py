"""Where a raster lies: its CRS and its grid, from the file or from what the user says beside it."""

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
        SceneError: It has none, or none that places it on Earth.
    """
    # xarray's rasterio convention keeps the CRS of a NetCDF variable in an attribute `crs`.
    named = sidecar.crs or (dataset.crs and dataset.crs.to_wkt()) or dataset.tags(1).get("crs")
    if named and named.lower().startswith("+init="):
        # The PROJ 4 spelling, still found in files.
        named = named[len("+init=") :].upper()
    name = _shown(dataset)
    if not named:
        raise SceneError(
            f"{name}: no CRS, so it cannot be placed on Earth; write {_sidecar_name(name)} beside it with "
            '{"crs": "EPSG:…", "bounds": [left, bottom, right, top]}'
        )
    try:
        crs = CRS.from_string(named)
    except CRSError as error:
        raise SceneError(f"{name}: CRS {named!r} is not known; need EPSG:n or WKT") from error
    if not (crs.is_projected or crs.is_geographic):
        raise SceneError(f"{name}: its CRS is neither projected nor geographic; give one in {_sidecar_name(name)}")
    return crs


def crs_text(crs: CRS) -> str:
    """Return a CRS as `EPSG:n` where it has a number, else as WKT."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def transform_of(dataset: DatasetReader, sidecar: Sidecar) -> Affine:
    """Return the way from a raster's pixels to its CRS.

    Raises:
        SceneError: It has no georeference.
    """
    if sidecar.bounds and stored(dataset) is not dataset:
        own_place = "ground control points" if stored(dataset).transform.is_identity else "a rotated grid"
        raise SceneError(f"{dataset.name}: it has {own_place} of its own; leave bounds out of its sidecar")
    if sidecar.bounds:
        placed: Affine = from_bounds(*sidecar.bounds, dataset.width, dataset.height)
        return placed
    if dataset.transform.is_identity:
        name = _shown(dataset)
        raise SceneError(
            f"{name}: no georeference, so it cannot be placed on Earth; write {_sidecar_name(name)} beside it "
            'with {"crs": "EPSG:…", "bounds": [left, bottom, right, top]}'
        )
    own: Affine = dataset.transform
    return own


def also_unplaced(dataset: DatasetReader, sidecar: Sidecar) -> str:
    """Return what to add to another refusal where a raster also lies nowhere on Earth, and one answer mends both."""
    try:
        crs_of(dataset, sidecar)
        transform_of(dataset, sidecar)
    except SceneError:
        name = _sidecar_name(_shown(dataset))
        return f'; it lies nowhere on Earth either: put "crs" and "bounds" into {name}, too'
    return ""


def _shown(dataset: DatasetReader) -> str:
    """Return a raster's name for people, without what its URL is signed with."""
    name = str(stored(dataset).name)
    return name.removeprefix("/vsicurl/").partition("?")[0] if name.startswith("/vsicurl/") else name


def _sidecar_name(name: str) -> str:
    """Return the name of a raster's sidecar; that of a part of a container is the container's."""
    return sidecar_path(local_file(name) or Path(name)).name


def check_degrees(affine: Affine, crs: CRS, width: int, height: int, name: str) -> None:
    """Refuse a raster with a geographic CRS whose coordinates are not degrees; mostly they are metres.

    Global grids may reach over a pole by half a pixel, and count longitudes from -180, 0 or -360.

    Raises:
        SceneError: Its edges are no longitudes and latitudes.
    """
    if not crs.is_geographic or abs(crs.units_factor[1] - math.radians(1)) > _ROUNDED:
        return
    corners = [affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    pixel = max(abs(affine.a), abs(affine.b), abs(affine.d), abs(affine.e))
    east, north = (max(abs(corner[axis]) for corner in corners) for axis in (0, 1))
    if not (east <= _MOST_LON + pixel and north <= _MOST_LAT + pixel):
        raise SceneError(
            f"{name}: its CRS is in degrees, but it extends to {east:g} in longitude and {north:g} in "
            "latitude; give its real CRS in a sidecar, or correct its georeference"
        )


def aligned(one: Affine, other: Affine) -> bool:
    """Say whether two grids differ by scale and offset only."""
    step = ~one @ other
    size = max(abs(step.a), abs(step.e))
    return bool(max(abs(step.b), abs(step.d)) < 1e-6 * size and step.a > 0 and step.e > 0)


def check_disk(name: str, dataset: DatasetReader) -> None:
    """Refuse a picture of the whole Earth as a geostationary satellite sees it: its edge lies in space.

    Raises:
        SceneError: It is one.
    """
    crs = dataset.crs
    if crs is None or "geostationary" not in crs.to_wkt().lower():
        return
    t = dataset.transform
    try:
        footprint((t.a, t.b, t.c, t.d, t.e, t.f), crs_text(crs), 0, 0, dataset.width, dataset.height)
    except SceneError as error:
        raise SceneError(
            f"{name}: seen from a geostationary satellite, and its edge lies in space; cut out a part of the "
            "Earth: rio warp FILE out.tif --dst-crs EPSG:4326 --bounds WEST SOUTH EAST NORTH --res DEGREES"
        ) from error


def gsd_m(affine: Affine, crs: CRS, height: int) -> float:
    """Return the ground sample distance, m."""
    side = math.sqrt(abs(affine.determinant))
    if crs.is_projected:
        return side * float(crs.linear_units_factor[1])
    # Degrees: the geometric mean of both directions at the scene's middle.
    middle = affine.f + affine.e * height / 2
    return side * _METRES_PER_DEGREE * math.sqrt(max(math.cos(math.radians(middle)), 1e-6))
