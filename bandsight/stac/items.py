"""Tiles and scenes as STAC Items, with their links: to the API of the whole archive or of a saved search."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from bandsight.attributes.fields import FIELDS, rfc3339, scene_item_id, scenes_collection
from bandsight.catalog.records import BestCell, Hit, ModelIdentity, Scene, Tile
from bandsight.catalog.saved_searches import SavedSearch
from bandsight.geo.box import LonLatBox, around
from bandsight.geo.footprint import footprint
from bandsight.search.item_fields import Fields
from bandsight.search.items import ResultPage
from bandsight.stac.bands import data_assets
from bandsight.stac.media_types import GEOJSON, GEOTIFF, JSON

VERSION = "1.1.0"
_EXTENSIONS = {
    "eo": "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
}
# STAC requires an interval if the time is unknown; this one includes every aerial or satellite image.
_ANY_TIME = {"start_datetime": "1850-01-01T00:00:00Z", "end_datetime": "2150-01-01T00:00:00Z"}
_SCORE_PLACES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One STAC API."""

    server: str
    """Absolute URL of the server, without a trailing slash."""
    search: SavedSearch | None = None
    """The saved search whose hits are this API's items; None for the whole archive."""

    @property
    def url(self) -> str:
        """URL of this API's landing page."""
        return self.server + ("/" if self.search is None else f"/searches/{self.search.id}/")

    @property
    def whole(self) -> "Root":
        """The API of the whole archive. Scenes are always items of it, never of a saved search."""
        return self if self.search is None else _whole(self.server)

    def at(self, *parts: str, **query: str | int) -> str:
        """Return the URL of a page of this API."""
        path = self.url + "/".join(quote(part, safe="") for part in parts)
        return f"{path}?{urlencode(query)}" if query else path

    def shared(self, path: str) -> str:
        """Return the URL of a page that all APIs of this server share."""
        return self.server + path

    def item(self, collection: str, item: str) -> str:
        """Return the URL of an item."""
        return f"{self.collection(collection)}/items/{quote(item, safe='')}"

    def collection(self, name: str) -> str:
        """Return the URL of a collection."""
        return _collection(self.url, name)


# Cached, because a page of items has thousands of links to few collections.
@lru_cache(maxsize=1024)
def _collection(url: str, name: str) -> str:
    return f"{url}collections/{quote(name, safe='')}"


@lru_cache(maxsize=16)
def _whole(server: str) -> Root:
    return Root(server=server)


def link(rel: str, href: str, kind: str = JSON, **more: Any) -> dict[str, Any]:
    """Return a link object."""
    return {"rel": rel, "href": href, "type": kind, **more}


def item_of(
    row: Hit | tuple[Tile | None, Scene], root: Root | None, model: ModelIdentity, generation: int
) -> dict[str, Any]:
    """Return a hit, a tile or a scene as an Item.

    Args:
        row: A hit, a tile with its scene, or a scene.
        root: The API that it is an item of; None without a server, which links to the scene's files instead.
        model: Model of the archive, for properties of hits.
        generation: The commit that was searched, for properties of hits.
    """
    if isinstance(row, Hit):
        return tile_item(row.tile, row.scene, root, hit_properties(row, model, generation))
    tile, scene = row
    return scene_item(scene, root) if tile is None else tile_item(tile, scene, root)


def hit_properties(hit: Hit, model: ModelIdentity, generation: int) -> dict[str, Any]:
    """Return the Item properties of a hit, in addition to those of its tile."""
    cell = {} if hit.cell is None else {"bandsight:best_cell": _cell(hit, hit.cell)}
    return {
        "bandsight:rank": hit.rank,
        "bandsight:score": round(hit.score, _SCORE_PLACES),
        "bandsight:probability": None if hit.probability is None else round(hit.probability, _SCORE_PLACES),
        "bandsight:probability_reason": hit.probability_reason,
        "bandsight:match": hit.match,
        "bandsight:matched": hit.matched,
        "bandsight:model": model.name,
        "bandsight:digest": model.digest,
        "bandsight:generation": generation,
        **cell,
    }


def _cell(hit: Hit, cell: BestCell) -> dict[str, Any]:
    """Return the cell that a score is of: where it is in its tile, and its footprint."""
    scene = hit.scene
    ground = footprint(scene.transform, scene.crs, *cell.window(hit.tile))
    return {
        "row": cell.row,
        "column": cell.column,
        "side": cell.side,
        "bbox": bbox(ground.boxes),
        "geometry": ground.geometry,
    }


def server_facts(model: ModelIdentity, generation: int) -> dict[str, Any]:
    """Return the model and commit to include in every page of items."""
    return {"model": model.name, "model_digest": model.digest, "generation": generation}


def page_facts(nothing_matches: bool | None) -> dict[str, Any]:
    """Return `nothing_matches` for the first page of a ranking; empty for listings and later pages."""
    return {} if nothing_matches is None else {"nothing_matches": nothing_matches}


def item_collection(
    page: ResultPage, model: ModelIdentity, root: Root | None, fields: Fields | None = None
) -> dict[str, Any]:
    """Return a page of results as a FeatureCollection, without page links.

    Args:
        page: The results.
        model: Model of the archive.
        root: The API that the items belong to; None without a server.
        fields: Members of the items to include; None for all.
    """
    items = [item_of(row, root, model, page.generation) for row in page.rows]
    return {
        "type": "FeatureCollection",
        "features": items if fields is None else [fields.apply(item) for item in items],
        "numberReturned": len(items),
        **({} if page.matched is None else {"numberMatched": page.matched}),
        **server_facts(model, page.generation),
        **page_facts(page.nothing_matches),
    }


