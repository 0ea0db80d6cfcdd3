"""A tile's pixels as the model saw them when it was indexed."""

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene, Tile
from bandsight.errors import SceneError
from bandsight.imagery.pixels import read_extent
from bandsight.raster.filling import filled
from bandsight.sensors.scaling import decibel, stretch


def model_view(scene: Scene, tile: Tile) -> NDArray[np.uint8]:
    """Return a tile's pixels in all bands of its scene, scaled to 0..255 by the scene's own rule.

    Returns:
        Shape (bands, rows, columns), at the tile's scale.

    Raises:
        SceneError: A file is gone or cannot be read, or holds no data there any more.
    """
    shape = (max(1, tile.height // tile.scale), max(1, tile.width // tile.scale))
    extent = (tile.col_off, tile.row_off, tile.col_off + tile.width, tile.row_off + tile.height)
    layers, valid = read_extent(scene, scene.bands, extent, shape)
    # As the indexer: a pixel is empty where every band is.
    seen = np.asarray(valid.any(axis=0), bool)
    if not seen.any():
        raise SceneError(f"{scene.name}: no data in tile {tile.id} any more; is it still the file that was indexed?")
    values = filled(np.stack([layer.astype(np.float32) for layer in layers]), seen)
    if kind := scene.stretch.get("to_db"):
        values = decibel(values, "amplitude" if kind is True else kind)
    limits = zip(scene.stretch["low"], scene.stretch["high"], strict=True)
    return np.stack([stretch(band, low, high) for band, (low, high) in zip(values, limits, strict=True)])
