"""Documents of the imagery routes: lists of styles, TileJSON, and how OpenAPI describes the responses."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from bandsight.geo.box import LonLatBox
from bandsight.sensors.styles import Style
from search_api.problem_schema import problems

STYLES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["styles"],
    "properties": {
        "styles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "title", "bands"],
                "properties": {
                    "name": {"type": "string"},
                    "title": {"type": "string"},
                    "bands": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}
TILEJSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["tilejson", "tiles", "bounds", "minzoom", "maxzoom"],
    "properties": {"tilejson": {"const": "3.0.0"}, "tiles": {"type": "array", "items": {"type": "string"}}},
}


def image_responses(media_type: str, schema: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route.

    Args:
        media_type: Media type of a successful response.
        schema: JSON schema of the response; None for a binary file.
    """
    content = {media_type: {"schema": schema or {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "Success", "content": content},
        304: {"description": "The client's copy is still valid"},
        **problems(400, 404, 410),
    }


def styles_document(styles: Sequence[Style]) -> dict[str, Any]:
    """Return styles as a JSON document."""
    rows = [{"name": style.name, "title": style.title, "bands": list(style.bands)} for style in styles]
    return {"styles": rows}


def tilejson(request: Request, name: str, url: str, box: LonLatBox, zooms: tuple[int, int]) -> dict[str, Any]:
    """Return a TileJSON 3.0 document.

    Args:
        request: The request. The tile URL repeats its query parameters.
        name: Name of the layer.
        url: Tile URL with placeholders for zoom, column and row.
        box: Extent.
        zooms: Lowest and highest zoom level.
    """
    query = request.url.query
    # TileJSON bounds cannot cross ±180°.
    west, east = (box.west, box.east) if box.west <= box.east else (-180.0, 180.0)
    center_lon = ((box.west + box.east + (0 if box.west <= box.east else 360)) / 2 + 180) % 360 - 180
    return {
        "tilejson": "3.0.0",
        "name": name,
        "scheme": "xyz",
        "tiles": [f"{url}?{query}" if query else url],
        "bounds": [west, box.south, east, box.north],
        "center": [center_lon, (box.south + box.north) / 2, zooms[0]],
        "minzoom": zooms[0],
        "maxzoom": zooms[1],
    }
