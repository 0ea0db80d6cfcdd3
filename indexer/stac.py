"""Scenes out of STAC: items, item collections, static catalogues, API searches and stac-geoparquet files."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac
from pystac.stac_io import DefaultStacIO

from bandsight.errors import SceneError, needs_extra
from bandsight.raster.drivers import is_remote, raster_path
from bandsight.sensors.profile import Profile
from bandsight.sensors.raster_info import BandMetadata
from indexer.datetimes import parse_time
from indexer.product_metadata import SceneMetadata
from indexer.source import Source
from indexer.stac_query import StacQuery

_RASTERS = (
    "image/tiff",
    "image/vnd.stac.geotiff",
    "image/jp2",
    "application/netcdf",
    "application/x-netcdf",
    "image/png",
)
_NO_DATA_ROLES = {"thumbnail", "overview", "visual", "metadata"}
_NO_DATA_KEYS = {"thumbnail", "visual", "preview", "rendered_preview", "tilejson"}
# Times another way; the rest of an item's properties is kept under its own names.
_TIMES = {"datetime", "start_datetime", "end_datetime", "created", "updated"}
_HOW = "need a STAC item, item collection or catalogue"
# What pystac raises of JSON that is not what it takes it for, and what looking at such an item does.
_NOT_STAC = (pystac.STACError, pystac.STACTypeError, OSError, KeyError, TypeError, ValueError, AttributeError)

Unread = Callable[[str, SceneError], object]
"""Told of each item that cannot be read, by its name, while the others go on."""


def items_of(href: str, unread: Unread) -> Iterator[pystac.Item]:
    """Yield the items of a STAC file: an item, an item collection, a catalogue with all below it, or stac-geoparquet.

    Args:
        href: The file.
        unread: Told of each item, and of each catalogue below the first, that cannot be read.

    Raises:
        SceneError: It cannot be read, or is none of these.
    """
    path = href if is_remote(href) else str(Path(href).expanduser().absolute())
    if raster_path(path).suffix.lower() in {".parquet", ".geoparquet"}:
        yield from _each(_of_parquet(path), path, unread)
        return
    said = _read(path)
    kind = said.get("type")
    try:
        if kind == "FeatureCollection":
            yield from _each(said.get("features", []), path, unread)
        elif kind == "Feature":
            yield _item(said, path)
        elif kind in {"Catalog", "Collection"}:
            root = pystac.read_file(path)
            assert isinstance(root, pystac.Catalog)
            yield from _below(root, unread)
        else:
            raise SceneError(f"{href}: found type {kind!r}; {_HOW}")
    except _NOT_STAC as error:
        raise _no_stac(href, error) from error


def _each(features: Iterable[Any], path: str, unread: Unread) -> Iterator[pystac.Item]:
    """Yield items of one file; one that is none does not cost the others."""
    for number, feature in enumerate(features, 1):
        try:
            yield _item(feature, path)
        except _NOT_STAC as error:
            name = f"{path}: feature {number}"
            unread(name, _no_stac(name, error))


def _below(root: pystac.Catalog, unread: Unread) -> Iterator[pystac.Item]:
    """Yield the items of a catalogue and of all below it, each catalogue once: their links may lead in circles."""
    waiting, seen = [root], {root.get_self_href()}
    while waiting:
        catalog = waiting.pop()
        for link in catalog.links:
            if link.rel not in {pystac.RelType.ITEM, pystac.RelType.CHILD}:
                continue
            href = link.get_absolute_href()
            if href in seen:
                continue
            seen.add(href)
            try:
                found = link.resolve_stac_object(root=root).target
            except _NOT_STAC as error:
                unread(str(href), _no_stac(str(href), error))
                continue
            if isinstance(found, pystac.Item):
                yield found
            elif isinstance(found, pystac.Catalog):
                waiting.append(found)


def _no_stac(name: str, error: Exception) -> SceneError:
    return SceneError(f"{name}: not valid STAC ({type(error).__name__}: {error}); {_HOW}")


def search_items(url: str, query: StacQuery) -> Iterator[pystac.Item]:
    """Yield what a STAC API finds.

    Raises:
        SceneError: The API cannot be reached, or refuses the query.
        MissingExtraError: pystac-client is not installed.
    """
    with needs_extra("stac", "Searching a STAC API"):
        from pystac_client import Client
        from pystac_client.exceptions import APIError
        from pystac_client.stac_api_io import StacApiIO
        from requests.exceptions import RequestException

    try:
        client = Client.open(url, stac_io=StacApiIO(max_retries=4, timeout=30))
        found = client.search(
            collections=list(query.collections) or None,
            bbox=list(query.bbox) if query.bbox else None,
            datetime=query.datetime,
            max_items=query.max_items,
        )
        yield from found.items()
    except (APIError, RequestException, pystac.STACError, NotImplementedError, ValueError, KeyError) as error:
        raise SceneError(f"stac:{url}: the search failed ({error}); check the URL and the query") from error


def source_of(item: pystac.Item, profiles: Sequence[Profile]) -> Source:
    """Return the scene that an item describes: its data assets and its quality band.

    One whose fields are not what STAC says is a source with a problem.
    """
    try:
        return _source(item, profiles)
    except _NOT_STAC as error:
        problem = _no_stac(str(item.id), error)
        return Source(name=str(item.id), hrefs=(item.get_self_href() or str(item.id),), problem=str(problem))


def _source(item: pystac.Item, profiles: Sequence[Profile]) -> Source:
    assets = _data_assets(item, profiles)
    hrefs = {key: _href(asset) for key, asset in assets.items()}
    origin = item.get_self_href() or ""
    outside = [href for href in hrefs.values() if is_remote(origin) and not is_remote(href)]
    problem = ""
    if not assets:
        problem = f"{item.id}: its STAC item has no raster among its assets ({', '.join(item.assets) or 'none'})"
    elif outside:
        problem = f"{item.id}: its remote STAC item names {outside[0]}, a file of this machine; it is not read"
    bands = {hrefs[key]: listed for key, asset in assets.items() if (listed := _bands(asset))}
    applied = item.properties.get("earthsearch:boa_offset_applied") is True
    scales = {hrefs[key]: scale for key, asset in assets.items() if (scale := _scale(asset, offset_applied=applied))}
    metadata = SceneMetadata(
        by=f"STAC item {item.id}",
        acquired=None if item.datetime is None else _utc(item.datetime),
        start=parse_time(str(item.properties.get("start_datetime") or "")),
        end=parse_time(str(item.properties.get("end_datetime") or "")),
        properties={key: value for key, value in item.properties.items() if key not in _TIMES},
        hints=tuple(text for text in (item.id, item.collection_id) if text),
        bands=bands,
        scales=scales,
    )
    return Source(
        name=str(item.id),
        hrefs=tuple(hrefs.values()) or (origin or str(item.id),),
        metadata=metadata,
        version=str(item.properties.get("updated", "")),
        problem=problem,
    )


def _utc(when: datetime) -> datetime:
    """Return a time in UTC; one without a zone is."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _read(path: str) -> dict[str, Any]:
    try:
        said = json.loads(DefaultStacIO().read_text(path))
    except Exception as error:
        raise SceneError(f"{path}: cannot be read ({error}); {_HOW}") from error
    if not isinstance(said, dict):
        raise SceneError(f"{path}: found a JSON {type(said).__name__}; {_HOW}")
    return said


