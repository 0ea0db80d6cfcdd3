"""The job: readers ahead of the model, batches of one band list across scenes, commits of whole scenes beside it."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bandsight.archive import Archive
from bandsight.errors import BandsightError, SceneError
from bandsight.geo.grid import TileWindow
from bandsight.model.protocol import Encoder
from bandsight.sensors.profile import Profile
from indexer.batches import Batches
from indexer.folders import roots_of
from indexer.progress import Progress, Silence
from indexer.query import StacQuery
from indexer.reader import ReadTile, read_row
from indexer.readers import Here, Patient, Processes, Readers
from indexer.scene import RasterScene, scene_key
from indexer.source import Source
from indexer.sources import find_scenes
from indexer.summary import Summary
from indexer.tiling import Tiling, open_tiled, rows
from indexer.work import Work
from indexer.writer import Writer

# Scenes opened ahead of the one being read: hides the time that headers and overviews take.
_OPEN_AHEAD = 3
# Finished scenes are committed together: a commit waits for the disk, so not each small scene gets its own.
_COMMIT_TILES, _COMMIT_S = 2048, 15.0

T = TypeVar("T")


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
    fail_fast: bool = False,
    known_failures: set[str] | None = None,
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
        workers: Readers at work at once.
        tiling: How scenes are cut; None for tiles of the model's input size.
        isolate: Decode in processes of their own: a crash, a hang or too much memory then costs one scene, and nothing
            is read outside of the folders of the scenes (on Linux).
        time_limit_s: With `isolate`: for opening a scene, and for reading a row of tiles.
        fail_fast: Stop at the first scene that fails.
        known_failures: Keys of scenes that have failed before and are not tried again; new ones are added.
        progress: Told how far the job is.

    Returns:
        What was added, skipped and failed. A scene that fails does not stop the job, unless `fail_fast` says so.
    """
    sources = find_scenes(paths, profiles, query)
    readers: Readers = Processes(roots_of(sources), time_limit_s=time_limit_s) if isolate else Here()
    job = _Job(
        archive=archive,
        model=model,
        sensor=sensor,
        profiles=profiles,
        batch_size=batch_size,
        workers=workers,
        tiling=tiling or Tiling(tile_px=model.image_size),
        readers=Patient(readers),
        fail_fast=fail_fast,
        known_failures=set() if known_failures is None else known_failures,
        progress=progress or Silence(),
    )
    return job.run(sources)


