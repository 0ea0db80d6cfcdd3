"""An indexing job: reads ahead of the model, batches tiles across scenes, and writes concurrently."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

import numpy as np

from bandsight.archive import ArchiveWriter
from bandsight.errors import ArchiveError, BandsightError, BusyError, SceneError
from bandsight.imagery.pyramids import Pyramids, render_pyramid
from bandsight.model.protocol import BatchEncoder
from bandsight.raster.drivers import is_remote
from bandsight.sensors.profile import Profile
from indexer.batches import Batches
from indexer.checkpoints import CheckpointFolder
from indexer.events import (
    CheckpointSaved,
    Committed,
    JobFinished,
    JobStarted,
    Note,
    SceneFailed,
    SceneOpened,
    SceneSkipped,
    TilesEncoded,
    TilesLeftOut,
)
from indexer.executor import Executor, ExecutorError
from indexer.job_record import JobRecord
from indexer.patience import Patience
from indexer.progress import CompositeProgress, Progress
from indexer.reader import ReadTile
from indexer.recognition import Recognised, SceneSpec
from indexer.scene import RasterScene
from indexer.scene_feed import SceneFeed, new_askers
from indexer.scene_task import PendingTile, SceneTask
from indexer.scheduling import ahead, interleaved
from indexer.source import Source
from indexer.summary import Summary
from indexer.tally import Tally
from indexer.tile_plan import Read, TilePlan
from indexer.writer import Writer

# Commit interval: commits are batched because each waits for the disk. At most this much is redone after a kill.
_COMMIT_TILES, _COMMIT_S = 2048, 15.0
# How often scenes are looked for that other jobs are indexing.
_OTHERS_S = 1.0


class Job:
    """The state of one run. Reads and writes run in other threads, everything else in the caller's."""

    def __init__(
        self,
        *,
        archive: ArchiveWriter,
        model: BatchEncoder,
        record: tuple[ArchiveWriter, str, Sequence[str]],
        profiles: Sequence[Profile] | None,
        batch_size: int,
        executor: Executor,
        fail_fast: bool,
        known_failures: set[str],
        progress: Progress,
    ) -> None:
        """Initialize.

        Args:
            archive: Open for writing, created for this model.
            model: Embeds the tiles.
            record: The archive that records the job, the kind of job, and its inputs.
            profiles: Profiles to match; None for the built-in ones.
            batch_size: Tiles per forward pass.
            executor: Opens scenes and reads tiles. The job closes it.
            fail_fast: Stop at the first failed scene.
            known_failures: Keys of scenes that failed before; new ones are added.
            progress: Receives events.
        """
        self._archive, self._model, self._executor = archive, model, executor
        self._fail_fast, self._known_failures = fail_fast, known_failures
        self._open: list[SceneTask] = []
        self._pyramids, self._rendering = Pyramids(archive.path, archive.files), set[Future[bytes | None]]()
        self._patience = Patience(lambda text: self._progress.on(Note(text=text)))
        self._writer = Writer(archive, model.digest, self._committed, self._patience)
        self._tally = Tally()
        self._record = JobRecord(*record, self._writer.do_patiently)
        self._progress: Progress = CompositeProgress([self._tally, self._record, progress])
        self._batches = Batches(model, batch_size, self._progress)
        self._askers = new_askers()
        self._feed = SceneFeed(
            archive=archive,
            model=model.digest,
            profiles=profiles,
            executor=executor,
            askers=self._askers,
            known_failures=known_failures,
            skipped=lambda source: self._progress.on(SceneSkipped(name=source.name)),
            noted=lambda source, text: self._progress.on(Note(text=text, scene=source.name)),
            moved=self._relocate,
            failed=self._fail_unopened,
            patience=self._patience,
        )
        self._committed_at = time.monotonic()
        self._stopped = False

    def run(self, specs: Sequence[SceneSpec]) -> Summary:
        """Index scenes and return a summary."""
        began, summary = time.monotonic(), self._tally.summary
        self._progress.on(JobStarted(scenes=len(specs)))
        try:
            self._work(specs)
        except BaseException as error:
            summary.seconds = time.monotonic() - began
            # The error itself is what must be reported, even where the archive takes no more records.
            with suppress(ArchiveError, BusyError):
                if isinstance(error, KeyboardInterrupt):
                    self._record.close("dismissed", "stopped; run the same command again to continue", summary)
                else:
                    self._record.close("failed", _reason(error), summary)
            raise
        summary.seconds = time.monotonic() - began
        self._close_record(summary)
        self._progress.on(JobFinished(summary=summary))
        return summary

    def _work(self, specs: Sequence[SceneSpec]) -> None:
        try:
            self._index(specs)
            while self._feed.postponed and not self._stopped:
                # Nothing is held while it waits, so that two jobs never wait for each other.
                self._commit(late=True)
                self._writer.drain()
                time.sleep(_OTHERS_S)
                others, self._feed.postponed[:] = list(self._feed.postponed), []
                self._index(others)
        except BaseException:
            self._patience.end()
            raise
        finally:
            # Also on Ctrl-C: keep what is finished, and do not wait for pending work.
            self._askers.shutdown(wait=False, cancel_futures=True)
            self._executor.close()
            try:
                self._commit(late=True)
            finally:
                self._writer.close()

    def _index(self, specs: Sequence[SceneSpec]) -> None:
        """Index scenes, but for those that other jobs are indexing; some are not written yet."""
        for task, read, future in ahead(self._reads(specs), self._executor.ahead):
            self._take(task, read, future)
            if self._stopped:
                return
            self._commit_if_due()
        self._batches.flush()
        wait(set(self._rendering))

    def _close_record(self, summary: Summary) -> None:
        failed = len(summary.failed)
        if self._stopped:
            self._record.close("failed", "stopped at the first failed scene", summary)
        else:
            scenes = "1 scene" if failed == 1 else f"{failed} scenes"
            self._record.close("successful", f"{scenes} failed" if failed else "", summary)

    def _reads(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[SceneTask, Read, Future[list[ReadTile]]]]:
        """Submit reads to their lanes and yield them."""
        for turn, (known, opening) in enumerate(self._feed.opened(specs)):
            spec, key = known.spec, known.key
            if self._stopped:
                return
            try:
                scene, plan = opening.result()
                task, reads, tiles = self._begun(scene, plan, turn, known.lease)
            except ExecutorError:
                raise
            except Exception as error:  # noqa: BLE001  (no bad scene stops a job)
                self._feed.give_back(known.lease)
                self._fail_unopened(spec.source, key, error)
                continue
            self._progress.on(SceneOpened(name=spec.source.name, tiles=tiles))
            for text in scene.notes:
                self._progress.on(Note(text=text, scene=spec.source.name))
            self._open.append(task)
            tiling = spec.tiling
            options = {"tile_px": tiling.tile_px, "min_valid": tiling.min_valid, "max_cloud": tiling.max_cloud}
            for read in interleaved(reads, self._executor.lanes):
                if task.failed:
                    # Skip the rest of the scene.
                    break
                windows, kept = [plan.window(number) for number in read.numbers], {"kept_rows": read.lane_px}
                # Reads in a lane go to the same reader, which has their blocks cached.
                lane = turn + read.lane
                yield task, read, self._executor.read_tiles(lane, scene, windows, **options, **kept)
            self._render(task, turn)

    def _render(self, task: SceneTask, turn: int) -> None:
        """Render a scene's pyramid for the map; failures are ignored, because pyramids are optional."""
        record = task.scene.record
        with suppress(BusyError):
            if task.failed or self._pyramids.has(record.key):
                return

        def save(done: Future[bytes | None]) -> None:
            self._rendering.discard(done)
            if not done.cancelled() and done.exception() is None and (data := done.result()) is not None:
                self._pyramids.save(record.key, data)

        rendered = self._executor.submit(turn, render_pyramid, record)
        self._rendering.add(rendered)
        rendered.add_done_callback(save)

    def _begun(
        self, scene: RasterScene, plan: TilePlan, turn: int, lease: str
    ) -> tuple[SceneTask, Iterator[Read], int]:
        """Return a scene's task, what is still to be read of it, and how many tiles that is."""
        task = SceneTask(scene=scene, plan=plan, waiting=plan.read_count, turn=turn, lease=lease)
        task.checkpoints = CheckpointFolder.find(self._archive.path, scene, plan, self._model.digest)
        if task.checkpoints is None:
            return task, plan.reads(), len(plan)
        done: set[int] = set()
        for saved in task.checkpoints.read():
            done.update(saved.reads.tolist())
            known = saved.cloud_fraction[~np.isnan(saved.cloud_fraction)]
            task.kept += len(saved)
            task.cloud = task.cloud[0] + float(known.sum()), task.cloud[1] + len(known)
        task.in_parts = True
        task.waiting -= len(done)
        left = [read for read in plan.reads() if read.number not in done]
        return task, iter(left), sum(len(read.numbers) for read in left)

    def _take(self, task: SceneTask, read: Read, future: Future[list[ReadTile]]) -> None:
        """Handle one finished read."""
        try:
            tiles = future.result()
        except ExecutorError:
            raise
        except Exception as error:  # noqa: BLE001  (as above)
            if not task.failed:
                task.failed = True
                self._fail_task(task, error)
        if task.failed:
            return
        pending = task.take(read, tiles)
        for reason in ("too cloudy", "too little valid data"):
            left_out = sum(not tile.kept and bool(tile.cloud_fraction) == (reason == "too cloudy") for tile in tiles)
            if left_out:
                self._progress.on(TilesLeftOut(tiles=left_out, reason=reason))
        if pending and pending[0].tile.vector is not None:
            self._embedded(task, pending)
        else:
            self._batches.add(task.wavelengths, pending, task.cells)

    def _embedded(self, task: SceneTask, pending: list[PendingTile]) -> None:
        """Take tiles that came with their vectors."""
        for one in pending:
            assert one.tile.vector is not None
            task.embedded(one, one.tile.vector, one.tile.cells)
        self._progress.on(TilesEncoded(tiles=len(pending), seconds=sum(one.tile.encode_s for one in pending)))

    def _relocate(self, known: Recognised) -> None:
        """Record the new location of a scene's files."""
        scene, moved, source = known.scene, known.moved, known.spec.source.as_dict()
        if scene is not None:
            self._writer.do(self._move, scene.id, moved, source)

    def _move(self, scene_id: int, moved: dict[str, str], source: dict[str, Any]) -> None:
        self._archive.relocate({scene_id: moved}, {scene_id: source})

    def _committed(self, scenes: int, tiles: int) -> None:
        self._progress.on(Committed(scenes=scenes, tiles=tiles))

    def _commit_if_due(self) -> None:
        ready = sum(task.ready for task in self._open)
        late = time.monotonic() - self._committed_at > _COMMIT_S
        if late:
            # Do not let small scenes with rare bands wait for a batch that never fills.
            self._batches.flush()
        if ready >= _COMMIT_TILES or late:
            self._commit(late=late)

    def _commit(self, *, late: bool) -> None:
        """Pass finished scenes to the writer as one commit, and finished parts of large scenes as checkpoints."""
        self._committed_at = time.monotonic()
        still, whole = [], []
        for task in self._open:
            if task.failed:
                continue
            if not task.done:
                still.append(task)
                if task.ready and (late or task.ready >= _COMMIT_TILES // 2):
                    self._save(task)
            elif not task.kept:
                self._fail_empty(task)
            elif task.in_parts:
                self._save(task)
                self._writer.show(task)
            else:
                whole.append((task, task.step()))
        self._open = still
        if whole:
            self._writer.add(whole)

    def _save(self, task: SceneTask) -> None:
        task.in_parts = True
        part = task.step()
        if len(part.reads):
            self._writer.save(task, part)
            self._progress.on(CheckpointSaved(name=task.scene.record.name, tiles=len(part)))

    def _fail_empty(self, task: SceneTask) -> None:
        record, tiling = task.scene.record, task.scene.record.tiling
        empty = SceneError(
            f"{record.name}: no tiles have at least {tiling['min_valid']:.0%} valid pixels"
            + ("" if tiling["max_cloud"] == 1 else f" and at most {tiling['max_cloud']:.0%} cloud")
            + "; nothing to index (lower --min-valid to keep sparser tiles)"
        )
        self._fail_task(task, empty)

    def _fail_task(self, task: SceneTask, error: Exception) -> None:
        """Report an opened scene as failed, and drop its checkpoints unless it is remote."""
        record = task.scene.record
        self._feed.give_back(task.lease)
        self._fail(record.name, record.href, record.key, error, opened=True)
        if task.in_parts and not any(is_remote(band.href) for band in record.bands):
            self._writer.drop(task)

    def _fail_unopened(self, source: Source, key: str, error: Exception) -> None:
        self._fail(source.name, source.hrefs[0], key, error, opened=False)

    def _fail(self, name: str, href: str, key: str, error: Exception, *, opened: bool) -> None:
        reason = _reason(error)
        if name not in reason and href not in reason:
            reason = f"{name}: {reason}"
        self._known_failures.add(key)
        self._progress.on(SceneFailed(name=name, href=href, reason=reason, opened=opened))
        self._stopped = self._stopped or self._fail_fast


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, BandsightError) else f"{type(error).__name__}: {error}"
