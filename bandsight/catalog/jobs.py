"""Jobs: their state, progress and outcome, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

# From OGC API - Processes (OGC 18-062r2, table 15).
State = Literal["accepted", "running", "successful", "failed", "dismissed"]
DIED = "its process died; committed scenes are kept, run the same command again to continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Progress of a job."""

    scenes: int = 0
    """Scenes to process."""
    added: int = 0
    """Scenes added to the archive."""
    skipped: int = 0
    """Unchanged scenes that were skipped."""
    failed: int = 0
    """Scenes that could not be indexed."""
    tiles: int = 0
    """Tiles processed so far: embedded or skipped."""
    tiles_expected: int = 0
    """Expected total number of tiles; unopened scenes count with the mean of opened ones."""
    tiles_added: int = 0
    """Tiles added to the archive."""
    tiles_per_s: float = 0.0
    """Tiles per second."""
    model_busy: float = 0.0
    """Fraction of time the model was busy, 0..1."""
    remaining_s: float | None = None
    """Estimated remaining time; None if unknown."""
    share: float | None = None
    """How much of a job without scenes is done, 0..1; None for jobs that count tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run of `index` or `reindex`, or a queued job."""

    id: int
    """Row id, never reused."""
    kind: str
    """`index` or `reindex`, or the process id of a queued job."""
    state: State
    """State as defined by OGC API - Processes; `failed` if its process died."""
    started: datetime
    """UTC."""
    updated: datetime
    """Time of the last update, UTC."""
    finished: datetime | None
    """End time, UTC; None while running or if its process died."""
    message: str
    """Status message, one sentence."""
    host: str
    """Host it runs on."""
    pid: int
    """Process id on that host."""
    sources: tuple[str, ...]
    """The sources to index."""
    counts: Counts
    """Progress of the job."""
    failures: tuple[tuple[str, str, str], ...] = ()
    """(scene, href, reason) of failed scenes; only filled for single jobs."""
    created: datetime | None = None
    """Time a queued job was accepted, UTC; None for others."""
    inputs: Mapping[str, Any] | None = None
    """Inputs of a queued job; None for others."""
    results: Mapping[str, Any] | None = None
    """Results of a queued job; None until available."""
    attempts: int = 0
    """Number of times a queued job was started."""

    @property
    def queued(self) -> bool:
        """Whether this is a queued job."""
        return self.inputs is not None

    def as_dict(self) -> dict[str, Any]:
        """Return the job as JSON-serializable values."""
        times = {
            name: None if when is None else when.isoformat(timespec="seconds").replace("+00:00", "Z")
            for name in ("created", "started", "updated", "finished")
            for when in (getattr(self, name),)
        }
        failures = [{"scene": scene, "href": href, "reason": reason} for scene, href, reason in self.failures]
        return {**asdict(self), **times, "sources": list(self.sources), "failures": failures}


class JobRows(Protocol):
    """Jobs within one transaction."""

    def begin(self, kind: str, sources: Sequence[str], counts: Counts) -> int:
        """Record a job of this process and return its id. Marks jobs still recorded as running as died."""

    def update(self, job_id: int, counts: Counts) -> None:
        """Record the progress of a job."""

    def add_failure(self, job_id: int, scene: str, href: str, reason: str) -> None:
        """Record that a scene failed in a job."""

    def end(self, job_id: int, state: State, message: str, counts: Counts) -> None:
        """Record the outcome of a job."""

    def forget(self, keep: int) -> None:
        """Delete all but the newest jobs."""

    # The queue

    def enqueue(self, kind: str, sources: Sequence[str], inputs: Mapping[str, Any]) -> int:
        """Add a job to the queue and return its id."""

    def waiting(self) -> int:
        """Return the number of waiting jobs."""

    def take(self) -> int | None:
        """Start the oldest waiting job and return its id, or None if there is none."""

    def put_back(self, job_id: int, message: str) -> None:
        """Return a running job to the queue."""

    def running(self) -> list[int]:
        """Return the ids of queued jobs recorded as running."""

    def adopt(self, job_id: int, sources: Sequence[str]) -> None:
        """Record the sources that a queued job works on."""

    def beat(self, job_id: int) -> bool:
        """Record a heartbeat of a job. Returns whether it should continue."""

    def finish(self, job_id: int, state: State, message: str, results: Mapping[str, Any] | None) -> None:
        """Record the outcome of a queued job, unless it has been dismissed."""

    def dismiss(self, job_id: int) -> None:
        """Remove a job from the queue, or request that it stop."""

    def delete(self, job_id: int) -> None:
        """Delete a job."""

    def newest(self, limit: int, before: int | None = None) -> list[Job]:
        """Return jobs, newest first, without failures, optionally only with ids below `before`."""

    def get(self, job_id: int) -> Job | None:
        """Return a job with its failures, or None if there is none with this id."""
