"""Opens the files of a scene, expanding NetCDF and HDF5 containers to the subdatasets with its bands."""

import re
from collections.abc import Iterable, Mapping, Sequence

from rasterio.io import DatasetReader

from bandsight.errors import SceneError
from bandsight.raster.drivers import open_raster, raster_path, stored, subdataset
from bandsight.sensors.band_names import bare_stem
from bandsight.sensors.profile import Profile, load_profiles

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


def open_rasters(
    hrefs: Iterable[str], into: dict[str, DatasetReader], profiles: Sequence[Profile] | None = None
) -> None:
    """Open the rasters of a scene into a dict by href; the owner of the dict closes them.

    Args:
        hrefs: The files of the scene.
        into: The dict.
        profiles: Profiles that define names of bands; None for the built-in ones.

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
        into.update(_bands(href, parts, load_profiles() if profiles is None else profiles))


def _pictures(parts: list[str]) -> list[str]:
    """Return the subdatasets of a container, without EMIT's location layers."""
    if not any(_EMIT_TABLE in part for part in parts):
        return parts
    return [part for part in parts if not any(group in part for group in _EMIT_PLACES)]


def _bands(href: str, parts: list[str], profiles: Sequence[Profile]) -> dict[str, DatasetReader]:
    """Open the subdatasets of a container that its product's profile knows by name, else the largest ones."""
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
    # Opening takes time, and HDF4 memory, so layers that are not bands stay closed.
    known = _known(parts, profiles)
    opened: dict[str, DatasetReader] = {}
    kept: dict[str, DatasetReader] = {}
    try:
        for part in known or parts:
            opened[part] = open_raster(part)
        pictures = {part: d for part, d in opened.items() if d.count and min(d.shape) > 1}
        kept = pictures if known else _largest(pictures)
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


def _known(parts: Sequence[str], profiles: Sequence[Profile]) -> list[str]:
    """Return the bands and quality bands of the product that a container is named after; empty if there are none."""
    for profile in profiles:
        if profile.product is None or not profile.bands:
            continue
        bands = [part for part in parts if _is_band(part, profile)]
        if len(profile.bands) == 1:
            # Such as surface temperature by day and by night, which are two pictures.
            bands = bands[:1]
        if bands:
            masks = [quality.file for quality in profile.quality]
            return bands + [part for part in parts if part not in bands and _matches(raster_path(part).name, masks)]
    return []


def _is_band(part: str, profile: Profile) -> bool:
    """Return whether a part is a band of a profile: by its name, or because its name identifies the product."""
    path = raster_path(part)
    assert profile.product is not None
    # Sentinel-3 is named after its product in the folder that contains the file.
    container = "/".join(path.parent.parts[-2:])
    if not profile.product.search(f"{container}/{path.name}"):
        return False
    return _matches(path.name, [band.file for band in profile.bands]) or not profile.product.search(container)


def _matches(name: str, patterns: Iterable[re.Pattern[str] | None]) -> bool:
    return any(pattern and pattern.search(bare_stem(name)) for pattern in patterns)


def _largest(pictures: Mapping[str, DatasetReader]) -> dict[str, DatasetReader]:
    """Return the largest rasters; smaller ones are axes and tie points."""
    size = max((d.width * d.height for d in pictures.values()), default=0)
    return {part: d for part, d in pictures.items() if d.width * d.height == size}


def _names(parts: list[str]) -> str:
    shown = ", ".join(raster_path(part).name for part in parts[:_SHOWN])
    return f"{shown}, …" if len(parts) > _SHOWN else shown or "it is empty"
