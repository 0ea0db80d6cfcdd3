"""Opens rasters, with an allowlist of GDAL drivers."""

import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from bandsight.errors import SceneError
from bandsight.raster import hdf4
from bandsight.raster.gdal_vsi import forget
from bandsight.raster.lookup_table import orthorectified
from bandsight.raster.metric_crs import metric_crs
from bandsight.raster.orientation import is_askew, upright_grid
from bandsight.raster.palette import has_palette
from bandsight.raster.signing import signed
from bandsight.raster.swath import geolocated

# Excludes drivers that redirect to other files or URLs (VRT, WMS, …): a scene must not read anything the user did not
# name.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "netCDF", "HFA", "ENVI", "HDF5", "HDF5Image")

# URL schemes and GDAL's virtual file system for each. Credentials come from the environment, as documented by GDAL.
_REMOTE = {
    "http://": "/vsicurl/http://",
    "https://": "/vsicurl/https://",
    "s3://": "/vsis3/",
    "gs://": "/vsigs/",
    "az://": "/vsiaz/",
}
_IN_ZIP = re.compile(r"/vsi(?:zip|tar)/\{([^{}]+)\}/?(.*)")
_SUBDATASET = re.compile(r'(netcdf|hdf5|hdf4):(?:"([^"]+)"|([^":]+)):(?://)?(.+)', re.IGNORECASE)
_NETWORK = {"GDAL_HTTP_MAX_RETRY": "4", "GDAL_HTTP_RETRY_DELAY": "1", "GDAL_HTTP_CONNECTTIMEOUT": "10"}
_NETWORK |= {"GDAL_HTTP_TIMEOUT": "60"}

# GDAL's prefix for an overview file in the raster's folder.
_BESIDE = ":::BASE:::"

_SOME_PLANE = 'LOCAL_CS["unknown",UNIT["metre",1]]'

# Exception hooks are process-wide, so only one thread at a time may change them.
_quiet = threading.Lock()

# Warning filters are process-wide and several threads open rasters, so no thread can change them temporarily.
# Code that needs georeferencing raises its own error.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Suppress the tracebacks that rasterio prints if a GDAL message is not UTF-8."""
    with _quiet:
        before = sys.unraisablehook, sys.excepthook
        sys.unraisablehook, sys.excepthook = _ignore_undecodable, _ignore_undecodable_printed
        try:
            yield
        finally:
            sys.unraisablehook, sys.excepthook = before


