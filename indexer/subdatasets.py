"""Opens the files of a scene, expanding NetCDF and HDF5 containers to the subdatasets with its bands."""

import re
from collections.abc import Iterable

from rasterio.io import DatasetReader

from bandsight.errors import SceneError
from bandsight.raster.drivers import open_raster, raster_path, stored, subdataset

# Maximum number of subdatasets; larger containers are data cubes whose parts must be passed individually.
_MAX_PARTS = 500
_SHOWN = 8
# Groups in NASA's EMIT products (LP DAAC, user guides).
_EMIT_TABLE, _EMIT_PLACES = ":/location/glt_", (":/location/", ":/sensor_band_parameters/")
# Products of hydrographic offices (IHO), by GDAL's driver.
_NO_IMAGERY = {"S104": "water levels (S-104)", "S111": "surface currents (S-111)"}
# GDAL 3.12 quotes the path in NetCDF subdataset names, GDAL 3.10 does not. Removing the quotes gives a scene the same
# bands with both.
_QUOTED = re.compile(r'^(netcdf):"([^":]+)":', re.IGNORECASE)


def open_rasters(hrefs: Iterable[str], into: dict[str, DatasetReader]) -> None:
    """Open the rasters of a scene into a dict by href; the owner of the dict closes them.

    Raises:
        SceneError: A file cannot be read, or is a container without usable rasters.
    """
    for href in hrefs:
        dataset = open_raster(href)
        if dataset.count:
            into[href] = dataset
            continue
        parts = _pictures([_QUOTED.sub(r"\1:\2:", part) for part in dataset.subdatasets])
        dataset.close()
        into.update(_largest(href, parts))


def _pictures(parts: list[str]) -> list[str]:
    """Return the subdatasets of a container, without EMIT's location layers."""
    if not any(_EMIT_TABLE in part for part in parts):
        return parts
    return [part for part in parts if not any(group in part for group in _EMIT_PLACES)]


def _largest(href: str, parts: list[str]) -> dict[str, DatasetReader]:
    """Open the largest subdatasets of a container; smaller ones are axes and tie points."""
    if len(parts) > _MAX_PARTS:
        raise SceneError(f"{href}: contains {len(parts)} rasters, at most {_MAX_PARTS} are supported; pass one of them")
    foreign = next((part for part in parts if subdataset(part) is None), None)
    if foreign is not None:
        driver = foreign.partition(":")[0]
        if driver in _NO_IMAGERY:
            raise SceneError(f"{href}: holds {_NO_IMAGERY[driver]}, which are not imagery; leave it out")
        raise SceneError(
            f"{href}: its rasters need GDAL's {driver} driver, which Bandsight does not use; convert them: "
            f"rio convert '{foreign}' out.tif"
        )
    opened: dict[str, DatasetReader] = {}
    kept: dict[str, DatasetReader] = {}
    try:
        for part in parts:
            opened[part] = open_raster(part)
        pictures = {part: d for part, d in opened.items() if d.count and min(d.shape) > 1}
        size = max((d.width * d.height for d in pictures.values()), default=0)
        kept = {part: d for part, d in pictures.items() if d.width * d.height == size}
        if not kept:
            raise SceneError(f"{href}: a container without rasters; {_names(parts)}")
        if len(kept) > 1 and any(stored(d).count > 1 for d in kept.values()):
            raise SceneError(
                f"{href}: contains several rasters with several bands; pass one, e.g. {next(iter(kept))}, of "
                f"{_names(list(kept))}"
            )
        return kept
    finally:
        for part, dataset in opened.items():
            if part not in kept:
                dataset.close()


def _names(parts: list[str]) -> str:
    shown = ", ".join(raster_path(part).name for part in parts[:_SHOWN])
    return f"{shown}, …" if len(parts) > _SHOWN else shown or "it is empty"
