"""How answers stand in the OpenAPI document: what a client may rely on, loose where the fields extension leaves out."""

from typing import Any

_LINK = {
    "type": "object",
    "required": ["rel", "href"],
    "properties": {"rel": {"type": "string"}, "href": {"type": "string"}, "type": {"type": "string"}},
}
_LINKS = {"type": "array", "items": _LINK}
_NAMED = {"type": "string"}
ANY: dict[str, Any] = {"type": "object"}
CATALOG: dict[str, Any] = {
    "type": "object",
    "required": ["type", "stac_version", "id", "description", "links", "conformsTo"],
    "properties": {
        "type": {"const": "Catalog"},
        "stac_version": _NAMED,
        "id": _NAMED,
        "description": _NAMED,
        "links": _LINKS,
        "conformsTo": {"type": "array", "items": _NAMED},
    },
}
CONFORMANCE: dict[str, Any] = {
    "type": "object",
    "required": ["conformsTo"],
    "properties": {"conformsTo": {"type": "array", "items": _NAMED}},
}
COLLECTION: dict[str, Any] = {
    "type": "object",
    "required": ["type", "stac_version", "id", "description", "license", "extent", "links"],
    "properties": {
        "type": {"const": "Collection"},
        "stac_version": _NAMED,
        "id": _NAMED,
        "description": _NAMED,
        "license": _NAMED,
        "extent": {"type": "object", "required": ["spatial", "temporal"]},
        "links": _LINKS,
        "summaries": {"type": "object"},
        "bands": {"type": "array"},
    },
}
COLLECTIONS: dict[str, Any] = {
    "type": "object",
    "required": ["collections", "links"],
    "properties": {"collections": {"type": "array", "items": COLLECTION}, "links": _LINKS},
}
ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets", "collection"],
    "properties": {
        "type": {"const": "Feature"},
        "id": _NAMED,
        "geometry": {"type": "object"},
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        "properties": {"type": "object", "required": ["datetime"]},
        "links": _LINKS,
        "assets": {"type": "object"},
        "collection": _NAMED,
    },
}
ITEMS: dict[str, Any] = {
    "type": "object",
    "required": ["type", "features", "links", "numberReturned", "generation", "model", "model_digest"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        # The fields extension may leave out anything of an item.
        "features": {"type": "array", "items": {"type": "object"}},
        "links": _LINKS,
        "numberMatched": {"type": "integer", "minimum": 0},
        "numberReturned": {"type": "integer", "minimum": 0},
        "generation": {"type": "integer"},
        "model": _NAMED,
        "model_digest": _NAMED,
        "nothing_matches": {"type": "boolean"},
    },
}


def of(media_type: str, schema: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of its good answer."""
    return {status: {"description": "The answer", "content": {media_type: {"schema": schema}}}}
