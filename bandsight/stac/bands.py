"""STAC band objects and data assets of a scene."""

from typing import Any

from bandsight.catalog.records import Scene
from bandsight.imagery.scene_raster import band_decisions
from bandsight.raster.bands import BandRef
from bandsight.raster.decisions import BandDecision
from bandsight.raster.drivers import raster_path
from bandsight.stac.media_types import GEOTIFF

_TYPES = {".tif": GEOTIFF, ".tiff": GEOTIFF, ".jp2": "image/jp2", ".png": "image/png", ".jpg": "image/jpeg"}
_TYPES |= {".nc": "application/x-netcdf", ".h5": "application/x-hdf5"}


def band_objects(scene: Scene) -> list[dict[str, Any]]:
    """Return the bands of a scene, in order.

    `bandsight:wavelength` is the wavelength passed to the model, µm (a code for radar). `eo:center_wavelength` is
    present only if the profile that the scene was indexed with knows the band, and it is not radar.
    """
    return [_described(band, known) for band, known in zip(scene.bands, band_decisions(scene), strict=True)]


def _described(band: BandRef, known: BandDecision | None) -> dict[str, Any]:
    described: dict[str, Any] = {"name": band.name, "bandsight:wavelength": band.wavelength_um}
    if known is None:
        return described
    if known.frequency_ghz is not None or known.polarisation is not None:
        return described | {
            name: value
            for name, value in (
                ("sar:center_frequency", known.frequency_ghz),
                ("sar:polarizations", known.polarisation),
            )
            if value is not None
        }
    described["eo:center_wavelength"] = band.wavelength_um
    if known.common_name is not None:
        described["eo:common_name"] = known.common_name
    if known.fwhm_um is not None:
        described["eo:full_width_half_max"] = known.fwhm_um
    return described


def data_assets(scene: Scene) -> dict[str, Any]:
    """Return the scene's files as assets, each with its bands."""
    files: dict[str, list[dict[str, Any]]] = {}
    for band, described in zip(scene.bands, band_objects(scene), strict=True):
        files.setdefault(band.href, []).append(described | {"bandsight:index": band.index})
    assets = {}
    for number, (href, bands) in enumerate(files.items(), 1):
        name = "data" if len(files) == 1 else bands[0]["name"] if len(bands) == 1 else f"data-{number}"
        assets[name] = {
            "href": href,
            **_type_of(href),
            "title": ", ".join(band["name"] for band in bands),
            "roles": ["data"],
            "bands": bands,
        }
    return assets


def _type_of(href: str) -> dict[str, str]:
    """Return a file's media type by its suffix. GDAL's STACIT driver requires one."""
    kind = _TYPES.get(raster_path(href).suffix.lower())
    return {} if kind is None else {"type": kind}
