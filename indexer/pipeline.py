"""The job: readers ahead of the model, batches of one band list across scenes, commits of whole scenes."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.catalog.records import SceneRecord, TileRecord
from bandsight.errors import BandsightError, SceneError
from bandsight.geo.footprint import footprint
from bandsight.geo.grid import TileWindow
from bandsight.model.protocol import Encoder
from bandsight.sensors.profile import Profile
from indexer.folders import roots_of
from indexer.progress import Progress, Silence
from indexer.reader import NOTHING, ReadTile, read_row
from indexer.readers import Here, Processes, Readers
from indexer.scene import RasterScene, scene_key
from indexer.source import Source
from indexer.sources import find_scenes
from indexer.stac import StacQuery
from indexer.summary import Summary
from indexer.tiling import Tiling, open_tiled, rows

# Scenes opened ahead of the one being read: hides the time that headers and overviews take.
_OPEN_AHEAD = 3
# Finished scenes are committed together: a commit waits for the disk, so not each small scene gets its own.
_COMMIT_TILES, _COMMIT_S = 2048, 15.0

Wavelengths = tuple[float, ...]
T = TypeVar("T")


@dataclass(slots=True, kw_only=True, eq=False)
class _Work:
    """A scene on its way."""

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
        return tuple(band.wavelength_um for band in self.scene.bands)

    @property
    def done(self) -> bool:
        return not self.waiting and len(self.vectors) == len(self.tiles)


def index(
    paths: Iterable[str | Path],
    *,
    archive: Archive,
    model: Encoder,
    sensor: str | None = None,
    profiles: Sequence[Profile] | None = None,
    query: StacQuery | None = None,
    batch_size: int = 64,
    workers: int = 2,
    tiling: Tiling | None = None,
    isolate: bool = False,
    time_limit_s: float = 120.0,
    progress: Progress | None = None,
) -> Summary:
    """Index scenes into an archive; scenes that are there already are left alone.

    Args:
        paths: What names the scenes, see `find_scenes`.
        archive: Open for writing, made for this model.
        model: Embeds the tiles; its input size is the tile size.
        sensor: Profile for all scenes; None to match each.
        profiles: Those to match; None for the shipped ones.
        query: What to ask of a `stac:URL` among the inputs.
        batch_size: Tiles in one forward pass.
        workers: Threads that read.
        tiling: How scenes are cut; None for tiles of the model's input size.
        isolate: Decode in processes of their own: a crash, a hang or too much memory then costs one scene, and nothing
            is read outside of the folders of the scenes (on Linux).
        time_limit_s: With `isolate`: for opening a scene, and for reading a row of tiles.
        progress: Told how far the job is.

    Returns:
        What was added, skipped and failed. A scene that fails does not stop the job.
    """
    sources = find_scenes(paths, profiles, query)
    readers: Readers = Processes(roots_of(sources), time_limit_s=time_limit_s) if isolate else Here()
    job = _Job(
        archive,
        model,
        sensor,
        profiles,
        batch_size,
        workers,
        tiling or Tiling(tile_px=model.image_size),
        readers,
        progress or Silence(),
    )
    return job.run(sources)


class _Job:
    """The state of one run. Reading happens in threads, everything else in the caller's."""

    def __init__(
        self,
        archive: Archive,
        model: Encoder,
        sensor: str | None,
        profiles: Sequence[Profile] | None,
        batch_size: int,
        workers: int,
        tiling: Tiling,
        readers: Readers,
        progress: Progress,
    ) -> None:
        self._archive, self._model, self._sensor, self._profiles = archive, model, sensor, profiles
        self._batch_size, self._workers, self._tiling = batch_size, workers, tiling
        self._readers, self._progress = readers, progress
        self._summary = Summary()
        self._open: list[_Work] = []
        self._batches: dict[Wavelengths, list[tuple[_Work, int]]] = {}
        self._committed_at = time.monotonic()

    def run(self, sources: Sequence[Source]) -> Summary:
        began = time.monotonic()
        self._progress.begin(len(sources))
        with ThreadPoolExecutor(self._workers, "bandsight-read") as pool:
            try:
                for work, future in _ahead(self._reads(pool, sources), 2 * self._workers):
                    self._take(work, future)
                    self._commit_if_due()
                for wavelengths in list(self._batches):
                    self._embed(wavelengths, everything=True)
            finally:
                # Also on Ctrl-C: what is finished is kept, what is not begun is not waited for.
                pool.shutdown(wait=False, cancel_futures=True)
                self._readers.close()
                self._commit()
        self._summary.seconds = time.monotonic() - began
        return self._summary

    def _reads(
        self, pool: ThreadPoolExecutor, sources: Sequence[Source]
    ) -> Iterator[tuple[_Work, Future[list[ReadTile]]]]:
        """Yield reads as they are handed to the pool."""
        for source, opening in _ahead(self._openings(pool, sources), _OPEN_AHEAD):
            try:
                scene, windows = opening.result()
            except Exception as error:  # noqa: BLE001  (no bad scene stops a job, whatever is wrong with it)
                self._fail(source.name, source.hrefs[0], error)
                self._progress.scene_opened(source.name, 0)
                continue
            self._progress.scene_opened(source.name, len(windows))
            reads = list(rows(windows))
            work = _Work(scene=scene, waiting=len(reads))
            self._open.append(work)
            for number, row in enumerate(reads):
                if work.failed:
                    # Nothing more of it is read.
                    work.waiting -= len(reads) - number
                    break
                yield (
                    work,
                    pool.submit(
                        self._readers.call,
                        read_row,
                        scene,
                        row,
                        tile_px=self._tiling.tile_px,
                        min_valid=self._tiling.min_valid,
                        max_cloud=self._tiling.max_cloud,
                    ),
                )

    def _openings(
        self, pool: ThreadPoolExecutor, sources: Sequence[Source]
    ) -> Iterator[tuple[Source, Future[tuple[RasterScene, list[TileWindow]]]]]:
        """Yield scenes that are new as they are handed to the pool."""
        tiling = self._tiling.as_dict()
        for source in sources:
            try:
                key = scene_key(source, {**tiling, "sensor": self._sensor, "model": self._model.digest})
            except SceneError as error:
                self._fail(source.name, source.hrefs[0], error)
                self._progress.scene_opened(source.name, 0)
                continue
            if self._archive.has_scene(key):
                self._summary.skipped_scenes += 1
                self._progress.scene_opened(source.name, 0)
                continue
            yield (
                source,
                pool.submit(self._readers.call, open_tiled, source, key, self._sensor, self._profiles, self._tiling),
            )

    def _take(self, work: _Work, future: Future[list[ReadTile]]) -> None:
        """Handle one finished read."""
        try:
            tiles = future.result()
        except Exception as error:  # noqa: BLE001  (as above)
            if not work.failed:
                work.failed = True
                self._fail(work.scene.record.name, work.scene.record.href, error)
            tiles = []
        work.waiting -= 1
        kept = [tile for tile in tiles if tile.pixels.size and not work.failed]
        if len(kept) < len(tiles):
            for tile in tiles:
                if not tile.pixels.size:
                    self._summary.skipped_tiles["too cloudy" if tile.cloud_fraction else "too little valid data"] += 1
            self._progress.tiles_done(len(tiles) - len(kept))
        batch = self._batches.setdefault(work.wavelengths, [])
        for tile in kept:
            batch.append((work, len(work.tiles)))
            work.tiles.append(tile)
        self._embed(work.wavelengths)

    def _embed(self, wavelengths: Wavelengths, *, everything: bool = False) -> None:
        """Embed full batches of one band list, or all that is there."""
        batch = self._batches[wavelengths]
        while len(batch) >= self._batch_size or (everything and batch):
            now, batch[:] = batch[: self._batch_size], batch[self._batch_size :]
            pixels = np.stack([work.tiles[position].pixels for work, position in now])
            began = time.monotonic()
            vectors = self._model.embed_pixels(pixels, wavelengths)
            self._summary.encode_s += time.monotonic() - began
            for (work, position), vector in zip(now, vectors, strict=True):
                tile = work.tiles[position]
                work.tiles[position] = replace(tile, pixels=NOTHING)
                work.vectors[position] = vector
            self._progress.tiles_done(len(now))

    def _commit_if_due(self) -> None:
        ready = sum(len(work.tiles) for work in self._open if work.done)
        late = time.monotonic() - self._committed_at > _COMMIT_S
        if late:
            # Small scenes of a rare band list must not wait for a batch that never fills.
            for wavelengths in list(self._batches):
                self._embed(wavelengths, everything=True)
        if ready >= _COMMIT_TILES or late:
            self._commit()

    def _commit(self) -> None:
        """Write all finished scenes in one commit."""
        done = [work for work in self._open if work.done and not work.failed]
        self._open = [work for work in self._open if not work.done and not work.failed]
        self._committed_at = time.monotonic()
        batch = []
        for work in done:
            if not work.tiles:
                empty = SceneError(
                    f"{work.scene.record.name}: no tile has at least {self._tiling.min_valid:.0%} valid pixels; "
                    "nothing to index (lower --min-valid to keep sparser tiles)"
                )
                self._fail(work.scene.record.name, work.scene.record.href, empty)
                continue
            tiles = [_record(work.scene, tile) for tile in work.tiles]
            vectors = np.stack([work.vectors[position] for position in range(len(tiles))])
            batch.append((_with_cloud(work), tiles, vectors))
        if batch:
            self._archive.add(batch)
            self._summary.scenes += len(batch)
            self._summary.tiles += sum(len(tiles) for _, tiles, _ in batch)

    def _fail(self, name: str, href: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, BandsightError) else f"{type(error).__name__}: {error}"
        if name not in reason and href not in reason:
            reason = f"{name}: {reason}"
        self._summary.failed.append((name, reason))
        self._archive.record_failure(href, reason)


def _with_cloud(work: _Work) -> SceneRecord:
    """Return the scene's record with the cloud cover of its tiles, where its metadata do not say it."""
    record = work.scene.record
    shares = [tile.cloud_fraction for tile in work.tiles if tile.cloud_fraction is not None]
    if not shares or "eo:cloud_cover" in record.properties:
        return record
    return replace(
        record, properties={**record.properties, "eo:cloud_cover": round(100 * sum(shares) / len(shares), 2)}
    )


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


def _ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Yield items in order while keeping `count` more of them begun: bounded, so memory is too."""
    begun: deque[T] = deque()
    for item in items:
        begun.append(item)
        if len(begun) > count:
            yield begun.popleft()
    yield from begun
