"""The job: readers ahead of the model, batches of one band list across scenes, writes beside it."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.archive import ArchiveWriter
from bandsight.errors import ArchiveError, BandsightError, SceneError
from bandsight.model.protocol import BatchEncoder
from bandsight.raster.drivers import is_remote
from bandsight.sensors.profile import Profile
from indexer.batches import Batches
from indexer.checkpoints import CheckpointFolder
from indexer.folders import roots_of
from indexer.identity import scene_key
from indexer.job_record import JobRecord
from indexer.progress import CompositeProgress, NullProgress, Progress
from indexer.reader import ReadTile, read_tiles
from indexer.reader_pool import InlineReader, ProcessReader, Readers, RetryingReader
from indexer.scene import RasterScene
from indexer.scene_task import SceneTask
from indexer.scheduling import ahead, interleaved
from indexer.source import Source
from indexer.sources import find_scenes
from indexer.stac_query import StacQuery
from indexer.summary import Summary
from indexer.tile_plan import Read, TilePlan
from indexer.tiling import Tiling, open_tiled
from indexer.writer import Writer

# Scenes opened ahead of the one being read: hides the time that headers and overviews take. Servers are asked for the
# versions of more, at once.
_OPEN_AHEAD, _ASK_AHEAD, _ASKERS = 3, 16, 8
# What is finished is written together, since a write waits for the disk; so much is done again after a kill.
_COMMIT_TILES, _COMMIT_S = 2048, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """A scene to be indexed, and how."""

    source: Source
    """Its files."""
    sensor: str | None = None
    """Profile to use; None to match one."""
    tiling: Tiling
    """How it is cut."""


def index(
    paths: Iterable[str | Path],
    *,
    archive: ArchiveWriter,
    model: BatchEncoder,
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
        time_limit_s: With `isolate`: for opening a scene, and for reading some of its tiles.
        fail_fast: Stop at the first scene that fails.
        known_failures: Keys of scenes that have failed before and are not tried again; new ones are added.
        progress: Told how far the job is.

    Returns:
        What was added, skipped and failed. A scene that fails does not stop the job, unless `fail_fast` says so.
    """
    inputs = [str(path) for path in paths]
    cut = tiling or Tiling(tile_px=model.image_size)
    tasks = [SceneSpec(source=source, sensor=sensor, tiling=cut) for source in find_scenes(inputs, profiles, query)]
    return run(
        tasks,
        archive=archive,
        model=model,
        asked=inputs,
        profiles=profiles,
        batch_size=batch_size,
        workers=workers,
        isolate=isolate,
        time_limit_s=time_limit_s,
        fail_fast=fail_fast,
        known_failures=known_failures,
        progress=progress,
    )


