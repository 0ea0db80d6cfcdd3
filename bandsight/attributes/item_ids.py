"""STAC ids of tiles, scenes and their collections.

The item id of a tile is its number, that of a scene `scene-N`. The scenes of a tile collection are in a second
collection named with the suffix `.scenes`.
"""

import re

MAX_ID = 2**63 - 1
"""Ids are int64."""


_SCENE = re.compile(r"scene-(\d{1,19})")
_TILE = re.compile(r"\d{1,19}")
_SUFFIX = ".scenes"


def scene_item_id(scene_id: int) -> str:
    """Return the item id of a scene."""
    return f"scene-{scene_id}"


def scenes_collection(collection: str) -> str:
    """Return the scene collection that belongs to a tile collection."""
    return collection + _SUFFIX


def tiles_collection(scenes: str) -> str | None:
    """Return the tile collection that belongs to a scene collection, or None for a tile collection."""
    return scenes.removesuffix(_SUFFIX) if scenes.endswith(_SUFFIX) else None


def tile_ids(items: list[str]) -> tuple[int, ...]:
    """Return the tile ids among item ids; others are ignored."""
    return tuple(
        int(item) for item in items if _TILE.fullmatch(item) and str(int(item)) == item and int(item) <= MAX_ID
    )


def scene_ids(items: list[str]) -> tuple[int, ...]:
    """Return the scene ids among item ids; others are ignored."""
    found = [match[1] for match in map(_SCENE.fullmatch, items) if match]
    return tuple(int(number) for number in found if str(int(number)) == number and int(number) <= MAX_ID)
