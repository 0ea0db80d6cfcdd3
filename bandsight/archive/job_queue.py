"""A queue of jobs in the catalog, which survives restarts; one process at a time works on it."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bandsight.catalog.jobs import Job, State
from bandsight.catalog.port import CatalogDatabase
from bandsight.errors import BusyError, NotFoundError, QueryError

MAX_WAITING = 1000
"""Most jobs that wait."""
MAX_ATTEMPTS = 3
"""How often a job is begun: one that ends its process each time would go on for ever."""
_LOCK_FILE, _RESULTS = "jobs.lock", "results"
_KEPT = 1000


class JobQueue:
    """Any process adds and dismisses jobs; the one that holds the lock takes them, one after the other."""

    def __init__(self, folder: Path, database: CatalogDatabase) -> None:
        """Keep jobs in a catalog.

        Args:
            folder: The archive's folder, where files that jobs make lie in `results/`.
            database: The catalog.
        """
        self._folder, self._database = folder, database

    def lock(self) -> FileLock | None:
        """Take the lock of the one that works on the queue; None when another process has it."""
        lock = FileLock(self._folder / _LOCK_FILE)
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return lock
        return None

    def folder_of(self, job_id: int) -> Path:
        """Return the folder of the files that a job makes; it need not exist."""
        return self._folder / _RESULTS / str(job_id)

    def add(self, kind: str, sources: Sequence[str], inputs: Mapping[str, Any]) -> int:
        """Add a job and return its id.

        Raises:
            BusyError: Too many wait.
        """
        with self._database.writing() as catalog:
            if catalog.jobs.waiting() >= MAX_WAITING:
                raise BusyError(f"jobs: {MAX_WAITING:,} are already waiting; dismiss some, or try again later")
            catalog.jobs.forget(_KEPT - 1)
            return catalog.jobs.enqueue(kind, sources, inputs)

    def take(self) -> int | None:
        """Begin the oldest job that waits and return its id, None when none waits."""
        with self._database.reading() as catalog:
            if not catalog.jobs.waiting():
                return None
        with self._database.writing() as catalog:
            return catalog.jobs.take()

    def recover(self) -> None:
        """Let jobs wait again whose worker died, for whoever has just taken the lock; delete what no job owns."""
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
        """Let a job that runs wait again."""
        with self._database.writing() as catalog:
            catalog.jobs.put_back(job_id, message)

    def beat(self, job_id: int) -> bool:
        """Record that a job still runs; return whether it should go on."""
        with self._database.writing() as catalog:
            return catalog.jobs.beat(job_id)

    def finish(self, job_id: int, state: State, message: str, results: Mapping[str, Any] | None = None) -> None:
        """Record how a job ended, unless it was dismissed meanwhile."""
        with self._database.writing() as catalog:
            catalog.jobs.finish(job_id, state, message, results)

    def dismiss(self, job_id: int) -> Job:
        """Take a job out of the queue, stop it, or delete one that is over with its files; return it as dismissed.

        Raises:
            NotFoundError: There is none of this id.
            QueryError: It is not one of the queue and still runs.
        """
        with self._database.writing() as catalog:
            job = catalog.jobs.get(job_id)
            if job is None:
                raise NotFoundError(f"job {job_id}: this archive has no such job; see GET /jobs")
            if not job.queued and job.state == "running":
                raise QueryError(f"job {job_id}: runs in a shell (process {job.pid} on {job.host}); end it there")
            catalog.jobs.dismiss(job_id)
            dismissed = catalog.jobs.get(job_id)
            if job.state not in {"accepted", "running"}:
                catalog.jobs.delete(job_id)
                shutil.rmtree(self.folder_of(job_id), ignore_errors=True)
        assert dismissed is not None
        return dismissed
