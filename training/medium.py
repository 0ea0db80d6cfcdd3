"""Reads the tiles of 10 to 30 m labelled by eye, with the reader and scaling of the product's indexing jobs."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandsight.evaluation.datasets import LabelledImage
from bandsight.geo.grid import TileWindow
from indexer.identity import scene_key
from indexer.reader import read_tiles
from indexer.scene import RasterScene, open_scene
from indexer.sources import find_scenes


@dataclass(frozen=True, slots=True)
class MediumTile:
    """A tile with everything that an annotator saw on it."""

    image: LabelledImage
    labels: frozenset[str]
    east: bool
    """Whether it is in the eastern half of its scene: thresholds are set on the west and reported for the east."""


def read_medium(data: Path, demo_scenes: Path) -> list[MediumTile]:
    """Return the tiles of medium.toml.

    Args:
        data: The training data; its Landsat 8 scene is used east of the part that is used for training.
        demo_scenes: The demo's scenes, none of which is used for training.
    """
    said = tomllib.loads((Path(__file__).parent / "medium.toml").read_text(encoding="utf-8"))
    roots = {"demo": demo_scenes, "data": data}
    return [tile for name, entry in said.items() for tile in _tiles(name, entry, roots[entry["from"]])]


def _tiles(name: str, entry: dict[str, Any], root: Path) -> list[MediumTile]:
    scenes: dict[str, RasterScene] = {}
    for source in find_scenes([root / entry["path"]]):
        scene = open_scene(source, scene_key(source, {}), sensor=None, tiling={})
        scenes[scene.record.name] = scene
    side, first = int(entry["side"]), int(entry.get("first_column", 0))
    out = []
    for row in entry["tiles"]:
        scene = scenes[row["scene"]] if "scene" in row else next(iter(scenes.values()))
        left, top = first + row["at"][0] * side, row["at"][1] * side
        window = TileWindow(cell="", scale=1, col_off=left, row_off=top, width=side, height=side)
        pixels = read_tiles(scene, [window], tile_px=side, min_valid=0)[0].pixels
        waves = tuple(band.wavelength_um for band in scene.raster.bands)
        image = LabelledImage(key=f"{name}/{left},{top}", pixels=pixels, wavelengths=waves, cls=None)
        out.append(MediumTile(image, frozenset(row["labels"]), left + side / 2 > (first + scene.raster.width) / 2))
    return out