def tile_item(tile: Tile, scene: Scene, root: Root | None, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a tile as an Item.

    Args:
        tile: The tile.
        scene: Its scene.
        root: The API that it is an item of; None without a server.
        facts: Additional properties, for hits.
    """
    item_id, scene_id = str(tile.id), scene_item_id(scene.id)
    step = tile.scale
    a, b, c, d, e, f = scene.transform
    properties = {
        **_properties(scene),
        "proj:shape": [max(1, tile.height // step), max(1, tile.width // step)],
        "proj:transform": [
            a * step,
            b * step,
            a * tile.col_off + b * tile.row_off + c,
            d * step,
            e * step,
            d * tile.col_off + e * tile.row_off + f,
        ],
        "bandsight:scene": scene_id,
        "bandsight:cell": tile.cell,
        "bandsight:scale": tile.scale,
        "bandsight:window": [tile.col_off, tile.row_off, tile.width, tile.height],
        **{name: value for field in FIELDS.tile for name, value in field.in_item(tile).items()},
        **(facts or {}),
    }
    if root is None:
        links = [link("derived_from", scene.href, "application/octet-stream", title=scene.name)]
        return _item(item_id, scene.collection, tile.geometry, tile.boxes, properties, links, data_assets(scene))
    picture = root.shared(f"/tiles/{tile.id}/thumbnail.png")
    links = [
        *_item_links(root, scene.collection, item_id),
        link("derived_from", root.whole.item(scenes_collection(scene.collection), scene_id), GEOJSON),
        link("preview", picture, "image/png"),
        _map_link(root, scene),
        link("similar", root.shared(f"/tiles/{tile.id}/similar"), GEOJSON),
    ]
    crop = {"href": root.shared(f"/tiles/{tile.id}/crop.tif"), "type": GEOTIFF, "roles": ["data"]}
    assets = {
        "thumbnail": {"href": picture, "type": "image/png", "roles": ["thumbnail"]},
        "crop": crop | {"title": "Crop of the tile with all bands"},
    }
    return _item(item_id, scene.collection, tile.geometry, tile.boxes, properties, links, assets)


def scene_item(scene: Scene, root: Root | None) -> dict[str, Any]:
    """Return a scene as an Item with its files as assets. Without a server (root None), it has no links."""
    collection, item_id = scenes_collection(scene.collection), scene_item_id(scene.id)
    properties = {
        **_properties(scene),
        "proj:shape": [scene.height, scene.width],
        "proj:transform": list(scene.transform),
        "bandsight:tiles_collection": scene.collection,
    }
    return _item(
        item_id,
        collection,
        scene.geometry,
        scene.boxes,
        properties,
        [] if root is None else [*_item_links(root, collection, item_id), _map_link(root, scene)],
        data_assets(scene),
    )


def _map_link(root: Root, scene: Scene) -> dict[str, Any]:
    return link("tilejson", root.shared(f"/scenes/{scene.id}/tilejson.json"))


def bbox(boxes: Sequence[LonLatBox]) -> list[float]:
    """Return the smallest bounding box of boxes; west > east if it crosses ±180°."""
    whole = boxes[0] if len(boxes) == 1 else around(boxes)
    return [whole.west, whole.south, whole.east, whole.north]


def extensions(names: Sequence[str]) -> list[str]:
    """Return the schema URLs of the extensions that define the given properties."""
    return list(_schemas(tuple(names)))


# Cached, because all items of a scene have the same properties.
@lru_cache(maxsize=1024)
def _schemas(names: tuple[str, ...]) -> tuple[str, ...]:
    prefixes = {name.partition(":")[0] for name in names}
    return tuple(schema for prefix, schema in _EXTENSIONS.items() if prefix in prefixes)


def _item(
    item_id: str,
    collection: str,
    geometry: dict[str, Any],
    boxes: Sequence[LonLatBox],
    properties: dict[str, Any],
    links: list[dict[str, Any]],
    assets: dict[str, Any],
) -> dict[str, Any]:
    bands = [name for asset in assets.values() for band in asset.get("bands", ()) for name in band]
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": extensions([*properties, *bands]),
        "id": item_id,
        "collection": collection,
        "geometry": geometry,
        "bbox": bbox(boxes),
        "properties": properties,
        "links": links,
        "assets": assets,
    }


def _properties(scene: Scene) -> dict[str, Any]:
    own = {name: value for name, value in FIELDS.properties_of(scene).items() if _is_json(value)}
    time: dict[str, Any] = {"datetime": None if scene.datetime is None else rfc3339(scene.datetime)}
    if scene.datetime is None and not {"start_datetime", "end_datetime"} <= set(own):
        time |= _ANY_TIME
    is_code = scene.crs.upper().startswith("EPSG:")
    crs = {"proj:code": scene.crs.upper()} if is_code else {"proj:code": None, "proj:wkt2": scene.crs}
    return {**own, **time, **crs, "title": scene.name, "bandsight:sensor": scene.sensor}


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _item_links(root: Root, collection: str, item_id: str) -> list[dict[str, Any]]:
    parent = root.collection(collection)
    return [
        link("self", root.item(collection, item_id), GEOJSON),
        link("parent", parent),
        link("collection", parent),
        link("root", root.url),
    ]
