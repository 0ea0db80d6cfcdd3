"""Selects the data assets of a STAC item, and reads their band metadata."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac

from bandsight.raster.drivers import is_remote, raster_path
from bandsight.sensors.band_names import bare_stem
from bandsight.sensors.groups import is_ancillary
from bandsight.sensors.profile import Profile
from bandsight.sensors.raster_info import BandMetadata

_RASTERS = (
    "image/tiff",
    "image/vnd.stac.geotiff",
    "image/x.geotiff",
    "image/geotiff",
    "application/x-hdf5",
    "image/jp2",
    "application/netcdf",
    "application/x-netcdf",
    "image/png",
)
# Generic media types; use the file suffix instead.
_ANY_TYPE = {"", "application/octet-stream", "binary/octet-stream"}
_ENDINGS = {".tif", ".tiff", ".jp2", ".nc", ".img"}
_NO_DATA_ROLES = {"thumbnail", "overview", "visual", "metadata"}
_NO_DATA_KEYS = {"thumbnail", "visual", "preview", "rendered_preview", "tilejson"}
# Visual assets, which are indexed only if an item has nothing else.
_VISUAL, _SHOWN = "visual", {"visual", "overview"}
_METRES = re.compile(r"(?:^|[_-])(\d+)m$")


def data_assets(item: pystac.Item, profiles: Sequence[Profile]) -> dict[str, pystac.Asset]:
    """Return the assets with image bands, and the quality band.

    Prefers assets with wavelengths or common names, then those a profile knows by name, then all with band names, then
    those with the role data. An item with only a visual asset uses that.

    Args:
        item: The item.
        profiles: Profiles that define names of bands and quality bands.
    """
    rasters = {key: asset for key, asset in item.assets.items() if _is_data(key, asset)}
    if not rasters:
        return _visual(item)
    masks = {key: asset for key, asset in rasters.items() if _is_quality(asset, profiles)}
    pictures = {key: asset for key, asset in rasters.items() if key not in masks}
    named = {key: asset for key, asset in pictures.items() if not is_ancillary(raster_path(asset.href).stem)}
    pictures = named or pictures
    chosen = _first_of(
        {key: asset for key, asset in pictures.items() if any(b.common_name or b.wavelength_um for b in bands(asset))},
        {key: asset for key, asset in pictures.items() if _is_known(asset, profiles)},
        {key: asset for key, asset in pictures.items() if bands(asset)},
    )
    if chosen is None:
        with_role = {key: asset for key, asset in pictures.items() if "data" in (asset.roles or ())}
        return (with_role or pictures or rasters) | _one_mask(masks)
    finest: dict[tuple[Any, ...], str] = {}
    for key in sorted(chosen, key=lambda one: _resolution(one, chosen[one])):
        # Some catalogues have each band at several resolutions, or as COG and JP2. Use the first, which is meant for
        # remote access.
        finest.setdefault(tuple((b.name, b.common_name, b.wavelength_um) for b in bands(chosen[key])) or (key,), key)
    return {key: asset for key, asset in chosen.items() if key in finest.values()} | _one_mask(masks)


def bands(asset: pystac.Asset) -> tuple[BandMetadata, ...]:
    """Return the bands of an asset, from STAC 1.1 `bands` or the older `eo:bands`; empty if not stated."""
    listed: Iterable[Any] = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or ()
    if all(isinstance(band, int) for band in listed):
        # Before STAC 0.8, bands were indexes into the item's list.
        of_item = asset.owner.properties.get("eo:bands", []) if isinstance(asset.owner, pystac.Item) else []
        listed = [of_item[at] for at in listed if 0 <= at < len(of_item)]
    found = tuple(
        BandMetadata(
            name=band.get("name"),
            common_name=band.get("eo:common_name", band.get("common_name")),
            wavelength_um=_number(band.get("eo:center_wavelength", band.get("center_wavelength"))),
            fwhm_um=_number(band.get("eo:full_width_half_max", band.get("full_width_half_max"))),
        )
        for band in listed
    )
    return found if any(band.name or band.common_name or band.wavelength_um for band in found) else ()


def scale(asset: pystac.Asset, *, offset_applied: bool) -> tuple[float, float] | None:
    """Return (scale, offset) from stored to physical values, or None if not stated.

    Args:
        asset: The asset.
        offset_applied: Whether the catalogue already applied the offset.
    """
    fields = asset.extra_fields
    listed = [fields, *(fields.get("bands") or ()), *(fields.get("raster:bands") or ())]
    for stated in listed:
        found = stated.get("raster:scale", stated.get("scale"))
        if isinstance(found, int | float) and found > 0:
            offset = stated.get("raster:offset", stated.get("offset", 0.0))
            return float(found), 0.0 if offset_applied else float(offset or 0.0)
    return None


def href(asset: pystac.Asset) -> str:
    """Return the href of an asset, or its first alternate that can be opened."""
    alternates = asset.extra_fields.get("alternate")
    others = alternates.values() if isinstance(alternates, Mapping) else ()
    places = [asset.get_absolute_href() or asset.href]
    owner = asset.owner.get_self_href() if asset.owner is not None else None
    named = [str(one["href"]) for one in others if isinstance(one, Mapping) and one.get("href")]
    places += [pystac.utils.make_absolute_href(place, owner) if owner else place for place in named]
    return next((local for place in places if _can_open(local := _local(place))), _local(places[0]))


def _local(place: str) -> str:
    """Return a href as a local path if it is one, unquoting `%20` unless a file has that name."""
    if place.startswith("file://"):
        return unquote(urlsplit(place).path)
    if "%" in place and not is_remote(place) and "://" not in place and not Path(place).exists():
        return unquote(place)
    return place


def _can_open(place: str) -> bool:
    return is_remote(place) or "://" not in place


def _first_of(*choices: dict[str, pystac.Asset]) -> dict[str, pystac.Asset] | None:
    return next((choice for choice in choices if choice), None)


def _visual(item: pystac.Item) -> dict[str, pystac.Asset]:
    found = {
        key: asset
        for key, asset in item.assets.items()
        if _is_raster(asset) and (key.lower() == _VISUAL or _SHOWN.intersection(asset.roles or ()))
    }
    return dict(list(found.items())[:1])


def _one_mask(masks: Mapping[str, pystac.Asset]) -> dict[str, pystac.Asset]:
    stems: dict[str, str] = {}
    for key, asset in masks.items():
        stems.setdefault(raster_path(asset.href).stem, key)
    return {key: masks[key] for key in stems.values()}


def _is_data(key: str, asset: pystac.Asset) -> bool:
    if key.lower() in _NO_DATA_KEYS or _NO_DATA_ROLES.intersection(asset.roles or ()):
        return False
    return _is_raster(asset)


def _is_raster(asset: pystac.Asset) -> bool:
    kind = (asset.media_type or "").split(";")[0].strip().lower()
    return kind in _RASTERS or (kind in _ANY_TYPE and raster_path(asset.href).suffix.lower() in _ENDINGS)


def _is_quality(asset: pystac.Asset, profiles: Sequence[Profile]) -> bool:
    stem = bare_stem(raster_path(asset.href).stem)
    return any(quality.file.search(stem) for profile in profiles for quality in profile.quality)


def _is_known(asset: pystac.Asset, profiles: Sequence[Profile]) -> bool:
    """Return whether a file name is that of a known band."""
    path = raster_path(asset.href)
    place = f"{path.parent.name}/{path.name}"
    return any(
        profile.product is not None
        and profile.product.search(place)
        and any(band.file and band.file.search(bare_stem(path.stem)) for band in profile.bands)
        for profile in profiles
    )


def _resolution(key: str, asset: pystac.Asset) -> float:
    """Return the pixel size of an asset, m or degrees; infinity if not stated."""
    fields = asset.extra_fields
    rows = [fields, *(fields.get("bands") or ()), *(fields.get("raster:bands") or ())]
    for row in rows:
        for name in ("gsd", "raster:spatial_resolution", "spatial_resolution"):
            if isinstance(row.get(name), int | float):
                return float(row[name])
    found = _METRES.search(raster_path(asset.href).stem) or _METRES.search(key)
    return float(found[1]) if found else float("inf")


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
