"""SQL statements for jobs."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from bandsight.catalog.jobs import DIED, Counts, Job, State
from bandsight.catalog.sql.tables import JobFailureRow, JobRow


class SqlJobs:
    """Jobs within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def begin(self, kind: str, sources: Sequence[str], counts: Counts) -> int:
        """Record a job of this process and return its id. Marks jobs still recorded as running as died."""
        now = _now()
        self._db.execute(
            update(JobRow)
            .where(JobRow.state == "running", JobRow.inputs.is_(None))
            .values(state="failed", message=DIED, finished=None)
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
        """Record the progress of a job."""
        self._db.execute(update(JobRow).where(JobRow.id == job_id).values(updated=_now(), counts=asdict(counts)))

    def add_failure(self, job_id: int, scene: str, href: str, reason: str) -> None:
        """Record that a scene failed in a job."""
        row = {"job_id": job_id, "scene": scene, "href": href, "reason": reason, "at": _now()}
        self._db.execute(insert(JobFailureRow).values(**row))

    def end(self, job_id: int, state: State, message: str, counts: Counts) -> None:
        """Record the outcome of a job."""
        now = _now()
        values = {"state": state, "message": message, "counts": asdict(counts), "updated": now, "finished": now}
        self._db.execute(update(JobRow).where(JobRow.id == job_id).values(**values))

    def forget(self, keep: int) -> None:
        """Delete all but the newest jobs."""
        newest = select(func.coalesce(func.max(JobRow.id), 0)).scalar_subquery()
        over = JobRow.state.not_in(["accepted", "running"])
        self._db.execute(delete(JobRow).where(JobRow.id <= newest - keep, over))

    def enqueue(self, kind: str, sources: Sequence[str], inputs: Mapping[str, Any]) -> int:
        """Add a job to the queue and return its id."""
        now = _now()
        values = {"kind": kind, "state": "accepted", "created": now, "started": now, "updated": now, "message": ""}
        values |= {"host": "", "pid": 0, "sources": list(sources), "counts": asdict(Counts()), "inputs": dict(inputs)}
        key = self._db.execute(insert(JobRow).values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def waiting(self) -> int:
        """Return the number of waiting jobs."""
        return int(self._db.execute(select(func.count()).where(JobRow.state == "accepted")).scalar_one())

    def take(self) -> int | None:
        """Start the oldest waiting job and return its id, or None if there is none."""
        oldest = self._db.execute(select(func.min(JobRow.id)).where(JobRow.state == "accepted")).scalar()
        if oldest is None:
            return None
        now = _now()
        values = {"state": "running", "started": now, "updated": now, "host": socket.gethostname(), "pid": os.getpid()}
        values |= {"message": "", "attempts": JobRow.attempts + 1}
        self._db.execute(update(JobRow).where(JobRow.id == oldest).values(**values))
        return int(oldest)

    def put_back(self, job_id: int, message: str) -> None:
        """Return a running job to the queue."""
        values = {"state": "accepted", "updated": _now(), "message": message}
        self._db.execute(update(JobRow).where(JobRow.id == job_id, JobRow.state == "running").values(**values))

    def running(self) -> list[int]:
        """Return the ids of queued jobs recorded as running."""
        chosen = select(JobRow.id).where(JobRow.state == "running", JobRow.inputs.is_not(None)).order_by(JobRow.id)
        return [int(found) for found in self._db.execute(chosen).scalars()]

    def adopt(self, job_id: int, sources: Sequence[str]) -> None:
        """Record the sources that a queued job works on."""
        self._db.execute(update(JobRow).where(JobRow.id == job_id).values(sources=list(sources), updated=_now()))

    def beat(self, job_id: int) -> bool:
        """Record a heartbeat of a job. Returns whether it should continue."""
        still = update(JobRow).where(JobRow.id == job_id, JobRow.state == "running").values(updated=_now())
        return self._db.execute(still).rowcount == 1

    def finish(self, job_id: int, state: State, message: str, results: Mapping[str, Any] | None) -> None:
        """Record the outcome of a queued job, unless it has been dismissed."""
        now = _now()
        values: dict[str, Any] = {"state": state, "message": message, "updated": now, "finished": now}
        if results is not None:
            values["results"] = dict(results)
        self._db.execute(update(JobRow).where(JobRow.id == job_id, JobRow.state == "running").values(**values))

    def dismiss(self, job_id: int) -> None:
        """Remove a job from the queue, or request that it stop."""
        now = _now()
        values = {"state": "dismissed", "message": "dismissed by a request", "updated": now, "finished": now}
        self._db.execute(update(JobRow).where(JobRow.id == job_id).values(**values))

    def delete(self, job_id: int) -> None:
        """Delete a job."""
        self._db.execute(delete(JobRow).where(JobRow.id == job_id))

    def newest(self, limit: int, before: int | None = None) -> list[Job]:
        """Return jobs, newest first, without their failures.

        Args:
            limit: Maximum number of jobs.
            before: Only jobs with lower ids.
        """
        chosen = select(JobRow.__table__).order_by(JobRow.id.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(JobRow.id < before)
        return [_job(row) for row in self._db.execute(chosen).mappings()]

    def get(self, job_id: int) -> Job | None:
        """Return a job with its failures, or None if there is none with this id."""
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
        created=None if row["created"] is None else row["created"].replace(tzinfo=UTC),
        inputs=row["inputs"],
        results=row["results"],
        attempts=row["attempts"],
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
