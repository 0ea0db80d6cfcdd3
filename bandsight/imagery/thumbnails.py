"""Thumbnails of tiles."""

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
    """Render a tile, uint8 (size, size, 3); invalid pixels are black.

    Args:
        scene: The tile's scene.
        tile: The tile.
        size: Width and height of the image, pixels.
        spec: Bands and stretch; None for the scene's default style.
        transparent: Whether to make invalid pixels transparent. If there are any, the shape is (size, size, 4).

    Raises:
        SceneError: A file of the scene is missing or cannot be read.
    """
    shown = spec or render_spec(scene)
    step = tile.width / size
    margin = shown.margin(step)
    # Margins in pixels of the image.
    beyond_x, beyond_y = margin * step, margin * tile.height / size
    left, top = tile.col_off - beyond_x, tile.row_off - beyond_y
    extent = (left, top, tile.col_off + tile.width + beyond_x, tile.row_off + tile.height + beyond_y)
    raster, side = raster_of(scene), size + 2 * margin
    with OpenFiles() as files:
        window = read_bands(raster, raster.positions(shown.reads), extent, (side, side), files=files)
    rgb, valid = render(shown, window.values, window.valid, step)
    inner = np.s_[margin : margin + size, margin : margin + size]
    picture, seen = rgb[inner], valid[inner]
    picture[~seen] = 0
    if not transparent or seen.all():
        return picture
    return np.dstack([picture, np.where(seen, 255, 0).astype(np.uint8)])
