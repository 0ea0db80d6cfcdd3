"""A tile's pixels as the model saw them at indexing."""

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene, Tile
from bandsight.errors import SceneError
from bandsight.imagery.scene_raster import raster_of
from bandsight.raster.byte_scaling import masked_to_bytes
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_window


def model_view(scene: Scene, tile: Tile) -> NDArray[np.uint8]:
    """Return a tile's pixels in all bands of its scene, scaled to 0..255 by the scene's own rule.

    Returns:
        Shape (bands, rows, columns), at the tile's scale.

    Raises:
        SceneError: A file is missing or cannot be read, or no longer has data there.
    """
    raster = raster_of(scene)
    shape = (max(1, tile.height // tile.scale), max(1, tile.width // tile.scale))
    extent = (tile.col_off, tile.row_off, tile.col_off + tile.width, tile.row_off + tile.height)
    with OpenFiles() as files:
        window = read_window(raster, extent, shape, files)
    if not window.valid.any():
        raise SceneError(f"{scene.name}: tile {tile.id} no longer has data; has the file changed since indexing?")
    return masked_to_bytes(raster.scaling, window.values, window.valid)
