"""Pictures of tiles, cut from their scene."""

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene, Tile
from bandsight.imagery.rendering import RenderSpec, render, render_spec
from bandsight.imagery.scene_raster import raster_of
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_bands


def thumbnail(
    scene: Scene, tile: Tile, size: int = 128, spec: RenderSpec | None = None, *, transparent: bool = False
) -> NDArray[np.uint8]:
    """Return a picture of a tile, uint8 (size, size, 3); pixels without data are black.

    Args:
        scene: The scene that it was cut from.
        tile: The tile.
        size: Rows and columns of the picture, pixels.
        spec: Bands and stretch; None for the scene's first style, stretched to what is in the tile.
        transparent: Whether to make pixels without data transparent; a picture that has some is (size, size, 4).

    Raises:
        SceneError: A file of the scene is gone or cannot be read.
    """
    shown = spec or render_spec(scene, own_stretch=True)
    extent = (tile.col_off, tile.row_off, tile.col_off + tile.width, tile.row_off + tile.height)
    raster = raster_of(scene)
    with OpenFiles() as files:
        window = read_bands(raster, raster.positions(shown.reads), extent, (size, size), files=files)
    picture, seen = render(scene, shown, window.values, window.valid)
    picture[~seen] = 0
    if not transparent or seen.all():
        return picture
    return np.dstack([picture, np.where(seen, 255, 0).astype(np.uint8)])
