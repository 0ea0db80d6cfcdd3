"""Opens rasters with the drivers that scenes come in, and no other."""

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
from bandsight.raster.gdal_vsi import forget
from bandsight.raster.lookup_table import orthorectified
from bandsight.raster.orientation import is_askew, upright_grid
from bandsight.raster.palette import has_palette
from bandsight.raster.signing import signed

# Drivers that redirect to other files or URLs (VRT, WMS, …) are not among them: a scene must not make us read what
# the user did not name.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "netCDF", "HFA", "ENVI", "HDF5", "HDF5Image")

# URLs and the file system of GDAL that reads each; credentials come from the environment, as GDAL documents.
_REMOTE = {
    "http://": "/vsicurl/http://",
    "https://": "/vsicurl/https://",
    "s3://": "/vsis3/",
    "gs://": "/vsigs/",
    "az://": "/vsiaz/",
}
_IN_ZIP = re.compile(r"/vsi(?:zip|tar)/\{([^{}]+)\}/?(.*)")
_SUBDATASET = re.compile(r'(netcdf|hdf5):(?:"([^"]+)"|([^":]+)):(?://)?(.+)', re.IGNORECASE)
_NETWORK = {"GDAL_HTTP_MAX_RETRY": "4", "GDAL_HTTP_RETRY_DELAY": "1", "GDAL_HTTP_CONNECTTIMEOUT": "10"}
_NETWORK |= {"GDAL_HTTP_TIMEOUT": "60"}

# What GDAL writes before the name of an overview file in the raster's own folder.
_BESIDE = ":::BASE:::"

_SOME_PLANE = 'LOCAL_CS["unknown",UNIT["metre",1]]'

# Beyond, UTM zones are too narrow.
_UTM_LAT = 84

# Hooks belong to the whole process, so only one thread at a time may change them.
_quiet = threading.Lock()

# Filters belong to the process, and several threads open rasters at once, so one thread cannot change them for itself.
# Code that needs a georeference raises its own error.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Open rasters without the tracebacks that rasterio prints where a message of GDAL is no UTF-8."""
    with _quiet:
        before = sys.unraisablehook, sys.excepthook
        sys.unraisablehook, sys.excepthook = _ignore_undecodable, _ignore_undecodable_printed
        try:
            yield
        finally:
            sys.unraisablehook, sys.excepthook = before


