"""Reads scenes from STAC: items, item collections, static catalogues, API searches and stac-geoparquet files."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
from pystac.stac_io import DefaultStacIO

from bandsight.errors import SceneError, needs_extra
from bandsight.raster.drivers import is_remote, raster_path
from bandsight.sensors.profile import Profile
from indexer.datetimes import parse_time
from indexer.product_metadata import SceneMetadata
from indexer.source import Source
from indexer.stac_assets import bands, data_assets, href, scale
from indexer.stac_query import StacQuery

# Sentinel-2 (ESA, processing baseline 04.00): reflectance = (DN - 1000) / 10000.
_OFFSET_SINCE, _S2_SCALE, _S2_OFFSET = "04.00", 1e-4, -0.1
# Time properties, which are handled separately; other properties are kept.
_TIMES = {"datetime", "created", "updated"}
_HOW = "need a STAC item, item collection or catalogue"
# Errors that pystac and access to an invalid item may raise.
_NOT_STAC = (pystac.STACError, pystac.STACTypeError, OSError, KeyError, TypeError, ValueError, AttributeError)

Unread = Callable[[str, SceneError], object]
"""Called with the name and error of each unreadable item; others are indexed."""


def items_of(href: str, unread: Unread) -> Iterator[pystac.Item]:
    """Yield the items of a STAC file: an item, an item collection, a catalogue (recursively), or stac-geoparquet.

    Args:
        href: The file.
        unread: Called with each unreadable item or child catalogue.

    Raises:
        SceneError: The file cannot be read, or is none of these.
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
        elif kind in {"Catalog", "Collection"} or (kind is None and "stac_version" in said and "links" in said):
            # Before STAC 1.0, catalogues and collections had no type.
            root = pystac.read_file(path)
            assert isinstance(root, pystac.Catalog)
            yield from _below(root, unread)
        else:
            raise SceneError(f"{href}: found type {kind!r}; {_HOW}")
    except _NOT_STAC as error:
        raise _no_stac(href, error) from error


def _each(features: Iterable[Any], path: str, unread: Unread) -> Iterator[pystac.Item]:
    """Yield the items of a file, skipping invalid ones."""
    for number, feature in enumerate(features, 1):
        try:
            yield _item(feature, path)
        except _NOT_STAC as error:
            name = f"{path}: feature {number}"
            unread(name, _no_stac(name, error))


def _below(root: pystac.Catalog, unread: Unread) -> Iterator[pystac.Item]:
    """Yield the items of a catalogue and its children, visiting each once because links may be circular."""
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
            if href is not None and not is_remote(href) and not Path(href.removeprefix("file://")).exists():
                problem = f"{href}: no such file, but {catalog.get_self_href()} links to it; add it, or fix the link"
                unread(str(href), SceneError(problem))
                continue
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
    """Yield the items found by a STAC API.

    Raises:
        SceneError: The API cannot be reached, or rejects the query.
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

    Invalid items become sources with a problem.
    """
    try:
        return _source(item, profiles)
    except _NOT_STAC as error:
        problem = _no_stac(str(item.id), error)
        return Source(name=str(item.id), hrefs=(item.get_self_href() or str(item.id),), problem=str(problem))


def asset_hrefs(item: pystac.Item) -> set[str]:
    """Return the hrefs of all assets of an item, also of those that hold no scene."""
    return {href(asset) for asset in item.assets.values()}


def _source(item: pystac.Item, profiles: Sequence[Profile]) -> Source:
    assets = data_assets(item, profiles)
    hrefs = {key: href(asset) for key, asset in assets.items()}
    origin = item.get_self_href() or ""
    outside = [place for place in hrefs.values() if is_remote(origin) and not is_remote(place)]
    problem = ""
    if not assets:
        problem = f"{item.id}: its STAC item has no raster assets ({', '.join(item.assets) or 'none'})"
    elif outside:
        problem = f"{item.id}: its remote STAC item references {outside[0]}, a local file; this is not allowed"
    stated = {hrefs[key]: listed for key, asset in assets.items() if (listed := bands(asset))}
    scales = _scales(item, {hrefs[key]: asset for key, asset in assets.items()})
    metadata = SceneMetadata(
        by=f"STAC item {item.id}",
        identity=f"stac:{item.collection_id}/{item.id}" if item.collection_id else f"stac:{item.id}",
        acquired=None if item.datetime is None else _utc(item.datetime),
        start=parse_time(str(item.properties.get("start_datetime") or "")),
        end=parse_time(str(item.properties.get("end_datetime") or "")),
        properties={key: value for key, value in item.properties.items() if key not in _TIMES},
        hints=tuple(text for text in (item.id, item.collection_id) if text),
        bands=stated,
        scales=scales,
    )
    return Source(
        name=str(item.id),
        hrefs=tuple(hrefs.values()) or (origin or str(item.id),),
        metadata=metadata,
        version=str(item.properties.get("updated", "")),
        problem=problem,
    )


def _scales(item: pystac.Item, assets: Mapping[str, pystac.Asset]) -> dict[str, tuple[float, float]]:
    """Return (scale, offset) of each file, by href, if stated by the item.

    Sentinel-2 values have an offset of 1000 since processing baseline 04.00, unless the catalogue removed it.
    """
    applied = item.properties.get("earthsearch:boa_offset_applied") is True
    found = {place: one for place, asset in assets.items() if (one := scale(asset, offset_applied=applied))}
    baseline = str(item.properties.get("s2:processing_baseline") or "")
    shifted = baseline >= _OFFSET_SINCE and not applied and not found
    return dict.fromkeys(assets, (_S2_SCALE, _S2_OFFSET)) if baseline and shifted else found


def _utc(when: datetime) -> datetime:
    """Return a time in UTC; naive times are UTC."""
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
        raise SceneError(f"{path}: not a readable stac-geoparquet file ({error})") from error
    return features


def _item(said: Mapping[str, Any], path: str) -> pystac.Item:
    return pystac.Item.from_dict(dict(said), href=path, preserve_dict=False)
