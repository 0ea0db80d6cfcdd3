"""The state of a scene in a job: tiles read, embedded, and ready to be written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import SceneRecord, TileRecord
from bandsight.geo.footprint import footprints
from indexer.checkpoints import Checkpoint, CheckpointFolder
from indexer.reader import NOTHING, ReadTile
from indexer.scene import RasterScene
from indexer.tile_plan import Read, TilePlan

Wavelengths = tuple[float, ...]


class Embeddable(Protocol):
    """The owner of tiles to embed."""

    failed: bool
    """Whether it failed, so that its tiles need no vectors."""

    def embedded(
        self, pending: "PendingTile", vector: NDArray[np.float32], cells: NDArray[np.uint8] | None = None
    ) -> None:
        """Store the vector and the cell records of one of its tiles."""


@dataclass(slots=True, kw_only=True, eq=False)
class PendingTile:
    """A tile that has been read but may not have a vector yet."""

    task: "Embeddable"
    """Its scene."""
    read: int
    """Number of its read."""
    number: int
    """Number of the tile in its scene."""
    tile: ReadTile
    """The tile, with pixels until it has a vector."""
    vector: NDArray[np.float32] | None = None
    """Vector of the tile, shape (dim,)."""
    cells: NDArray[np.uint8] | None = None
    """Records of its cells, see `bandsight.vectors.cells`; None if not requested."""


@dataclass(slots=True, kw_only=True, eq=False)
class SceneTask:
    """A scene whose tiles are being read and embedded."""

    scene: RasterScene
    plan: TilePlan
    """Tiles of the scene."""
    waiting: int
    """Number of unprocessed reads."""
    turn: int = 0
    """Position in the job, so that consecutive scenes start with different readers."""
    in_parts: bool = False
    """Whether some of its tiles have been checkpointed."""
    lease: str = ""
    """Name of the lease that keeps other jobs on this archive from indexing the scene too; empty for none."""
    checkpoints: CheckpointFolder | None = None
    """Its checkpoints; owned by the writer."""
    failed: bool = False
    """Whether it failed; late results are dropped."""
    kept: int = 0
    """Number of tiles to commit, including those of earlier runs."""
    cloud: tuple[float, int] = (0.0, 0)
    """Sum of the known cloudy fractions of these tiles, and their number."""
    _pending: dict[int, list[PendingTile]] = field(default_factory=dict)
    """Tiles of each processed read that has not been passed to the writer."""
    _missing: dict[int, int] = field(default_factory=dict)
    """Number of tiles without vectors in each incomplete read."""

    @property
    def wavelengths(self) -> Wavelengths:
        """Centre wavelength of each band, µm."""
        return tuple(band.wavelength_um for band in self.scene.raster.bands)

    @property
    def cells(self) -> int:
        """Number of cells along each side of a tile with their own vectors; 0 for none."""
        return int(self.scene.record.tiling.get("cells", 0))

    @property
    def done(self) -> bool:
        """Return whether all tiles are embedded."""
        return not self.waiting and not self._missing

    @property
    def ready(self) -> int:
        """Number of tiles that `step` would return."""
        return sum(len(pending) for read, pending in self._pending.items() if read not in self._missing)

    def take(self, read: Read, tiles: Sequence[ReadTile]) -> list[PendingTile]:
        """Add the tiles of a read. Returns those to embed."""
        self.waiting -= 1
        pending = [
            PendingTile(task=self, read=read.number, number=number, tile=tile)
            for number, tile in zip(read.numbers, tiles, strict=True)
            if tile.kept
        ]
        self._pending[read.number] = pending
        if pending:
            self._missing[read.number] = len(pending)
        self.kept += len(pending)
        total, known = self.cloud
        shares = [one.tile.cloud_fraction for one in pending if one.tile.cloud_fraction is not None]
        self.cloud = total + sum(shares), known + len(shares)
        return pending

    def embedded(
        self, pending: PendingTile, vector: NDArray[np.float32], cells: NDArray[np.uint8] | None = None
    ) -> None:
        """Store a tile's vector and cell records, and drop its pixels."""
        pending.vector, pending.cells, pending.tile = vector, cells, replace(pending.tile, pixels=NOTHING)
        self._missing[pending.read] -= 1
        if not self._missing[pending.read]:
            del self._missing[pending.read]

    def step(self) -> Checkpoint:
        """Remove and return finished tiles for writing."""
        reads = sorted(read for read in self._pending if read not in self._missing)
        done = sorted((one for read in reads for one in self._pending.pop(read)), key=lambda one: one.number)
        vectors = [one.vector for one in done if one.vector is not None]
        cells = [one.cells for one in done if one.cells is not None]
        shares = [one.tile.cloud_fraction for one in done]
        return Checkpoint(
            reads=np.array(reads, np.int64),
            numbers=np.array([one.number for one in done], np.int64),
            valid_fraction=np.array([one.tile.valid_fraction for one in done], np.float64),
            cloud_fraction=np.array([np.nan if share is None else share for share in shares], np.float64),
            vectors=np.stack(vectors) if vectors else np.empty((0, 0), np.float32),
            cells=np.stack(cells) if cells else np.empty((len(done), 0, 0), np.uint8),
        )

    def scene_record(self) -> SceneRecord:
        """Return the scene's record, with the cloud cover of its tiles if its metadata does not state one."""
        record, (total, known) = self.scene.record, self.cloud
        if not known or "eo:cloud_cover" in record.properties:
            return record
        cover = round(100 * total / known, 2)
        return replace(record, properties={**record.properties, "eo:cloud_cover": cover})

    def tile_records(self, part: Checkpoint) -> list[TileRecord]:
        """Return the tile records of a part, in order."""
        windows = [self.plan.window(number) for number in part.numbers.tolist()]
        sides = [(window.col_off, window.row_off, window.width, window.height) for window in windows]
        grounds = footprints(self.scene.raster.transform, self.scene.record.crs, sides)
        shares = zip(part.valid_fraction.tolist(), part.cloud_fraction.tolist(), strict=True)
        return [
            TileRecord(
                cell=window.cell,
                scale=window.scale,
                col_off=window.col_off,
                row_off=window.row_off,
                width=window.width,
                height=window.height,
                valid_fraction=valid,
                cloud_fraction=None if math.isnan(cloud) else cloud,
                geometry=ground.geometry,
                boxes=ground.boxes,
            )
            for window, ground, (valid, cloud) in zip(windows, grounds, shares, strict=True)
        ]
