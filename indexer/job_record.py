"""Records a job's progress and outcome in the archive, where others can see it."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from bandsight.archive import ArchiveWriter
from bandsight.catalog.jobs import Counts, State
from bandsight.errors import ArchiveError, BusyError
from indexer.events import (
    Committed,
    Event,
    JobStarted,
    SceneFailed,
    SceneOpened,
    SceneSkipped,
    TilesEncoded,
    TilesLeftOut,
)
from indexer.summary import Summary

_BEAT_S = 2.0


class JobRecord:
    """Records a job. Jobs without anything to do leave no record."""

    def __init__(self, archive: ArchiveWriter, kind: str, sources: Sequence[str], do: Callable[..., None]) -> None:
        """Initialize.

        Args:
            archive: Open for writing.
            kind: `index` or `reindex`.
            sources: Inputs of the job.
            do: Schedules a write in the writer's thread.
        """
        self._archive, self._kind, self._sources, self._do = archive, kind, sources, do
        self._id: int | None = None
        self._begun = False
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._tell, name="bandsight-job", daemon=True)
        self._scenes = self._looked_at = self._with_tiles = self._failed = self._added = 0
        self._tiles = self._tiles_seen = self._tiles_added = 0
        self._busy_s = 0.0

    def on(self, event: Event) -> None:
        """Count an event, and create the record once there is something to record."""
        with self._lock:
            remember = self._count(event)
        if remember:
            self._remember()
        if isinstance(event, SceneFailed):
            # The writer runs this after creating the job's row.
            name, href, reason = event.name, event.href, event.reason
            self._do(lambda: self._archive.record_failure(href, reason, scene=name, job=self._id))

    def _count(self, event: Event) -> bool:
        """Count an event. Returns whether it makes the job worth recording."""
        match event:
            case JobStarted():
                self._scenes, self._began = event.scenes, time.monotonic()
            case SceneSkipped():
                self._looked_at += 1
            case SceneOpened():
                self._looked_at += 1
                self._with_tiles += event.tiles > 0
                self._tiles_seen += event.tiles
                return event.tiles > 0
            case SceneFailed():
                self._failed += 1
                self._looked_at += not event.opened
                return True
            case TilesEncoded():
                self._busy_s += event.seconds
                self._tiles += event.tiles
            case TilesLeftOut():
                self._tiles += event.tiles
            case Committed():
                self._added += event.scenes
                self._tiles_added += event.tiles
            case _:
                pass
        return False

    def close(self, state: State, message: str, summary: Summary) -> None:
        """Record the outcome. Call this in the writer's thread or after it has ended."""
        self._over.set()
        if self._id is not None:
            self._beat.join()
            counts = replace(
                self._counts(), skipped=summary.skipped_scenes, failed=len(summary.failed), remaining_s=None
            )
            self._archive.jobs.end(self._id, state, message, counts)

    def _remember(self) -> None:
        if not self._begun:
            self._begun = True
            self._do(self._begin)

    def _begin(self) -> None:
        self._id = self._archive.jobs.begin(self._kind, self._sources, self._counts())
        self._beat.start()

    def _tell(self) -> None:
        while not self._over.wait(_BEAT_S):
            # While a large scene is being shown, the catalog is busy; the next beat will tell.
            with suppress(ArchiveError, BusyError):
                assert self._id is not None
                self._archive.jobs.update(self._id, self._counts())

    def _counts(self) -> Counts:
        with self._lock:
            seconds = max(time.monotonic() - self._began, 1e-6)
            unopened = max(self._scenes - self._looked_at, 0)
            expected = self._tiles_seen + round(self._tiles_seen / max(self._looked_at, 1) * unopened)
            speed = self._tiles / seconds
            return Counts(
                scenes=self._scenes,
                added=self._added,
                skipped=max(self._looked_at - self._with_tiles - self._failed, 0),
                failed=self._failed,
                tiles=self._tiles,
                tiles_expected=expected,
                tiles_added=self._tiles_added,
                tiles_per_s=round(speed, 2),
                model_busy=round(min(self._busy_s / seconds, 1), 3),
                remaining_s=round(max(expected - self._tiles, 0) / speed, 1) if speed else None,
            )
