"""JSON schemas of responses in the OpenAPI document.

Item schemas are loose, because the fields extension may omit anything.
"""

from typing import Any

_LINK = {
    "type": "object",
    "required": ["rel", "href"],
    "properties": {"rel": {"type": "string"}, "href": {"type": "string"}, "type": {"type": "string"}},
}
_LINKS = {"type": "array", "items": _LINK}
_STRING = {"type": "string"}
ANY: dict[str, Any] = {"type": "object"}
CATALOG: dict[str, Any] = {
    "type": "object",
    "required": ["type", "stac_version", "id", "description", "links", "conformsTo"],
    "properties": {
        "type": {"const": "Catalog"},
        "stac_version": _STRING,
        "id": _STRING,
        "description": _STRING,
        "links": _LINKS,
        "conformsTo": {"type": "array", "items": _STRING},
    },
}
CONFORMANCE: dict[str, Any] = {
    "type": "object",
    "required": ["conformsTo"],
    "properties": {"conformsTo": {"type": "array", "items": _STRING}},
}
COLLECTION: dict[str, Any] = {
    "type": "object",
    "required": ["type", "stac_version", "id", "description", "license", "extent", "links"],
    "properties": {
        "type": {"const": "Collection"},
        "stac_version": _STRING,
        "id": _STRING,
        "description": _STRING,
        "license": _STRING,
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
        "id": _STRING,
        "geometry": {"type": "object"},
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        "properties": {"type": "object", "required": ["datetime"]},
        "links": _LINKS,
        "assets": {"type": "object"},
        "collection": _STRING,
    },
}
ITEMS: dict[str, Any] = {
    "type": "object",
    "required": ["type", "features", "links", "numberReturned", "generation", "model", "model_digest"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        # The fields extension may omit any part of an item.
        "features": {"type": "array", "items": {"type": "object"}},
        "links": _LINKS,
        "numberMatched": {"type": "integer", "minimum": 0},
        "numberReturned": {"type": "integer", "minimum": 0},
        "generation": {"type": "integer"},
        "model": _STRING,
        "model_digest": _STRING,
        "nothing_matches": {"type": "boolean"},
    },
}


def success(media_type: str, schema: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a successful response."""
    return {status: {"description": "Success", "content": {media_type: {"schema": schema}}}}
