"""A mark embedded in thumbnails, so that a thumbnail used as a query image identifies its tile.

A thumbnail has three bands, stretched for display. The model saw all bands, so the thumbnail's vector differs from the
tile's.
"""

import json
import struct
from dataclasses import dataclass

from bandsight.catalog.records import SceneRecord, Tile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = "bandsight"
"""Keyword of the PNG text chunk."""
# A mark is short and precedes the pixel data.
_MAX_BYTES, _MAX_CHUNKS = 512, 32


@dataclass(frozen=True, slots=True)
class TileMark:
    """The tile that a thumbnail shows."""

    tile: int
    """Its id in the archive."""
    scene: str
    """Key of its scene, to detect tiles of other archives with the same id."""


def mark_of(scene: SceneRecord, tile: Tile) -> str:
    """Return the mark as ASCII text."""
    return json.dumps({"tile": tile.id, "scene": scene.key})


def read_mark(data: bytes) -> TileMark | None:
    """Return the mark of an image, or None if the data has none."""
    if not data.startswith(_SIGNATURE):
        return None
    at = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            return None
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IDAT":
            return None
        if kind == b"tEXt" and length <= _MAX_BYTES:
            keyword, _, text = data[at + 8 : at + 8 + length].partition(b"\0")
            if keyword == KEYWORD.encode():
                return _parsed(text)
        at += 12 + length
    return None


def _parsed(text: bytes) -> TileMark | None:
    try:
        found = json.loads(text)
        tile, scene = found["tile"], found["scene"]
    except (ValueError, KeyError, TypeError):
        return None
    return TileMark(tile, scene) if type(tile) is int and isinstance(scene, str) else None
