"""The log of jobs, and whether a job that is recorded as running still runs."""

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

# Older jobs are forgotten; a folder that is watched makes many.
_KEPT = 1000
# A job on another machine updates its row every few seconds, except while it commits a very large scene.
_SILENT = timedelta(minutes=10)

JOB_VARIABLE = "BANDSIGHT_JOB"
"""Environment variable that tells a process the job of the queue that it works for."""


class JobLog:
    """The archive's writer writes jobs; anybody reads them."""

    def __init__(self, folder: Path, database: CatalogDatabase) -> None:
        """Read and write jobs in a catalog.

        Args:
            folder: The archive's folder, where its writer's lock is.
            database: The catalog.
        """
        self._folder, self._database = folder, database

    def begin(self, kind: str, sources: Sequence[str], counts: Counts) -> int:
        """Remember a job of this process and return its id.

        A process that works for the queue goes on with the queue's record.
        """
        own = _job_of_the_queue()
        with self._database.writing() as catalog:
            if own is not None:
                catalog.jobs.adopt(own, sources)
                return own
            catalog.jobs.forget(_KEPT - 1)
            return catalog.jobs.begin(kind, sources, counts)

    def update(self, job_id: int, counts: Counts) -> None:
        """Remember how far a job is."""
        with self._database.writing() as catalog:
            catalog.jobs.update(job_id, counts)

    def end(self, job_id: int, state: State, message: str, counts: Counts) -> None:
        """Remember how a job ended; that of the queue is ended by whoever runs the queue."""
        with self._database.writing() as catalog:
            if job_id == _job_of_the_queue():
                catalog.jobs.update(job_id, counts)
                return
            catalog.jobs.end(job_id, state, message, counts)

    def newest(self, limit: int = 100, before: int | None = None) -> list[Job]:
        """Return jobs, newest first, without their failures.

        Args:
            limit: At most so many.
            before: Only those with a lower id: the id of the last one on the previous page.
        """
        with self._database.reading() as catalog:
            return [self._as_it_is(job) for job in catalog.jobs.newest(limit, before)]

    def get(self, job_id: int) -> Job:
        """Return a job with its failures.

        Raises:
            NotFoundError: There is none of this id.
        """
        with self._database.reading() as catalog:
            job = catalog.jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"job {job_id}: this archive has no such job; run: bandsight jobs")
        return self._as_it_is(job)

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, when) of the scenes that could not be indexed, in any job."""
        with self._database.reading() as catalog:
            return catalog.failures()

    def _as_it_is(self, job: Job) -> Job:
        """Return a job as failed when it is recorded as running but does not run."""
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
        # It is another user's.
        return True
    return True


def _job_of_the_queue() -> int | None:
    found = os.environ.get(JOB_VARIABLE, "")
    return int(found) if found.isdecimal() else None