class _Job:
    """The state of one run. Reading and writing happen in threads, everything else in the caller's."""

    def __init__(
        self,
        *,
        archive: Archive,
        model: Encoder,
        sensor: str | None,
        profiles: Sequence[Profile] | None,
        batch_size: int,
        workers: int,
        tiling: Tiling,
        readers: Readers,
        fail_fast: bool,
        known_failures: set[str],
        progress: Progress,
    ) -> None:
        self._archive, self._model, self._sensor, self._profiles = archive, model, sensor, profiles
        self._workers, self._tiling, self._readers = workers, tiling, readers
        self._fail_fast, self._known_failures, self._progress = fail_fast, known_failures, progress
        self._summary = Summary()
        self._counting = threading.Lock()
        self._open: list[Work] = []
        self._batches = Batches(model, batch_size, self._encoded)
        self._writer = Writer(archive, self._committed)
        self._committed_at = time.monotonic()
        self._stopped = False

    def run(self, sources: Sequence[Source]) -> Summary:
        began = time.monotonic()
        self._progress.begin(len(sources))
        with ThreadPoolExecutor(self._workers, "bandsight-read") as pool:
            try:
                for work, future in _ahead(self._reads(pool, sources), 2 * self._workers):
                    self._take(work, future)
                    if self._stopped:
                        break
                    self._commit_if_due()
                if not self._stopped:
                    self._batches.flush()
            finally:
                # Also on Ctrl-C: what is finished is kept, what is not begun is not waited for.
                pool.shutdown(wait=False, cancel_futures=True)
                self._readers.close()
                try:
                    self._commit()
                finally:
                    self._writer.close()
        self._summary.seconds = time.monotonic() - began
        self._progress.end(self._summary)
        return self._summary

    def _reads(
        self, pool: ThreadPoolExecutor, sources: Sequence[Source]
    ) -> Iterator[tuple[Work, Future[list[ReadTile]]]]:
        """Yield reads as they are handed to the pool."""
        options = {
            "tile_px": self._tiling.tile_px,
            "min_valid": self._tiling.min_valid,
            "max_cloud": self._tiling.max_cloud,
        }
        for source, key, opening in _ahead(self._openings(pool, sources), _OPEN_AHEAD):
            try:
                scene, windows = opening.result()
            except Exception as error:  # noqa: BLE001  (no bad scene stops a job, whatever is wrong with it)
                self._fail(source.name, source.hrefs[0], key, error)
                self._progress.scene_opened(source.name, 0)
                if self._stopped:
                    return
                continue
            self._progress.scene_opened(source.name, len(windows))
            reads = list(rows(windows))
            work = Work(scene=scene, waiting=len(reads))
            self._open.append(work)
            for number, row in enumerate(reads):
                if work.failed:
                    # Nothing more of it is read.
                    work.waiting -= len(reads) - number
                    break
                yield work, pool.submit(self._readers.call, read_row, scene, row, **options)  # type: ignore[arg-type]

    def _openings(
        self, pool: ThreadPoolExecutor, sources: Sequence[Source]
    ) -> Iterator[tuple[Source, str, Future[tuple[RasterScene, list[TileWindow]]]]]:
        """Yield scenes that are new as they are handed to the pool."""
        options = {**self._tiling.as_dict(), "sensor": self._sensor, "model": self._model.digest}
        for source in sources:
            try:
                key = scene_key(source, options)
            except SceneError as error:
                problem = f"{source.hrefs[0]}: {error}"
                if problem in self._known_failures:
                    self._summary.skipped_scenes += 1
                else:
                    self._fail(source.name, source.hrefs[0], problem, error)
                self._progress.scene_opened(source.name, 0)
                if self._stopped:
                    return
                continue
            if self._archive.has_scene(key) or key in self._known_failures:
                self._summary.skipped_scenes += 1
                self._progress.scene_opened(source.name, 0)
                continue
            opening = pool.submit(
                self._readers.call, open_tiled, source, key, self._sensor, self._profiles, self._tiling
            )
            yield source, key, opening

    def _take(self, work: Work, future: Future[list[ReadTile]]) -> None:
        """Handle one finished read."""
        record = work.scene.record
        try:
            tiles = future.result()
        except Exception as error:  # noqa: BLE001  (as above)
            if not work.failed:
                work.failed = True
                self._fail(record.name, record.href, record.key, error)
            tiles = []
        work.waiting -= 1
        kept = [tile for tile in tiles if tile.pixels.size and not work.failed]
        for tile in tiles:
            if not tile.pixels.size:
                self._summary.skipped_tiles["too cloudy" if tile.cloud_fraction else "too little valid data"] += 1
        if len(kept) < len(tiles):
            self._progress.tiles_done(len(tiles) - len(kept))
        self._batches.add(work, kept)

    def _encoded(self, tiles: int, seconds: float) -> None:
        self._summary.encode_s += seconds
        self._progress.encoded(tiles, seconds)
        self._progress.tiles_done(tiles)

    def _committed(self, scenes: int, tiles: int) -> None:
        with self._counting:
            self._summary.scenes += scenes
            self._summary.tiles += tiles
        self._progress.committed(scenes, tiles)

    def _commit_if_due(self) -> None:
        ready = sum(len(work.tiles) for work in self._open if work.done)
        late = time.monotonic() - self._committed_at > _COMMIT_S
        if late:
            # Small scenes of a rare band list must not wait for a batch that never fills.
            self._batches.flush()
        if ready >= _COMMIT_TILES or late:
            self._commit()

    def _commit(self) -> None:
        """Hand all finished scenes to the writer, for one commit."""
        done = [work for work in self._open if work.done and not work.failed]
        self._open = [work for work in self._open if not work.done and not work.failed]
        self._committed_at = time.monotonic()
        full = [work for work in done if work.tiles]
        for work in done:
            record = work.scene.record
            if not work.tiles:
                empty = SceneError(
                    f"{record.name}: no tile has at least {self._tiling.min_valid:.0%} valid pixels"
                    + ("" if self._tiling.max_cloud == 1 else f" and at most {self._tiling.max_cloud:.0%} cloud")
                    + "; nothing to index (lower --min-valid to keep sparser tiles)"
                )
                self._fail(record.name, record.href, record.key, empty)
        if full:
            self._writer.add(full)

    def _fail(self, name: str, href: str, key: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, BandsightError) else f"{type(error).__name__}: {error}"
        if name not in reason and href not in reason:
            reason = f"{name}: {reason}"
        self._summary.failed.append((name, reason))
        self._known_failures.add(key)
        self._progress.scene_failed(name, reason)
        self._writer.fail(href, reason)
        self._stopped = self._stopped or self._fail_fast


def _ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Yield items in order while keeping `count` more of them begun: bounded, so memory is too."""
    begun: deque[T] = deque()
    for item in items:
        begun.append(item)
        if len(begun) > count:
            yield begun.popleft()
    yield from begun
