"""Jobs, as plain values: what waits, how far a job is and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

# From OGC API - Processes (OGC 18-062r2, table 15).
State = Literal["accepted", "running", "successful", "failed", "dismissed"]
DIED = "its process died; what was committed is kept, run the same command again to continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How far a job is."""

    scenes: int = 0
    """To be looked at."""
    added: int = 0
    """In the archive since."""
    skipped: int = 0
    """That were there already, unchanged."""
    failed: int = 0
    """That could not be indexed."""
    tiles: int = 0
    """Embedded, or left out, since it began."""
    tiles_expected: int = 0
    """In all; scenes not opened yet count with the mean of those that were."""
    tiles_added: int = 0
    """In the archive since."""
    tiles_per_s: float = 0.0
    """Tiles for each second of the job."""
    model_busy: float = 0.0
    """Share of the time that the model worked, 0..1."""
    remaining_s: float | None = None
    """What it will still take at this speed; None where that is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of `index` or `reindex`, or a job of the queue."""

    id: int
    """Row id, never used twice."""
    kind: str
    """`index` or `reindex`, or the process of a job of the queue."""
    state: State
    """As OGC API - Processes has it; one that has died is `failed`."""
    started: datetime
    """UTC."""
    updated: datetime
    """When it was last heard of, UTC."""
    finished: datetime | None
    """UTC; None while it runs, and where it died."""
    message: str
    """In one sentence, how it stands or ended."""
    host: str
    """Machine that it runs on."""
    pid: int
    """Its process there."""
    sources: tuple[str, ...]
    """The sources to index."""
    counts: Counts
    """How far it is."""
    failures: tuple[tuple[str, str, str], ...] = ()
    """(scene, href, reason) of what failed; only where one job is read."""
    created: datetime | None = None
    """When a job of the queue was accepted, UTC; None for others."""
    inputs: Mapping[str, Any] | None = None
    """What a job of the queue is given; None for others."""
    results: Mapping[str, Any] | None = None
    """What a job of the queue has made; None until it has."""
    attempts: int = 0
    """How often a job of the queue was begun."""

    @property
    def queued(self) -> bool:
        """Whether it is a job of the queue."""
        return self.inputs is not None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
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
        """Record a job of this process and return its id; a job that still counts as running has died."""

    def update(self, job_id: int, counts: Counts) -> None:
        """Record how far a job is."""

    def add_failure(self, job_id: int, scene: str, href: str, reason: str) -> None:
        """Record that a scene failed in a job."""

    def end(self, job_id: int, state: State, message: str, counts: Counts) -> None:
        """Record how a job ended."""

    def forget(self, keep: int) -> None:
        """Delete all but the newest jobs."""

    # The queue

    def enqueue(self, kind: str, sources: Sequence[str], inputs: Mapping[str, Any]) -> int:
        """Add a job to the queue and return its id."""

    def waiting(self) -> int:
        """Return how many jobs wait."""

    def take(self) -> int | None:
        """Begin the oldest job that waits and return its id, None when none waits."""

    def put_back(self, job_id: int, message: str) -> None:
        """Let a job that runs wait again."""

    def running(self) -> list[int]:
        """Return the ids of the queue's jobs that are recorded as running."""

    def adopt(self, job_id: int, sources: Sequence[str]) -> None:
        """Record what the process of a job of the queue works on."""

    def beat(self, job_id: int) -> bool:
        """Record that a job still runs; return whether it should."""

    def finish(self, job_id: int, state: State, message: str, results: Mapping[str, Any] | None) -> None:
        """Record how a job of the queue ended, unless it was dismissed meanwhile."""

    def dismiss(self, job_id: int) -> None:
        """Take a job out of the queue, or have it stopped."""

    def delete(self, job_id: int) -> None:
        """Delete a job."""

    def newest(self, limit: int, before: int | None = None) -> list[Job]:
        """Return jobs, newest first, without their failures; only those with an id below `before`."""

    def get(self, job_id: int) -> Job | None:
        """Return a job with its failures, None when there is none with this id."""
