"""Keeps the archive's record of a job up to date, so that others can see how far it is, and afterwards how it went."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from bandsight.archive import ArchiveWriter
from bandsight.catalog.jobs import Counts, State
from bandsight.errors import ArchiveError
from indexer.progress import NullProgress
from indexer.summary import Summary

_BEAT_S = 2.0


class JobRecord(NullProgress):
    """Listens to a job; what finds nothing to do leaves no record."""

    def __init__(self, archive: ArchiveWriter, kind: str, sources: Sequence[str], do: Callable[..., None]) -> None:
        """Prepare.

        Args:
            archive: Open for writing.
            kind: `index` or `reindex`.
            sources: What is to be indexed.
            do: Has something written in the writer's thread, in its turn.
        """
        self._archive, self._kind, self._sources, self._do = archive, kind, sources, do
        self._id: int | None = None
        self._begun = False
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._tell, name="bandsight-job", daemon=True)
        self._scenes = self._opened = self._with_tiles = self._failed = self._added = 0
        self._tiles = self._tiles_seen = self._tiles_added = 0
        self._busy_s = 0.0

    def begin(self, scenes: int) -> None:
        """Count it."""
        self._scenes, self._began = scenes, time.monotonic()

    def scene_opened(self, name: str, tiles: int) -> None:  # noqa: ARG002  (as the interface has it)
        """Count it."""
        with self._lock:
            self._opened += 1
            self._with_tiles += tiles > 0
            self._tiles_seen += tiles
        if tiles:
            self._remember()

    def scene_failed(self, name: str, reason: str) -> None:  # noqa: ARG002  (as above)
        """Count it; `failed` remembers it."""
        with self._lock:
            self._failed += 1
        self._remember()

    def encoded(self, tiles: int, seconds: float) -> None:  # noqa: ARG002  (as above)
        """Count it."""
        with self._lock:
            self._busy_s += seconds

    def tiles_done(self, count: int) -> None:
        """Count it."""
        with self._lock:
            self._tiles += count

    def committed(self, scenes: int, tiles: int) -> None:
        """Count it."""
        with self._lock:
            self._added += scenes
            self._tiles_added += tiles

    def failed(self, scene: str, href: str, reason: str) -> None:
        """Remember a scene that failed."""
        self._do(lambda: self._archive.record_failure(href, reason, scene=scene, job=self._id))

    def close(self, state: State, message: str, summary: Summary) -> None:
        """Remember how the job ended; for the writer's thread, or after it."""
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
            with suppress(ArchiveError):
                assert self._id is not None
                self._archive.jobs.update(self._id, self._counts())

    def _counts(self) -> Counts:
        with self._lock:
            seconds = max(time.monotonic() - self._began, 1e-6)
            unopened = max(self._scenes - self._opened, 0)
            expected = self._tiles_seen + round(self._tiles_seen / max(self._opened, 1) * unopened)
            speed = self._tiles / seconds
            return Counts(
                scenes=self._scenes,
                added=self._added,
                skipped=max(self._opened - self._with_tiles - self._failed, 0),
                failed=self._failed,
                tiles=self._tiles,
                tiles_expected=expected,
                tiles_added=self._tiles_added,
                tiles_per_s=round(speed, 2),
                model_busy=round(min(self._busy_s / seconds, 1), 3),
                remaining_s=round(max(expected - self._tiles, 0) / speed, 1) if speed else None,
            )
