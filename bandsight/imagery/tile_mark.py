"""A mark in the thumbnails of tiles: a thumbnail that comes back as a query picture names its tile.

A thumbnail shows three bands, stretched for people. The model saw all bands, so the picture's vector is not the tile's.
"""

import json
import struct
from dataclasses import dataclass

from bandsight.catalog.records import SceneRecord, Tile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = "bandsight"
"""Keyword of the PNG text chunk."""
# A mark is short and stands before the pixels.
_MAX_BYTES, _MAX_CHUNKS = 512, 32


@dataclass(frozen=True, slots=True)
class TileMark:
    """Which tile a thumbnail shows."""

    tile: int
    """Its id in the archive."""
    scene: str
    """Key of its scene, which no other archive's tile of the same id has."""


def mark_of(scene: SceneRecord, tile: Tile) -> str:
    """Return the text of the mark, ASCII."""
    return json.dumps({"tile": tile.id, "scene": scene.key})


def read_mark(data: bytes) -> TileMark | None:
    """Return the mark of a picture; None for a picture or other data without one."""
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
