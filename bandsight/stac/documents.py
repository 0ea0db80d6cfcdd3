"""The documents of a STAC API: landing page, conformance, collections, queryables, pages of items."""

from typing import Any
from urllib.parse import quote

from bandsight.attributes.fields import FIELDS, rfc3339, scenes_collection
from bandsight.catalog.records import ModelIdentity
from bandsight.stac.collection_stats import Holding
from bandsight.stac.items import VERSION, Root, extensions, link
from bandsight.stac.media_types import GEOJSON

SCHEMA = "application/schema+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
CONFORMANCE = "http://www.opengis.net/def/rel/ogc/1.0/conformance"
MEANING = "urn:bandsight:conformance:meaning"
"""`q` and `semantic` rank tiles by meaning; hits carry `bandsight:score` and `bandsight:rank`."""
SUBSCRIPTIONS = "urn:bandsight:conformance:subscriptions"
"""An Item Search sent to `/subscriptions` raises an alert for each new matching item (docs/alerts.md)."""
CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#fields",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#fields",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0-rc.3/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    *(
        f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{name}"
        for name in ("core", "ogc-process-description", "json", "job-list", "dismiss")
    ),
    MEANING,
    SUBSCRIPTIONS,
)
PROCESSES = "http://www.opengis.net/def/rel/ogc/1.0/processes"
JOB_LIST = "http://www.opengis.net/def/rel/ogc/1.0/job-list"
_NOT_FOR_HITS = frozenset(name for name in CONFORMS_TO if name.endswith("#sort") or "/ogcapi-processes-1/" in name)
_ABOUT = "Satellite archives searchable by meaning: tiles and their scenes."
_NAMES = {
    "id": {"type": "string", "description": "Number of a tile, or scene-N"},
    "collection": {"type": "string"},
    "geometry": {"description": "Footprint, for s_intersects", "format": "geometry-any"},
    "datetime": {"type": "string", "format": "date-time"},
    "bandsight:sensor": {"type": "string", "description": "Sensor profile"},
    "bandsight:scene": {"type": "string", "description": "Item id of the scene"},
    **{field.stac_name: field.schema for field in FIELDS.tile},
}


def landing_page(root: Root, names: list[str]) -> dict[str, Any]:
    """Return the landing page of an API.

    Args:
        root: The API.
        names: Names of its collections.
    """
    search = root.search
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "bandsight" if search is None else f"search-{search.id}",
        "title": "Bandsight" if search is None else search.title,
        "description": _ABOUT if search is None else f"Results of a saved search: {search.title}",
        "conformsTo": conforms_to(root),
        "links": [
            link("self", root.url),
            link("root", root.url),
            link("conformance", root.at("conformance")),
            link(CONFORMANCE, root.at("conformance")),
            link("data", root.at("collections")),
            link("search", root.at("search"), GEOJSON, method="GET", title="Item Search"),
            link("search", root.at("search"), GEOJSON, method="POST", title="Item Search"),
            link(QUERYABLES, root.at("queryables"), SCHEMA),
            link("service-desc", root.shared("/openapi.json"), OPENAPI),
            *(() if search else (link(PROCESSES, root.at("processes")), link(JOB_LIST, root.at("jobs")))),
            *(link("child", root.at("collections", name), title=name) for name in names),
        ],
    }


def conformance(root: Root) -> dict[str, Any]:
    """Return the conformance document of an API."""
    return {"conformsTo": conforms_to(root)}


def conforms_to(root: Root) -> list[str]:
    """Return the conformance classes of an API. Saved searches have a fixed order and no processes."""
    return [name for name in CONFORMS_TO if root.search is None or name not in _NOT_FOR_HITS]


def collection_pages(holding: Holding, model: ModelIdentity, root: Root) -> list[dict[str, Any]]:
    """Return the tile collection, and the scene collection unless the API is a saved search."""
    tiles = _collection(holding, model, root, of_scenes=False)
    return [tiles] if root.search is not None else [tiles, _collection(holding, model, root, of_scenes=True)]


def collection_list(pages: list[dict[str, Any]], root: Root) -> dict[str, Any]:
    """Return all collections."""
    return {
        "collections": pages,
        "links": [link("self", root.at("collections")), link("root", root.url), link("parent", root.url)],
        "numberMatched": len(pages),
        "numberReturned": len(pages),
    }


def queryables(root: Root, properties: dict[str, str]) -> dict[str, Any]:
    """Return the properties that filters can use, as a JSON schema.

    Args:
        root: The API.
        properties: Type (number, string, boolean) of each scene property by name.
    """
    own = {name: {"type": kind} for name, kind in properties.items()}
    return _queryables(root.at("queryables"), "Queryables", own, closed=True)


def collection_queryables(root: Root, collection: str, holding: Holding) -> dict[str, Any]:
    """Return the properties that filters of a collection can use, as a JSON schema.

    Properties of other collections are also allowed, but match no items.

    Args:
        root: The API.
        collection: The collection, of tiles or of scenes.
        holding: Statistics of the collection.
    """
    own = {
        "collection": {"type": "string", "const": collection},
        "bandsight:sensor": {**_NAMES["bandsight:sensor"], "enum": list(holding.sensors)},
        **holding.queryables,
    }
    here = root.at("collections", collection, "queryables")
    return _queryables(here, f"Queryables of {collection}", own, closed=False)


def _queryables(here: str, title: str, properties: dict[str, Any], *, closed: bool) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": here,
        "type": "object",
        "title": title,
        "properties": _NAMES | properties,
        "additionalProperties": not closed,
    }


def _collection(holding: Holding, model: ModelIdentity, root: Root, *, of_scenes: bool) -> dict[str, Any]:
    name = scenes_collection(holding.name) if of_scenes else holding.name
    here = root.at("collections", name)
    other = holding.name if of_scenes else scenes_collection(holding.name)
    tiles = "tiles" if root.search is None else "hits"
    box = holding.box
    page: dict[str, Any] = {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": extensions([*holding.summaries, *(key for band in holding.bands for key in band)]),
        "id": name,
        "title": f"{holding.name}: {'scenes' if of_scenes else tiles}",
        "description": (
            f"The {holding.scenes} scenes of the tiles in {holding.name}."
            if of_scenes
            else f"{holding.tiles} {tiles} from {holding.scenes} scenes of {', '.join(holding.sensors)}."
        ),
        "license": "other",
        "keywords": ["scenes" if of_scenes else "tiles", *holding.sensors],
        "extent": {
            "spatial": {"bbox": [[box.west, box.south, box.east, box.north]]},
            "temporal": {"interval": [[None if end is None else rfc3339(end) for end in (holding.start, holding.end)]]},
        },
        "summaries": {**holding.summaries, "bandsight:sensor": list(holding.sensors)},
        "bands": list(holding.bands),
        "bandsight:tiles": holding.tiles,
        "bandsight:scenes": holding.scenes,
        "links": [
            link("self", here),
            link("root", root.url),
            link("parent", root.url),
            link("items", f"{here}/items", GEOJSON),
            link(QUERYABLES, f"{here}/queryables", SCHEMA),
            link("tilejson", root.shared(f"/collections/{quote(holding.name, safe='')}/tilejson.json")),
            *([] if root.search else [link("related", root.at("collections", other), title=other)]),
        ],
    }
    if not of_scenes:
        page["summaries"] |= {
            "bandsight:model": [model.name],
            "bandsight:model_digest": [model.digest],
            "bandsight:model_license": [model.license],
        }
    return page
