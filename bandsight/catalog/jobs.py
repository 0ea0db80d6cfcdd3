"""Reads and writes what is remembered of jobs, inside a transaction that the archive holds."""

import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, insert, select, update

from bandsight.catalog.sqlite.tables import JobFailureRow, JobRow

# Of OGC API - Processes (OGC 18-062r2, table 15), so that they mean the same everywhere.
State = Literal["running", "successful", "failed", "dismissed"]
DIED = "its process died; what was committed is kept, run the same command again to go on"


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
    """What it will still take at this speed; None where that cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of `index` or `reindex`."""

    id: int
    """Row id, never used twice."""
    kind: str
    """`index` or `reindex`."""
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
    """What it was asked to index."""
    counts: Counts
    """How far it is."""
    failures: tuple[tuple[str, str, str], ...] = ()
    """(scene, href, reason) of what failed; only where one job is asked for."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        times = {
            name: None if when is None else when.isoformat(timespec="seconds").replace("+00:00", "Z")
            for name, when in (("started", self.started), ("updated", self.updated), ("finished", self.finished))
        }
        failures = [{"scene": scene, "href": href, "reason": reason} for scene, href, reason in self.failures]
        return {**asdict(self), **times, "sources": list(self.sources), "failures": failures}


class Jobs:
    """The statements of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def begin(self, kind: str, sources: Sequence[str], counts: Counts) -> int:
        """Remember a job of this process and return its id; any that still counts as running has died."""
        now = _now()
        self._db.execute(
            update(JobRow).where(JobRow.state == "running").values(state="failed", message=DIED, finished=None)
        )
        values = {
            "kind": kind,
            "state": "running",
            "started": now,
            "updated": now,
            "message": "",
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "sources": list(sources),
            "counts": asdict(counts),
        }
        key = self._db.execute(insert(JobRow).values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def update(self, job_id: int, counts: Counts) -> None:
        """Remember how far it is."""
        self._db.execute(update(JobRow).where(JobRow.id == job_id).values(updated=_now(), counts=asdict(counts)))

    def add_failure(self, job_id: int, scene: str, href: str, reason: str) -> None:
        """Remember that a scene failed in it."""
        row = {"job_id": job_id, "scene": scene, "href": href, "reason": reason, "at": _now()}
        self._db.execute(insert(JobFailureRow).values(**row))

    def end(self, job_id: int, state: State, message: str, counts: Counts) -> None:
        """Remember how it ended."""
        now = _now()
        values = {"state": state, "message": message, "counts": asdict(counts), "updated": now, "finished": now}
        self._db.execute(update(JobRow).where(JobRow.id == job_id).values(**values))

    def forget(self, keep: int) -> None:
        """Forget all but the newest jobs."""
        newest = select(func.coalesce(func.max(JobRow.id), 0)).scalar_subquery()
        self._db.execute(delete(JobRow).where(JobRow.id <= newest - keep))

    def newest(self, limit: int, before: int | None = None) -> list[Job]:
        """Return jobs, newest first, without their failures.

        Args:
            limit: At most so many.
            before: Only those with a lower id.
        """
        chosen = select(JobRow.__table__).order_by(JobRow.id.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(JobRow.id < before)
        return [_job(row) for row in self._db.execute(chosen).mappings()]

    def get(self, job_id: int) -> Job | None:
        """Return a job with its failures, None when there is none of this id."""
        row = self._db.execute(select(JobRow.__table__).where(JobRow.id == job_id)).mappings().first()
        if row is None:
            return None
        columns = (JobFailureRow.scene, JobFailureRow.href, JobFailureRow.reason)
        failed = select(*columns).where(JobFailureRow.job_id == job_id).order_by(JobFailureRow.id)
        return _job(row, tuple((scene, href, reason) for scene, href, reason in self._db.execute(failed)))


def _job(row: Any, failures: tuple[tuple[str, str, str], ...] = ()) -> Job:
    values = {name: row[name] for name in ("id", "kind", "state", "message", "host", "pid")}
    return Job(
        **values,
        started=row["started"].replace(tzinfo=UTC),
        updated=row["updated"].replace(tzinfo=UTC),
        finished=None if row["finished"] is None else row["finished"].replace(tzinfo=UTC),
        sources=tuple(row["sources"]),
        counts=Counts(**row["counts"]),
        failures=failures,
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
