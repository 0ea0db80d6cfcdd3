"""Bands as STAC describes them, and what the model was told about each."""

from functools import lru_cache
from typing import Any

from bandsight.catalog.records import Scene
from bandsight.errors import SensorError
from bandsight.raster.bands import BandRef
from bandsight.raster.drivers import raster_path
from bandsight.sensors.profile import Band, profile_named
from bandsight.stac.links import GEOTIFF

_TYPES = {".tif": GEOTIFF, ".tiff": GEOTIFF, ".jp2": "image/jp2", ".png": "image/png", ".jpg": "image/jpeg"}
_TYPES |= {".nc": "application/x-netcdf", ".h5": "application/x-hdf5"}


def band_object(sensor: str, band: BandRef) -> dict[str, Any]:
    """Return one band.

    `bandsight:wavelength` is what the model was given, µm (for radar a code of the model). `eo:center_wavelength` is
    said only where the sensor's profile knows the band, and knows that it is no radar.
    """
    said: dict[str, Any] = {"name": band.name, "bandsight:wavelength": band.wavelength_um}
    known = _known(sensor, band.name)
    if known is None:
        return said
    if known.frequency_ghz is not None or known.polarisation is not None:
        return said | {
            name: value
            for name, value in (
                ("sar:center_frequency", known.frequency_ghz),
                ("sar:polarizations", known.polarisation),
            )
            if value is not None
        }
    said["eo:center_wavelength"] = band.wavelength_um
    if known.common_name is not None:
        said["eo:common_name"] = known.common_name
    if known.fwhm_um is not None:
        said["eo:full_width_half_max"] = known.fwhm_um
    return said


def data_assets(scene: Scene) -> dict[str, Any]:
    """Return the scene's files as assets, each with the bands that were read from it."""
    files: dict[str, list[BandRef]] = {}
    for band in scene.bands:
        files.setdefault(band.href, []).append(band)
    assets = {}
    for number, (href, bands) in enumerate(files.items(), 1):
        name = "data" if len(files) == 1 else bands[0].name if len(bands) == 1 else f"data-{number}"
        assets[name] = {
            "href": href,
            **_type_of(href),
            "title": ", ".join(band.name for band in bands),
            "roles": ["data"],
            "bands": [band_object(scene.sensor, band) | {"bandsight:index": band.index} for band in bands],
        }
    return assets


def _type_of(href: str) -> dict[str, str]:
    """Return a file's media type, as its name says it; GDAL's STACIT driver opens no asset without one."""
    kind = _TYPES.get(raster_path(href).suffix.lower())
    return {} if kind is None else {"type": kind}


@lru_cache(maxsize=1024)
def _known(sensor: str, name: str) -> Band | None:
    try:
        bands = profile_named(sensor).bands
    except SensorError:
        return None
    return next((band for band in bands if band.name == name), None)
