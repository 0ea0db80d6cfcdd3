"""OpenAPI descriptions of files returned by the map routes."""

from typing import Any

from bandsight.stac.media_types import GEOTIFF

PNG = "image/png"
FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
MEDIA_TYPES = {"png": PNG, "tif": GEOTIFF}


def file_answer(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route that returns a file."""
    made = {"description": "The file", "content": {media_type: FILE}}
    return {200: made, 304: {"description": "The client's copy is current"}}