def _of_parquet(path: str) -> list[Any]:
    with needs_extra("stac", "Reading items from a GeoParquet file"):
        import rustac

    async def read() -> dict[str, Any]:
        found: dict[str, Any] = dict(await rustac.read(path))
        return found

    try:
        features: list[Any] = asyncio.run(read())["features"]
    except Exception as error:
        raise SceneError(f"{path}: no stac-geoparquet file that can be read ({error})") from error
    return features


def _item(said: Mapping[str, Any], path: str) -> pystac.Item:
    return pystac.Item.from_dict(dict(said), href=path, preserve_dict=False)


def _data_assets(item: pystac.Item, profiles: Sequence[Profile]) -> dict[str, pystac.Asset]:
    """Return the assets that hold bands; where none says so, all rasters that are meant as data."""
    rasters = {key: asset for key, asset in item.assets.items() if _is_raster(key, asset)}
    masks = {key: asset for key, asset in rasters.items() if _is_quality(asset, profiles)}
    banded = {key: asset for key, asset in rasters.items() if key not in masks and _bands(asset)}
    if not banded:
        return rasters
    once: dict[tuple[Any, ...], str] = {}
    for key, asset in banded.items():
        # Some catalogues hold each band as COG and as JP2: the first of a kind is theirs to read from afar.
        once.setdefault(tuple(_bands(asset)), key)
    return {key: banded[key] for key in once.values()} | _one_mask(masks)


def _one_mask(masks: Mapping[str, pystac.Asset]) -> dict[str, pystac.Asset]:
    stems: dict[str, str] = {}
    for key, asset in masks.items():
        stems.setdefault(raster_path(asset.href).stem, key)
    return {key: masks[key] for key in stems.values()}


def _is_raster(key: str, asset: pystac.Asset) -> bool:
    if key.lower() in _NO_DATA_KEYS or _NO_DATA_ROLES.intersection(asset.roles or ()):
        return False
    kind = (asset.media_type or "").split(";")[0].strip().lower()
    endings = {".tif", ".tiff", ".jp2", ".nc", ".img"}
    return kind in _RASTERS or (not kind and raster_path(asset.href).suffix.lower() in endings)


def _is_quality(asset: pystac.Asset, profiles: Sequence[Profile]) -> bool:
    stem = raster_path(asset.href).stem
    return any(quality.file.search(stem) for profile in profiles for quality in profile.quality)


def _bands(asset: pystac.Asset) -> tuple[BandMetadata, ...]:
    """Return what an asset says about its bands: STAC 1.1 `bands`, or `eo:bands` before it."""
    listed: Iterable[Mapping[str, Any]] = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or ()
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


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _scale(asset: pystac.Asset, *, offset_applied: bool) -> tuple[float, float] | None:
    fields = asset.extra_fields
    listed = [fields, *(fields.get("bands") or ()), *(fields.get("raster:bands") or ())]
    for said in listed:
        scale = said.get("raster:scale", said.get("scale"))
        if isinstance(scale, int | float) and scale > 0:
            offset = said.get("raster:offset", said.get("offset", 0.0))
            return float(scale), 0.0 if offset_applied else float(offset or 0.0)
    return None


def _href(asset: pystac.Asset) -> str:
    href = asset.get_absolute_href() or asset.href
    return unquote(urlsplit(href).path) if href.startswith("file://") else href
