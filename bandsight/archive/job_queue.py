"""A persistent job queue in the catalog; one process at a time works on it."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bandsight.catalog.jobs import Counts, Job, State
from bandsight.catalog.port import CatalogDatabase
from bandsight.errors import BusyError, NotFoundError, QueryError

MAX_WAITING = 1000
"""Maximum number of waiting jobs."""
MAX_ATTEMPTS = 3
"""How often a job is started, so that one that crashes its process is not retried forever."""
_LOCK_FILE, _RESULTS = "jobs.lock", "results"
_KEPT = 1000


class JobQueue:
    """Any process may add and dismiss jobs; the one that holds the lock runs them one after another."""

    def __init__(self, folder: Path, database: CatalogDatabase) -> None:
        """Open the queue in a catalog.

        Args:
            folder: The archive's folder; jobs write their files to `results/` in it.
            database: The catalog.
        """
        self._folder, self._database = folder, database

    def lock(self) -> FileLock | None:
        """Acquire the worker's lock and return it, or None if another process holds it."""
        lock = FileLock(self._folder / _LOCK_FILE)
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return lock
        return None

    def folder_of(self, job_id: int) -> Path:
        """Return the folder for a job's files; it may not exist yet."""
        return self._folder / _RESULTS / str(job_id)

    def add(self, kind: str, sources: Sequence[str], inputs: Mapping[str, Any]) -> int:
        """Add a job and return its id.

        Raises:
            BusyError: Too many jobs are waiting.
        """
        with self._database.writing() as catalog:
            if catalog.jobs.waiting() >= MAX_WAITING:
                raise BusyError(f"jobs: {MAX_WAITING:,} are already waiting; dismiss some, or try again later")
            catalog.jobs.forget(_KEPT - 1)
            return catalog.jobs.enqueue(kind, sources, inputs)

    def take(self) -> int | None:
        """Start the oldest waiting job and return its id, or None if none is waiting."""
        with self._database.reading() as catalog:
            if not catalog.jobs.waiting():
                return None
        with self._database.writing() as catalog:
            return catalog.jobs.take()

    def recover(self) -> None:
        """Requeue jobs whose worker died, and delete files without a job; call it after acquiring the lock."""
        with self._database.writing() as catalog:
            for job_id in catalog.jobs.running():
                job = catalog.jobs.get(job_id)
                if job is not None and job.attempts >= MAX_ATTEMPTS:
                    message = f"the process that worked on it ended {job.attempts} times; see the server's log"
                    catalog.jobs.finish(job_id, "failed", message, None)
                else:
                    catalog.jobs.put_back(job_id, "begun again after its server ended")
        for place in (self._folder / _RESULTS).glob("[0-9]*"):
            with self._database.reading() as catalog:
                if catalog.jobs.get(int(place.name)) is None:
                    shutil.rmtree(place, ignore_errors=True)

    def put_back(self, job_id: int, message: str) -> None:
        """Requeue a running job."""
        with self._database.writing() as catalog:
            catalog.jobs.put_back(job_id, message)

    def beat(self, job_id: int) -> bool:
        """Record a heartbeat of a running job; return whether it should continue."""
        with self._database.writing() as catalog:
            return catalog.jobs.beat(job_id)

    def report(self, job_id: int, share: float) -> None:
        """Record how much of a running job is done, 0..1."""
        with self._database.writing() as catalog:
            catalog.jobs.update(job_id, Counts(share=share))

    def finish(self, job_id: int, state: State, message: str, results: Mapping[str, Any] | None = None) -> None:
        """Record how a job ended, unless it has been dismissed."""
        with self._database.writing() as catalog:
            catalog.jobs.finish(job_id, state, message, results)

    def dismiss(self, job_id: int) -> Job:
        """Remove a waiting job, stop a running one, or delete a finished one with its files; return it as dismissed.

        Raises:
            NotFoundError: There is no job with this id.
            QueryError: The job is running but was not queued.
        """
        with self._database.writing() as catalog:
            job = catalog.jobs.get(job_id)
            if job is None:
                raise NotFoundError(f"job {job_id}: this archive has no such job; see GET /jobs")
            if not job.queued and job.state == "running":
                raise QueryError(f"job {job_id}: runs in a shell (process {job.pid} on {job.host}); stop it there")
            catalog.jobs.dismiss(job_id)
            dismissed = catalog.jobs.get(job_id)
            if job.state not in {"accepted", "running"}:
                catalog.jobs.delete(job_id)
                shutil.rmtree(self.folder_of(job_id), ignore_errors=True)
        assert dismissed is not None
        return dismissed
