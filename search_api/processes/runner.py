"""Runs queued jobs one at a time, each in a child process that ends with this one."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandsight.archive import Archive
from bandsight.archive.job_log import JOB_VARIABLE
from bandsight.archive.lock import WAIT_VARIABLE
from bandsight.catalog.jobs import Job, State
from bandsight.errors import BandsightError
from bandsight.progress import FILE_VARIABLE
from search_api.processes.definitions import process_named
from search_api.processes.sources import check_sources
from search_api.settings import ApiSettings

if TYPE_CHECKING:
    from filelock import FileLock

    from bandsight.archive.job_queue import JobQueue

# Polling interval for new and dismissed jobs.
_LOOK_S = 1.0
# The process exits when its standard input is closed, and kills itself after 20 s.
_GRACE_S = 30.0
# Maximum wait for another process that writes to the archive.
_WAIT_S = 3600
_STDOUT, _STDERR, _PROGRESS = ".stdout", ".stderr", ".progress"
# Maximum size of a command's output that is kept as a result.
_MOST_BYTES = 1 << 20
_MOST_CHARS = 1000
_log = logging.getLogger(__name__)


class Runner:
    """A thread that runs queued jobs while no other process works on the same queue."""

    def __init__(self, archive: Archive, settings: ApiSettings) -> None:
        """Initialize.

        Args:
            archive: Archive with the queue.
            settings: Server settings: archive, device, and the roots that jobs may read from.
        """
        self._queue: JobQueue = archive.job_queue
        self._archive, self._settings = archive, settings
        self._over, self._due = threading.Event(), threading.Event()
        self._lock: FileLock | None = None
        self._thread = threading.Thread(target=self._work, name="bandsight-jobs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def look(self) -> None:
        """Check the queue now, because a job was added or dismissed."""
        self._due.set()

    def close(self) -> None:
        """Stop the thread. A running job is stopped and returned to the queue."""
        self._over.set()
        self._due.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until the thread ends, which it only does after `close`."""
        self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            # Retry if the catalog is busy, missing or full.
            try:
                while not self._over.is_set() and self._locked() and (job_id := self._queue.take()) is not None:
                    self._run(self._archive.jobs.get(job_id))
            except BandsightError as error:
                _log.warning("jobs: %s", error)
            self._due.wait(_LOOK_S)
            self._due.clear()
        if self._lock is not None:
            self._lock.release()

    def _locked(self) -> bool:
        if self._lock is None:
            self._lock = self._queue.lock()
            if self._lock is not None:
                self._queue.recover()
        return self._lock is not None

    def _run(self, job: Job) -> None:
        folder = self._queue.folder_of(job.id)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            process = process_named(job.kind)
            given = process.validated(dict(job.inputs or {}))
            # Roots may have changed since the job was accepted.
            check_sources(process.sources(given), self._settings.source_roots)
            command = process.command(given, folder)
        except BandsightError as error:
            self._end(job, "failed", str(error))
            return
        except OSError as error:
            self._end(job, "failed", f"{folder}: cannot be written ({error.strerror})")
            return
        _log.info("job %d: bandsight %s", job.id, " ".join(command))
        code = self._watched(job, command, folder)
        if code is None:
            return
        printed, last = _read(folder / _STDOUT), _last_line(folder / _STDERR)
        summary = _as_json(printed)
        if code == 0 or (job.kind == "index" and "failed" in summary):
            failed = len(summary["failed"]) if job.kind == "index" else 0
            self._end(job, "successful", _scenes_failed(failed), {"summary": summary, "files": _files(folder)})
        else:
            self._end(job, "failed", self._without_paths(last, folder) or f"exited with code {code}")

    def _without_paths(self, message: str, folder: Path) -> str:
        """Return a message without the server's own paths, which are nobody else's business."""
        for path, name in ((folder, "the job's folder"), (self._archive.path, "archive")):
            message = message.replace(f"{path.absolute()}/", f"{name}/").replace(str(path.absolute()), name)
            message = message.replace(str(path), name)
        return message

    def _watched(self, job: Job, command: list[str], folder: Path) -> int | None:
        """Run a command. Returns its exit code, or None if it was stopped."""
        with (folder / _STDOUT).open("wb") as out, (folder / _STDERR).open("wb") as errors:
            # Options are checked against schemas, and all else comes after `--`.
            child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "bandsight.cli.job_process", *command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=errors,
                env=self._environment(job, folder),
            )
        stopped, last = False, ""
        while (code := _wait(child)) is None and not stopped:
            if self._over.is_set():
                self._queue.put_back(job.id, "restarted after its server stopped")
                stopped = True
            else:
                with suppress(BandsightError):
                    stopped = not self._queue.beat(job.id)
                    last = self._report(job, folder, last)
        assert child.stdin is not None
        child.stdin.close()
        if not stopped:
            return code
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def _report(self, job: Job, folder: Path, last: str) -> str:
        """Record the progress that a command has reported; jobs that count tiles record it themselves."""
        with suppress(OSError, ValueError):
            found = (folder / _PROGRESS).read_text(encoding="ascii")
            if found != last:
                self._queue.report(job.id, float(found))
                return found
        return last

    def _environment(self, job: Job, folder: Path) -> dict[str, str]:
        """Return the environment of a command: the server's without its key, plus settings from its arguments."""
        settings = self._settings
        own = {name: value for name, value in os.environ.items() if name != "BANDSIGHT_KEY"}
        own |= {"BANDSIGHT_ARCHIVE": str(settings.archive), "BANDSIGHT_DEVICE": settings.device}
        if settings.model is not None:
            own["BANDSIGHT_MODEL"] = settings.model
        # Wait for the lock, because an indexer that watches a folder releases it between rounds.
        own.setdefault(WAIT_VARIABLE, str(_WAIT_S))
        return {**own, JOB_VARIABLE: str(job.id), FILE_VARIABLE: str(folder / _PROGRESS)}

    def _end(self, job: Job, state: State, message: str, results: dict[str, Any] | None = None) -> None:
        if state == "failed":
            _log.warning("job %d: %s", job.id, message)
            shutil.rmtree(self._queue.folder_of(job.id), ignore_errors=True)
        while True:
            try:
                self._queue.finish(job.id, state, message, results)
            except BandsightError as error:
                if self._over.is_set():
                    return
                _log.warning("job %d: its outcome cannot be recorded yet (%s)", job.id, error)
                time.sleep(_LOOK_S)
            else:
                return


def _wait(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(_LOOK_S)
    except subprocess.TimeoutExpired:
        return None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")


def _last_line(path: Path) -> str:
    """Return the last line of a command's standard error."""
    lines = [line for line in _read(path).splitlines() if line.strip()]
    return lines[-1].removeprefix("bandsight: ")[:_MOST_CHARS] if lines else ""


def _as_json(printed: str) -> dict[str, Any]:
    try:
        found = json.loads(printed)
    except ValueError:
        return {"text": printed}
    return found if isinstance(found, dict) else {"value": found}


def _files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _scenes_failed(count: int) -> str:
    return "" if not count else "1 scene failed" if count == 1 else f"{count} scenes failed"