def run(
    tasks: Sequence[SceneSpec],
    *,
    archive: ArchiveWriter,
    model: BatchEncoder,
    asked: Sequence[str],
    kind: str = "index",
    recorded_in: ArchiveWriter | None = None,
    profiles: Sequence[Profile] | None = None,
    batch_size: int = 64,
    workers: int = 2,
    isolate: bool = False,
    time_limit_s: float = 120.0,
    fail_fast: bool = False,
    known_failures: set[str] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Index scenes, each in its own way; for the rest see `index`.

    Args:
        tasks: The scenes.
        archive: Open for writing, made for this model.
        model: Embeds the tiles.
        asked: What the job was asked for, for its record.
        kind: What the job is called in its record.
        recorded_in: The archive that remembers the job; None for the same.
        profiles: As `index`.
        batch_size: As `index`.
        workers: As `index`.
        isolate: As `index`.
        time_limit_s: As `index`.
        fail_fast: As `index`.
        known_failures: As `index`.
        progress: As `index`.
    """
    roots = roots_of(task.source for task in tasks)
    readers: Readers = ProcessReader(roots, time_limit_s=time_limit_s) if isolate else InlineReader()
    job = _Job(
        archive=archive,
        model=model,
        record=(recorded_in or archive, kind, asked),
        profiles=profiles,
        batch_size=batch_size,
        workers=workers,
        readers=RetryingReader(readers),
        fail_fast=fail_fast,
        known_failures=set() if known_failures is None else known_failures,
        progress=progress or NullProgress(),
    )
    return job.run(tasks)


class _Job:
    """The state of one run. Reading and writing happen in threads, everything else in the caller's."""

    def __init__(
        self,
        *,
        archive: ArchiveWriter,
        model: BatchEncoder,
        record: tuple[ArchiveWriter, str, Sequence[str]],
        profiles: Sequence[Profile] | None,
        batch_size: int,
        workers: int,
        readers: Readers,
        fail_fast: bool,
        known_failures: set[str],
        progress: Progress,
    ) -> None:
        self._archive, self._model, self._profiles = archive, model, profiles
        self._readers, self._fail_fast, self._known_failures = readers, fail_fast, known_failures
        self._summary = Summary()
        self._counting = threading.Lock()
        self._open: list[SceneTask] = []
        self._batches = Batches(model, batch_size, self)
        self._writer = Writer(archive, model.digest, self._committed)
        self._record = JobRecord(*record, self._writer.do)
        self._progress: Progress = CompositeProgress([self._record, progress])
        # Reads of one lane go to one reader, which then has their blocks at hand.
        self._pools = [ThreadPoolExecutor(1, f"bandsight-read-{number}") for number in range(workers)]
        self._askers = ThreadPoolExecutor(_ASKERS, "bandsight-ask")
        self._committed_at = time.monotonic()
        self._stopped = False

    def run(self, tasks: Sequence[SceneSpec]) -> Summary:
        began = time.monotonic()
        self._progress.begin(len(tasks))
        try:
            self._work(tasks)
        except BaseException as error:
            self._summary.seconds = time.monotonic() - began
            # The error itself is what must be told, even where the archive takes no more words.
            with suppress(ArchiveError):
                if isinstance(error, KeyboardInterrupt):
                    self._record.close("dismissed", "stopped; run the same command again to go on", self._summary)
                else:
                    self._record.close("failed", _said(error), self._summary)
            raise
        self._summary.seconds = time.monotonic() - began
        self._close()
        self._progress.end(self._summary)
        return self._summary

    def _work(self, tasks: Sequence[SceneSpec]) -> None:
        try:
            for work, read, future in ahead(self._reads(tasks), 2 * len(self._pools)):
                self._take(work, read, future)
                if self._stopped:
                    break
                self._commit_if_due()
            if not self._stopped:
                self._batches.flush()
        finally:
            # Also on Ctrl-C: what is finished is kept, what is not begun is not waited for.
            for pool in (*self._pools, self._askers):
                pool.shutdown(wait=False, cancel_futures=True)
            self._readers.close()
            try:
                self._commit(late=True)
            finally:
                self._writer.close()

    def _close(self) -> None:
        failed = len(self._summary.failed)
        scenes = "1 scene" if failed == 1 else f"{failed} scenes"
        if self._stopped:
            self._record.close("failed", "stopped at the first scene that failed", self._summary)
        else:
            self._record.close("successful", f"{scenes} failed" if failed else "", self._summary)

    def _reads(self, tasks: Sequence[SceneSpec]) -> Iterator[tuple[SceneTask, Read, Future[list[ReadTile]]]]:
        """Yield reads as they are handed to their readers."""
        for turn, (task, key, opening) in enumerate(ahead(self._openings(tasks), _OPEN_AHEAD)):
            source = task.source
            try:
                scene, layout = opening.result()
                work, reads, tiles = self._begun(scene, layout, turn)
            except Exception as error:  # noqa: BLE001  (no bad scene stops a job, whatever is wrong with it)
                self._fail(source.name, source.hrefs[0], key, error)
                self._progress.scene_opened(source.name, 0)
                if self._stopped:
                    return
                continue
            self._progress.scene_opened(source.name, tiles)
            self._open.append(work)
            tiling = task.tiling
            options = {"tile_px": tiling.tile_px, "min_valid": tiling.min_valid, "max_cloud": tiling.max_cloud}
            for read in interleaved(reads, len(self._pools)):
                if work.failed:
                    # Nothing more of it is read.
                    break
                windows, kept = [layout.window(number) for number in read.numbers], {"kept_rows": read.lane_px}
                pool = self._pools[(turn + read.lane) % len(self._pools)]
                yield work, read, pool.submit(self._readers.call, read_tiles, scene, windows, **options, **kept)  # type: ignore[arg-type]

    def _begun(self, scene: RasterScene, layout: TilePlan, turn: int) -> tuple[SceneTask, Iterator[Read], int]:
        """Return a scene's work, what is still to be read of it, and how many tiles that is."""
        work = SceneTask(scene=scene, layout=layout, waiting=layout.read_count, turn=turn)
        work.parts = CheckpointFolder.find(self._archive.path, scene, layout, self._model.digest)
        if work.parts is None:
            return work, layout.reads(), len(layout)
        done: set[int] = set()
        for part in work.parts.read():
            done.update(part.reads.tolist())
            known = part.cloud_fraction[~np.isnan(part.cloud_fraction)]
            work.kept += len(part)
            work.cloud = work.cloud[0] + float(known.sum()), work.cloud[1] + len(known)
        work.in_parts = True
        work.waiting -= len(done)
        left = [read for read in layout.reads() if read.number not in done]
        return work, iter(left), sum(len(read.numbers) for read in left)

    def _openings(
        self, tasks: Sequence[SceneSpec]
    ) -> Iterator[tuple[SceneSpec, str, Future[tuple[RasterScene, TilePlan]]]]:
        """Yield scenes that are new as they are handed to their readers."""
        for number, (task, asked) in enumerate(ahead(self._keys(tasks), _ASK_AHEAD)):
            source = task.source
            try:
                key = asked.result()
            except Exception as error:  # noqa: BLE001  (no bad scene stops a job, whatever is wrong with it)
                problem = f"{source.hrefs[0]}: {error}"
                if problem in self._known_failures:
                    self._summary.skipped_scenes += 1
                else:
                    self._fail(source.name, source.hrefs[0], problem, error)
                self._progress.scene_opened(source.name, 0)
                if self._stopped:
                    return
                continue
            there = self._archive.has_scene(key)
            if there:
                CheckpointFolder.drop_left(self._archive.path, key)
            if there or key in self._known_failures:
                self._summary.skipped_scenes += 1
                self._progress.scene_opened(source.name, 0)
                continue
            call = self._readers.call
            pool = self._pools[number % len(self._pools)]
            yield task, key, pool.submit(call, open_tiled, source, key, task.sensor, self._profiles, task.tiling)

    def _keys(self, tasks: Sequence[SceneSpec]) -> Iterator[tuple[SceneSpec, Future[str]]]:
        """Yield scenes as their identities are asked for; of remote ones, several at once."""
        for task in tasks:
            options: dict[str, Any] = {"sensor": task.sensor, "model": self._model.digest}
            options |= task.tiling.as_dict()
            if any(is_remote(href) for href in task.source.hrefs):
                yield task, self._askers.submit(scene_key, task.source, options)
            else:
                yield task, _at_once(task.source, options)

    def _take(self, work: SceneTask, read: Read, future: Future[list[ReadTile]]) -> None:
        """Handle one finished read."""
        record = work.scene.record
        try:
            tiles = future.result()
        except Exception as error:  # noqa: BLE001  (as above)
            if not work.failed:
                work.failed = True
                self._fail(record.name, record.href, record.key, error)
                self._forget(work)
        if work.failed:
            return
        slots = work.take(read, tiles)
        for tile in tiles:
            if not tile.pixels.size:
                self._summary.skipped_tiles["too cloudy" if tile.cloud_fraction else "too little valid data"] += 1
        if len(slots) < len(tiles):
            self._progress.tiles_done(len(tiles) - len(slots))
        self._batches.add(work.wavelengths, slots)

    def _forget(self, work: SceneTask) -> None:
        """Drop the parts of a scene that failed; what was read from far away may still be of use to another try."""
        if work.in_parts and not any(is_remote(band.href) for band in work.scene.raster.bands):
            self._writer.drop(work)

    def encoded(self, tiles: int, seconds: float) -> None:
        """Count what the model did."""
        self._summary.encode_s += seconds
        self._progress.encoded(tiles, seconds)
        self._progress.tiles_done(tiles)

    def note(self, text: str) -> None:
        """Pass it on."""
        self._progress.note(text)

    def _committed(self, scenes: int, tiles: int) -> None:
        with self._counting:
            self._summary.scenes += scenes
            self._summary.tiles += tiles
        self._progress.committed(scenes, tiles)

    def _commit_if_due(self) -> None:
        ready = sum(work.ready for work in self._open)
        late = time.monotonic() - self._committed_at > _COMMIT_S
        if late:
            # Small scenes of a rare band list must not wait for a batch that never fills.
            self._batches.flush()
        if ready >= _COMMIT_TILES or late:
            self._commit(late=late)

    def _commit(self, *, late: bool) -> None:
        """Hand finished scenes to the writer, for one commit, and finished parts of large ones."""
        self._committed_at = time.monotonic()
        still, whole = [], []
        for work in self._open:
            if work.failed:
                continue
            if not work.done:
                still.append(work)
                if work.ready and (late or work.ready >= _COMMIT_TILES // 2):
                    self._save(work)
            elif not work.kept:
                self._fail_empty(work)
            elif work.in_parts:
                self._save(work)
                self._writer.show(work)
            else:
                whole.append((work, work.step()))
        self._open = still
        if whole:
            self._writer.add(whole)

    def _save(self, work: SceneTask) -> None:
        work.in_parts = True
        part = work.step()
        if len(part.reads):
            self._writer.save(work, part)
            self._progress.saved(work.scene.record.name, len(part))

    def _fail_empty(self, work: SceneTask) -> None:
        record, tiling = work.scene.record, work.scene.record.tiling
        empty = SceneError(
            f"{record.name}: no tile has at least {tiling['min_valid']:.0%} valid pixels"
            + ("" if tiling["max_cloud"] == 1 else f" and at most {tiling['max_cloud']:.0%} cloud")
            + "; nothing to index (lower --min-valid to keep sparser tiles)"
        )
        self._fail(record.name, record.href, record.key, empty)
        self._forget(work)

    def _fail(self, name: str, href: str, key: str, error: Exception) -> None:
        reason = _said(error)
        if name not in reason and href not in reason:
            reason = f"{name}: {reason}"
        self._summary.failed.append((name, reason))
        self._known_failures.add(key)
        self._progress.scene_failed(name, reason)
        self._record.failed(name, href, reason)
        self._stopped = self._stopped or self._fail_fast


def _at_once(source: Source, options: dict[str, Any]) -> Future[str]:
    future: Future[str] = Future()
    try:
        future.set_result(scene_key(source, options))
    except Exception as error:  # noqa: BLE001  (raised again where the scene is opened)
        future.set_exception(error)
    return future


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, BandsightError) else f"{type(error).__name__}: {error}"
