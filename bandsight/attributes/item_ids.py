"""How tiles, scenes and their collections are called in STAC.

A tile is the item of its number; its scene is `scene-N`. A collection holds tiles; their scenes are in one of the same
name with `.scenes` behind it.
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
    """Return the collection that holds the scenes of a collection's tiles."""
    return collection + _SUFFIX


def tiles_collection(scenes: str) -> str | None:
    """Return the collection whose scenes a collection holds, None when it holds tiles."""
    return scenes.removesuffix(_SUFFIX) if scenes.endswith(_SUFFIX) else None


def tile_ids(items: list[str]) -> tuple[int, ...]:
    """Return the numbers of those items that are tiles."""
    return tuple(
        int(item) for item in items if _TILE.fullmatch(item) and str(int(item)) == item and int(item) <= MAX_ID
    )


def scene_ids(items: list[str]) -> tuple[int, ...]:
    """Return the numbers of those items that are scenes."""
    found = [match[1] for match in map(_SCENE.fullmatch, items) if match]
    return tuple(int(number) for number in found if str(int(number)) == number and int(number) <= MAX_ID)