def _ignore_undecodable(problem: "sys.UnraisableHookArgs") -> None:
    """Drop rasterio's traceback for a GDAL message that is not UTF-8."""
    if not isinstance(problem.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(problem)


def _ignore_undecodable_printed(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Drop the first lines of that traceback, which Cython prints for an uncaught error."""
    if not isinstance(problem, UnicodeDecodeError):
        sys.__excepthook__(kind, problem, trace)


def is_remote(href: str) -> bool:
    """Return whether a raster is on a server or in an object store."""
    return href.startswith(tuple(_REMOTE))


def check_remote(href: str) -> None:
    """Check that a URL names a file, before any request.

    Raises:
        SceneError: The URL has no server or bucket, or no path.
    """
    scheme, _, rest = href.partition("://")
    holder, _, inside = rest.partition("/")
    whose = {"s3": "bucket", "gs": "bucket", "az": "container"}.get(scheme, "server")
    need = f"need {scheme}://{whose.upper()}/PATH/TO/SCENE.tif"
    if not holder:
        raise SceneError(f"{href}: the {whose} is missing; {need}")
    if not inside:
        raise SceneError(f"{href}: names a {whose} but no file in it; {need}")


def in_zip(href: str) -> tuple[str, str] | None:
    """Return (archive, path inside) of a raster in a zip or tar file, or None for others."""
    found = _IN_ZIP.fullmatch(href)
    return (found[1], found[2].rstrip("/")) if found else None


def place_in_zip(archive: str | Path, inner: str) -> str:
    """Return the href of a file in a zip or tar file."""
    return f"/vsi{'tar' if str(archive).lower().endswith('.tar') else 'zip'}/{{{archive}}}/{inner}"


def subdataset(href: str) -> tuple[str, str] | None:
    """Return (file, name) of a subdataset of a NetCDF, HDF5 or HDF4 file, or None for other rasters."""
    found = _SUBDATASET.fullmatch(href)
    return (found[2] or found[3], found[4].strip('"')) if found else None


def local_file(href: str) -> Path | None:
    """Return the local file that contains a raster, or None for a remote one."""
    if is_remote(href):
        return None
    part = subdataset(href)
    place = part[0] if part else href
    inner = in_zip(place)
    return Path(inner[0] if inner else place)


def raster_path(href: str) -> PurePath:
    """Return the path to derive names from: without the query of a URL, and with a container file as folder."""
    part, zipped = subdataset(href), in_zip(href)
    if part:
        # Names in HDF4 contain spaces where exports of the same product have underscores.
        name = part[1].replace(" ", "_") if href.lower().startswith(hdf4.PREFIX) else part[1]
        return PurePath(part[0]) / name.replace("/", "_")
    if zipped:
        return PurePath(zipped[0]) / zipped[1]
    return PurePath(urlsplit(href).path if is_remote(href) else href)


def open_raster(href: str | Path, drivers: Sequence[str] = DRIVERS, *, upright: bool = True) -> DatasetReader:
    """Open a raster; the caller closes it.

    A raster with only ground control points or RPCs is warped on the fly to UTM or a polar projection. One whose grid
    is rotated other than by right angles is warped to a north-up grid in its CRS. EMIT is orthorectified with its
    lookup table, and Sentinel-3 placed by its geolocation files. HDF4 is read into memory, band by band.

    Args:
        href: A path, a URL (http, https, s3, gs, az), a file in a zip, or a subdataset of a NetCDF, HDF5 or HDF4 file.
        drivers: Drivers that may open it.
        upright: Warp rotated grids.

    Raises:
        SceneError: The file does not exist, or no driver can read it.
    """
    place = str(href)
    file = local_file(place)
    if file is None:
        check_remote(place)
    else:
        check_local(file, place)
        # Only for scenes, never for what a client sends.
        if drivers is DRIVERS and hdf4.is_hdf4(file):
            return _open_hdf4(file, place)
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if file is None else {}
    if file is None:
        be_patient()
    try:
        with rasterio.Env(**options), without_tracebacks():
            # rasterio.open() takes one driver; DatasetReader takes several.
            dataset = DatasetReader(gdal_name(place), driver=list(drivers))
            # Before anything accesses its overviews.
            _refuse_overviews_elsewhere(dataset, place)
            return _placed(dataset, upright=upright)
    except SceneError:
        raise
    except (RasterioError, CPLE_BaseError, ValueError, UnicodeError) as error:
        # ValueError: invalid numbers in its metadata, such as RPCs. UnicodeError: text that is not UTF-8.
        # Do not print signatures, which are secret.
        reason = (str(error).splitlines() or ["?"])[0].replace(gdal_name(place), place)
        if file is None:
            # Otherwise GDAL would answer the next attempt from its cache of failures.
            forget(gdal_name(place))
        if "CURL error" in reason:
            raise SceneError(
                f"{place}: cannot connect to the server ({reason}); check the address and the network, then try again"
            ) from error
        if in_zip(place) and place.lower().endswith(".hdf"):
            raise SceneError(f"{place}: HDF4 is not read inside an archive; unpack it and pass the folder") from error
        if isinstance(error, ValueError) and "convert string to float" in reason:
            raise SceneError(
                f"{place}: its RPCs contain text instead of numbers ({reason.partition(': ')[2]}); correct them, or "
                "move the RPC file elsewhere and state the location in a sidecar"
            ) from error
        raise SceneError(
            f"{place}: not a readable raster ({reason}); need a complete file in one of these formats: "
            f"{', '.join(drivers)}"
        ) from error


def _open_hdf4(file: Path, place: str) -> DatasetReader:
    part = subdataset(place)
    return hdf4.open_container(file) if part is None else hdf4.open_band(file, part[1], place)


def check_local(file: Path, place: str) -> None:
    """Check that a path is a readable regular file. Reading a pipe or device could block forever.

    Args:
        file: The file.
        place: Name for error messages.

    Raises:
        SceneError: It is not a file, or cannot be read.
    """
    try:
        if not file.is_file():
            raise SceneError(f"{place}: no such file; check the path")
        file.open("rb").close()
    except OSError as error:
        raise SceneError(f"{place}: cannot be read ({error.strerror}); check the path and its permissions") from error


def be_patient() -> None:
    """Have GDAL retry on network errors with increasing delay, unless the environment overrides this."""
    for name, value in _NETWORK.items():
        os.environ.setdefault(name, value)


def stored(dataset: DatasetReader) -> DatasetReader:
    """Return the raster beneath a warped one, because a VRT lacks its metadata; others unchanged."""
    found: DatasetReader = dataset.src_dataset if isinstance(dataset, WarpedVRT) else dataset
    return found


def _refuse_overviews_elsewhere(dataset: DatasetReader, place: str) -> None:
    """Reject a raster that references overviews in another folder or on a server.

    Raises:
        SceneError: It does.
    """
    named = str(dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE", "")).removeprefix(_BESIDE)
    if "/" in named or "\\" in named:
        dataset.close()
        raise SceneError(
            f"{place}: references overviews at {named[:200]!r}; they must be in the file or next to it (delete "
            "OVERVIEW_FILE from its .aux.xml)"
        )


def set_upright(dataset: DatasetReader) -> DatasetReader:
    """Warp a raster that is rotated other than by right angles to a north-up grid; return others unchanged.

    Resampling is nearest neighbour, so values do not change. Pixels outside the stored raster get the file's nodata
    value, or are transparent in an added alpha band.
    """
    grid = None
    if is_askew(dataset.transform):
        grid = upright_grid(dataset.transform, dataset.width, dataset.height)
    if grid is None:
        return dataset
    # The warp stays in one CRS, so any will do; a sidecar may state the real one.
    crs = dataset.crs or CRS.from_wkt(_SOME_PLANE)
    outside: dict[str, Any] = {"add_alpha": "alpha" not in {colour.name for colour in dataset.colorinterp}}
    if dataset.nodata is not None:
        outside = {"nodata": dataset.nodata}
    transform, width, height = grid
    warped: DatasetReader = WarpedVRT(
        dataset,
        src_crs=crs,
        crs=crs,
        transform=transform,
        width=width,
        height=height,
        resampling=Resampling.nearest,
        **outside,
    )
    return warped


def _placed(dataset: DatasetReader, *, upright: bool) -> DatasetReader:
    dataset = geolocated(orthorectified(dataset))
    points, crs = dataset.gcps
    if not all(math.isfinite(value) for point in points for value in (point.x, point.y)):
        points = []
    if not dataset.transform.is_identity or (not points and dataset.rpcs is None):
        return set_upright(dataset) if upright else dataset
    # Pixels outside the warped raster are nodata, with value 0 if the file defines none.
    options: dict[str, Any] = {"nodata": dataset.nodata if dataset.nodata is not None else 0}
    if points:
        if crs is None:
            return dataset
        target = metric_crs(*_middle(points)) if crs.is_geographic else crs
    else:
        # RPCs are in WGS 84 (OGC, RPCs in GeoTIFF).
        crs, target = CRS.from_epsg(4326), metric_crs(dataset.rpcs.long_off, dataset.rpcs.lat_off)
        # Use the scene's mean height: projecting to sea level would shift oblique views of high terrain by kilometres.
        options |= {"SRC_METHOD": "RPC", "RPC_HEIGHT": dataset.rpcs.height_off}
    try:
        # Palette indexes cannot be interpolated.
        how = Resampling.nearest if has_palette(dataset) else Resampling.bilinear
        warped: DatasetReader = WarpedVRT(dataset, src_crs=crs, crs=target, resampling=how, **options)
    except (RasterioError, CPLE_BaseError):
        if not points:
            raise
        # Too few points, or all on one line: not georeferenced, unless the user states the location.
        return dataset
    return warped


def _middle(points: Sequence[GroundControlPoint]) -> tuple[float, float]:
    """Return the mean longitude and latitude of points, which may be on both sides of ±180°."""
    first = points[0].x
    east = sum((point.x - first + 180) % 360 - 180 for point in points) / len(points)
    return first + east, sum(point.y for point in points) / len(points)


def gdal_name(href: str) -> str:
    """Return the GDAL name of a raster; URLs are signed with a current token if necessary.

    Raises:
        SceneError: The URL cannot be signed.
    """
    part = subdataset(href)
    if part is not None and ":" in part[1]:
        # GDAL splits at colons that are not quoted.
        return f'{href.partition(":")[0]}:"{part[0]}":"{part[1]}"'
    scheme = next((scheme for scheme in _REMOTE if href.startswith(scheme)), None)
    if scheme is None:
        return href
    href = signed(href) if scheme.startswith("http") else href
    return _REMOTE[scheme] + href[len(scheme) :]
