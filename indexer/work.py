"""A scene on its way through a job, and what the catalog keeps of it."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import SceneRecord, TileRecord
from bandsight.geo.footprint import footprint
from indexer.reader import ReadTile
from indexer.scene import RasterScene

Wavelengths = tuple[float, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """A scene whose tiles are being read and embedded."""

    scene: RasterScene
    waiting: int
    """Reads not handled yet."""
    tiles: list[ReadTile] = field(default_factory=list)
    """Read and kept, in order; their pixels are dropped once embedded."""
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Vector of each position in `tiles`."""
    failed: bool = False
    """Given up; whatever still arrives is dropped."""

    @property
    def wavelengths(self) -> Wavelengths:
        """Centre wavelength of each band, µm."""
        return tuple(band.wavelength_um for band in self.scene.bands)

    @property
    def done(self) -> bool:
        """Say whether all of its tiles are embedded."""
        return not self.waiting and len(self.vectors) == len(self.tiles)

    def scene_record(self) -> SceneRecord:
        """Return the scene's record with the cloud cover of its tiles, where its metadata do not say it."""
        record = self.scene.record
        shares = [tile.cloud_fraction for tile in self.tiles if tile.cloud_fraction is not None]
        if not shares or "eo:cloud_cover" in record.properties:
            return record
        cover = round(100 * sum(shares) / len(shares), 2)
        return replace(record, properties={**record.properties, "eo:cloud_cover": cover})

    def tile_records(self) -> list[TileRecord]:
        """Return the records of its tiles, in order."""
        return [_record(self.scene, tile) for tile in self.tiles]

    def stacked_vectors(self) -> NDArray[np.float32]:
        """Return the vectors of its tiles, in order, shape (tiles, dim)."""
        return np.stack([self.vectors[position] for position in range(len(self.tiles))])


def _record(scene: RasterScene, tile: ReadTile) -> TileRecord:
    window = tile.window
    where = footprint(scene.transform, scene.record.crs, window.col_off, window.row_off, window.width, window.height)
    return TileRecord(
        cell=window.cell,
        scale=window.scale,
        col_off=window.col_off,
        row_off=window.row_off,
        width=window.width,
        height=window.height,
        valid_fraction=tile.valid_fraction,
        geometry=where.geometry,
        boxes=tuple(where.boxes),
    )
