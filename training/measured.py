"""Real radar and elevation data: two small scenes, labelled by backscatter and by relief.

A radar pixel counts as water if its backscatter is as low as only that of calm water; pixels were not labelled by hand.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from bandsight.sensors.scaling import stretch

_RADAR = "sentinel1_vv/S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif"
_HEIGHTS = "elevation/LisbonElevation.tif"
# Threshold of water, dB, at the minimum of the scene's histogram: reed, fields and dunes are above it, lagoons below.
_WATER_DB, _RANGE_DB = -17.0, (-25.0, 0.0)
# Relief of a window: difference between percentiles 2 and 98, m.
_HILLS_M, _FLAT_M = 60.0, 8.0
# Height of full brightness, which differs between scenes; these hills never count as mountains.
_FULL_M = (300.0, 900.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """The radar scene or the elevation model."""

    values: NDArray[np.float32]
    """Backscatter, dB, or height, m, shape (height, width)."""
    radar: bool

    def crop(self, side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], str | None]:
        """Return a random window, uint8 (1, side, side), and its label of vocabulary.toml, or None if it is unclear."""
        height, width = self.values.shape
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        window = self.values[top : top + side, left : left + side]
        if not self.radar:
            low, high = np.percentile(window, (2, 98))
            label = "hills_relief" if high - low > _HILLS_M else "flat_relief" if high - low < _FLAT_M else None
            return stretch(window[None], 0, float(rng.uniform(*_FULL_M))), label
        water = float((window < _WATER_DB).mean())
        kind = "water" if water > 0.8 else "lakes" if 0.15 < water < 0.7 else "farmland" if water < 0.02 else None
        return stretch(window[None], *_RANGE_DB), kind


def read_measured(folder: Path) -> list[Measured]:
    """Read both scenes.

    Args:
        folder: `scenes/` of the training data.
    """
    return [Measured(_read(folder / _RADAR), radar=True), Measured(_read(folder / _HEIGHTS), radar=False)]


def _read(path: Path) -> NDArray[np.float32]:
    with rasterio.open(path) as dataset:
        values: NDArray[np.float32] = dataset.read(1, out_dtype="float32")
    return values
