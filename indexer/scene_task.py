"""A scene on its way through a job: what is read, what is embedded, and what may be written."""

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
    """What tiles are embedded for."""

    failed: bool
    """Given up; its tiles need no vectors."""

    def embedded(
        self, pending: "PendingTile", vector: NDArray[np.float32], cells: NDArray[np.uint8] | None = None
    ) -> None:
        """Take the vector of one of its tiles, and the records of its cells."""


@dataclass(slots=True, kw_only=True, eq=False)
class PendingTile:
    """A tile between its reader and its vector."""

    task: "Embeddable"
    """Its scene."""
    read: int
    """Number of the read that it came with."""
    number: int
    """Its number in the scene."""
    tile: ReadTile
    """Its pixels, until it has a vector."""
    vector: NDArray[np.float32] | None = None
    """Its vector, shape (dim,)."""
    cells: NDArray[np.uint8] | None = None
    """Records of its cells, as `bandsight.vectors.cells`; None where they are not wanted."""


@dataclass(slots=True, kw_only=True, eq=False)
class SceneTask:
    """A scene whose tiles are being read and embedded."""

    scene: RasterScene
    plan: TilePlan
    """How it is cut."""
    waiting: int
    """Reads not handled yet."""
    turn: int = 0
    """Its place in the job: neighbours begin with different readers."""
    in_parts: bool = False
    """Some of it was handed out to be kept until all is there."""
    lease: str = ""
    """What other jobs on this archive leave to this one until the scene is in the archive."""
    checkpoints: CheckpointFolder | None = None
    """Where that lies; the writer's."""
    failed: bool = False
    """Given up; results that still arrive are dropped."""
    kept: int = 0
    """Tiles that the archive will hold, including those of earlier runs."""
    cloud: tuple[float, int] = (0.0, 0)
    """Sum of the known cloud shares of these tiles, and how many are known."""
    _pending: dict[int, list[PendingTile]] = field(default_factory=dict)
    """Tiles of each read that was handled and not handed out to be written."""
    _missing: dict[int, int] = field(default_factory=dict)
    """Of these, how many have no vector yet, for each read that lacks any."""

    @property
    def wavelengths(self) -> Wavelengths:
        """Centre wavelength of each band, µm."""
        return tuple(band.wavelength_um for band in self.scene.raster.bands)

    @property
    def cells(self) -> int:
        """Cells along a side of a tile that get vectors of their own; 0 for none."""
        return int(self.scene.record.tiling.get("cells", 0))

    @property
    def done(self) -> bool:
        """Say whether all of its tiles are embedded."""
        return not self.waiting and not self._missing

    @property
    def ready(self) -> int:
        """How many tiles `step` would return."""
        return sum(len(pending) for read, pending in self._pending.items() if read not in self._missing)

    def take(self, read: Read, tiles: Sequence[ReadTile]) -> list[PendingTile]:
        """Take what a read has brought; return the tiles that the model must see."""
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
        """Keep a tile's vector, and the records of its cells, instead of its pixels."""
        pending.vector, pending.cells, pending.tile = vector, cells, replace(pending.tile, pixels=NOTHING)
        self._missing[pending.read] -= 1
        if not self._missing[pending.read]:
            del self._missing[pending.read]

    def step(self) -> Checkpoint:
        """Hand out what is finished, to be written, and forget it."""
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
        """Return the scene's record with the cloud cover of its tiles, where its metadata do not say it."""
        record, (total, known) = self.scene.record, self.cloud
        if not known or "eo:cloud_cover" in record.properties:
            return record
        cover = round(100 * total / known, 2)
        return replace(record, properties={**record.properties, "eo:cloud_cover": cover})

    def tile_records(self, part: Checkpoint) -> list[TileRecord]:
        """Return the records of a part's tiles, in order."""
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