def _ignore_undecodable(problem: "sys.UnraisableHookArgs") -> None:
    """Drop the traceback that rasterio leaves where a message of GDAL is no UTF-8: it only tells of that."""
    if not isinstance(problem.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(problem)


def _ignore_undecodable_printed(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Do the same for the first lines of that traceback, which Cython prints for an uncaught error."""
    if not isinstance(problem, UnicodeDecodeError):
        sys.__excepthook__(kind, problem, trace)


def is_remote(href: str) -> bool:
    """Return whether a raster is on a server or in an object store."""
    return href.startswith(tuple(_REMOTE))


def check_remote(href: str) -> None:
    """Refuse a URL that names no file, before any request.

    Raises:
        SceneError: It has no server or bucket, or nothing behind it.
    """
    scheme, _, rest = href.partition("://")
    holder, _, inside = rest.partition("/")
    whose = {"s3": "bucket", "gs": "bucket", "az": "container"}.get(scheme, "server")
    need = f"need {scheme}://{whose.upper()}/PATH/TO/SCENE.tif"
    if not holder:
        raise SceneError(f"{href}: no {whose} is named; {need}")
    if not inside:
        raise SceneError(f"{href}: names a {whose} and no file in it; {need}")


def in_zip(href: str) -> tuple[str, str] | None:
    """Return (file, place in it) of a raster in a zip or tar, None for any other."""
    found = _IN_ZIP.fullmatch(href)
    return (found[1], found[2].rstrip("/")) if found else None


def place_in_zip(archive: str | Path, inner: str) -> str:
    """Return the href of a file in a zip or tar."""
    return f"/vsi{'tar' if str(archive).lower().endswith('.tar') else 'zip'}/{{{archive}}}/{inner}"


def subdataset(href: str) -> tuple[str, str] | None:
    """Return (file, name in it) of a part of a NetCDF or HDF5 file, None for any other raster."""
    found = _SUBDATASET.fullmatch(href)
    return (found[2] or found[3], found[4].strip('"')) if found else None


def local_file(href: str) -> Path | None:
    """Return the file on this machine that holds a raster, None for a remote one."""
    if is_remote(href):
        return None
    part = subdataset(href)
    place = part[0] if part else href
    inner = in_zip(place)
    return Path(inner[0] if inner else place)


def raster_path(href: str) -> PurePath:
    """Return a raster's place, for its names: without the query of a URL; a file that holds several as a folder."""
    part, zipped = subdataset(href), in_zip(href)
    if part:
        return PurePath(part[0]) / part[1].replace("/", "_")
    if zipped:
        return PurePath(zipped[0]) / zipped[1]
    return PurePath(urlsplit(href).path if is_remote(href) else href)


def open_raster(href: str | Path, drivers: Sequence[str] = DRIVERS, *, upright: bool = True) -> DatasetReader:
    """Return an open raster; the caller closes it.

    One that is placed by ground control points or by RPCs alone is warped on the fly, to UTM or a polar projection; one
    whose grid is rotated by something else than right angles, to a grid north up in its own CRS. EMIT is orthorectified
    by its lookup table.

    Args:
        href: A path, a URL (http, https, s3, gs, az), a place in a zip, or a part of a NetCDF or HDF5 file.
        drivers: Those that may open it.
        upright: Warp rotated grids.

    Raises:
        SceneError: There is no such file, or no driver can read it.
    """
    place = str(href)
    file = local_file(place)
    if file is None:
        check_remote(place)
    else:
        check_local(file, place)
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if file is None else {}
    if file is None:
        be_patient()
    try:
        with rasterio.Env(**options), without_tracebacks():
            # rasterio.open() takes one driver; its reader takes several.
            dataset = DatasetReader(gdal_name(place), driver=list(drivers))
            # Before anything asks for its overviews.
            _refuse_overviews_elsewhere(dataset, place)
            return _placed(dataset, upright=upright)
    except SceneError:
        raise
    except (RasterioError, CPLE_BaseError, ValueError, UnicodeError) as error:
        # ValueError: numbers in its metadata, such as RPCs, that are none; UnicodeError: text that is no UTF-8.
        # Signatures are secret.
        reason = (str(error).splitlines() or ["?"])[0].replace(gdal_name(place), place)
        if file is None:
            # Otherwise GDAL would answer another attempt from its cache, without asking the server.
            forget(gdal_name(place))
        if "CURL error" in reason:
            raise SceneError(
                f"{place}: connection to its server refused or not possible ({reason}); check the address and the "
                "network, then run the same again"
            ) from error
        if isinstance(error, ValueError) and "convert string to float" in reason:
            raise SceneError(
                f"{place}: its RPCs hold text where numbers belong ({reason.partition(': ')[2]}); correct them, or "
                "move the file that holds them away from it and give its place in a sidecar"
            ) from error
        raise SceneError(
            f"{place}: no raster that can be read ({reason}); need a complete file of one of {', '.join(drivers)}"
        ) from error


def check_local(file: Path, place: str) -> None:
    """Refuse what is no file that can be read; a pipe or a device would be waited for without end.

    Args:
        file: The file.
        place: What to call it in the error.

    Raises:
        SceneError: It is no file, or may not be read.
    """
    try:
        if not file.is_file():
            raise SceneError(f"{place}: no such file; check the path")
        file.open("rb").close()
    except OSError as error:
        raise SceneError(f"{place}: cannot be read ({error.strerror}); check the path and its permissions") from error


def be_patient() -> None:
    """Have GDAL try again on network errors, ever later, unless the user's environment says otherwise."""
    for name, value in _NETWORK.items():
        os.environ.setdefault(name, value)


def stored(dataset: DatasetReader) -> DatasetReader:
    """Return the raster as it is stored: that beneath a warped one, which does not repeat its metadata."""
    found: DatasetReader = dataset.src_dataset if isinstance(dataset, WarpedVRT) else dataset
    return found


def _refuse_overviews_elsewhere(dataset: DatasetReader, place: str) -> None:
    """Refuse a raster that names overviews in another folder or on a server.

    Raises:
        SceneError: They are.
    """
    named = str(dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE", "")).removeprefix(_BESIDE)
    if "/" in named or "\\" in named:
        dataset.close()
        raise SceneError(
            f"{place}: it names overviews at {named[:200]!r}; need them in the file itself or beside it (delete "
            "OVERVIEW_FILE from its .aux.xml)"
        )


def set_upright(dataset: DatasetReader) -> DatasetReader:
    """Return a raster whose grid is rotated by something else than right angles on a grid north up; any other as it is.

    Pixels keep their numbers: each is that of the nearest stored one. Outside of the stored picture is no data: the
    file's own value for that, or opacity in a band after the stored ones.
    """
    grid = None
    if is_askew(dataset.transform):
        grid = upright_grid(dataset.transform, dataset.width, dataset.height)
    if grid is None:
        return dataset
    # Within one CRS, whichever that is: a sidecar may state it.
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
    dataset = orthorectified(dataset)
    points, crs = dataset.gcps
    if not all(math.isfinite(value) for point in points for value in (point.x, point.y)):
        points = []
    if not dataset.transform.is_identity or (not points and dataset.rpcs is None):
        return set_upright(dataset) if upright else dataset
    # Outside of the warped picture is no data; where the file has no value for that, 0 is it.
    options: dict[str, Any] = {"nodata": dataset.nodata if dataset.nodata is not None else 0}
    if points:
        if crs is None:
            return dataset
        target = _metric_crs(*_middle(points)) if crs.is_geographic else crs
    else:
        # RPCs are in WGS 84 (OGC, RPCs in GeoTIFF).
        crs, target = CRS.from_epsg(4326), _metric_crs(dataset.rpcs.long_off, dataset.rpcs.lat_off)
        # At the scene's own height: on a plane at sea level, what is high and seen from aside would lie km away.
        options |= {"SRC_METHOD": "RPC", "RPC_HEIGHT": dataset.rpcs.height_off}
    try:
        # Numbers of colours cannot be mixed.
        how = Resampling.nearest if has_palette(dataset) else Resampling.bilinear
        warped: DatasetReader = WarpedVRT(dataset, src_crs=crs, crs=target, resampling=how, **options)
    except (RasterioError, CPLE_BaseError):
        if not points:
            raise
        # Too few of them, or all on one line: it lies nowhere, unless the user says where.
        return dataset
    return warped


def _middle(points: Sequence[GroundControlPoint]) -> tuple[float, float]:
    """Return longitude and latitude amid points, which may be on both sides of ±180°."""
    first = points[0].x
    east = sum((point.x - first + 180) % 360 - 180 for point in points) / len(points)
    return first + east, sum(point.y for point in points) / len(points)


def _metric_crs(lon: float, lat: float) -> CRS:
    """Return the UTM zone of a place, near a pole the polar stereographic projection."""
    if abs(lat) > _UTM_LAT:
        return CRS.from_epsg(3995 if lat > 0 else 3031)
    zone = int((lon + 180) % 360 // 6) + 1
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def gdal_name(href: str) -> str:
    """Return what GDAL calls a raster; a URL that must be signed with a signature of now.

    Raises:
        SceneError: It cannot be signed.
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
