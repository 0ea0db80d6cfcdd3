"""The job log, including whether jobs recorded as running are still alive."""

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bandsight.archive.lock import writing_process
from bandsight.catalog.jobs import DIED, Counts, Job, State
from bandsight.catalog.port import CatalogDatabase
from bandsight.errors import NotFoundError

# Older jobs are deleted; a watched folder creates many.
_KEPT = 1000
# A job on another machine updates its row every few seconds, except while it commits a very large scene.
_SILENT = timedelta(minutes=10)

JOB_VARIABLE = "BANDSIGHT_JOB"
"""Environment variable with the id of the queued job that a process works on."""


class JobLog:
    """Jobs of an archive: written by its writer, readable by any process."""

    def __init__(self, folder: Path, database: CatalogDatabase) -> None:
        """Open the log in a catalog.

        Args:
            folder: The archive's folder, with its writer's lock.
            database: The catalog.
        """
        self._folder, self._database = folder, database

    def begin(self, kind: str, sources: Sequence[str], counts: Counts) -> int:
        """Record a job of this process and return its id.

        A process working on a queued job continues that job's record.
        """
        own = _job_of_the_queue()
        with self._database.writing() as catalog:
            if own is not None:
                catalog.jobs.adopt(own, sources)
                return own
            catalog.jobs.forget(_KEPT - 1)
            return catalog.jobs.begin(kind, sources, counts)

    def update(self, job_id: int, counts: Counts) -> None:
        """Record a job's progress."""
        with self._database.writing() as catalog:
            catalog.jobs.update(job_id, counts)

    def end(self, job_id: int, state: State, message: str, counts: Counts) -> None:
        """Record how a job ended; for a queued job, only its counts, because the queue's worker records its end."""
        with self._database.writing() as catalog:
            if job_id == _job_of_the_queue():
                catalog.jobs.update(job_id, counts)
                return
            catalog.jobs.end(job_id, state, message, counts)

    def newest(self, limit: int = 100, before: int | None = None) -> list[Job]:
        """Return jobs, newest first, without their failures.

        Args:
            limit: Maximum number.
            before: Only jobs with a lower id, e.g. that of the last one on the previous page.
        """
        with self._database.reading() as catalog:
            return [self._as_it_is(job) for job in catalog.jobs.newest(limit, before)]

    def get(self, job_id: int) -> Job:
        """Return a job with its failures.

        Raises:
            NotFoundError: There is no job with this id.
        """
        with self._database.reading() as catalog:
            job = catalog.jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"job {job_id}: this archive has no such job; run: bandsight jobs")
        return self._as_it_is(job)

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, time) of the scenes that could not be indexed in any job."""
        with self._database.reading() as catalog:
            return catalog.failures()

    def _as_it_is(self, job: Job) -> Job:
        """Return a job, as failed if it is recorded as running but its process is gone."""
        may_be_dead = job.state == "running" and not job.queued
        return replace(job, state="failed", message=DIED) if may_be_dead and self._is_dead(job) else job

    def _is_dead(self, job: Job) -> bool:
        if datetime.now(UTC) - job.updated > _SILENT:
            return True
        if job.host != socket.gethostname():
            return False
        # Where jobs share the archive, none of them is its one writer.
        return not _exists(job.pid) or (not self._database.shared and writing_process(self._folder) != job.pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # The process belongs to another user.
        return True
    return True


def _job_of_the_queue() -> int | None:
    found = os.environ.get(JOB_VARIABLE, "")
    return int(found) if found.isdecimal() else None
