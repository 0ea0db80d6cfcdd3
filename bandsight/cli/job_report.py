"""Formats jobs as text."""

from collections.abc import Sequence
from datetime import datetime

from bandsight.catalog.jobs import Job

_SECONDS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def job_table(jobs: Sequence[Job]) -> str:
    """Return jobs as an aligned table."""
    if not jobs:
        return "no jobs yet"
    rows = [("job", "kind", "state", "started", "took", "scenes", "failed", "tiles", "tiles/s", "left")]
    for job in jobs:
        counts = job.counts
        running = job.state == "running"
        rows.append(
            (
                str(job.id),
                job.kind,
                job.state,
                job.started.strftime("%Y-%m-%d %H:%M"),
                _took(job),
                f"{counts.added + counts.skipped}/{counts.scenes}",
                str(counts.failed),
                str(counts.tiles_added),
                f"{counts.tiles_per_s:.0f}",
                _length(counts.remaining_s) if running and counts.remaining_s is not None else "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines + [f"job {job.id}: {job.message}" for job in jobs if job.state == "failed"])


def job_text(job: Job) -> str:
    """Return the details of a job."""
    counts = job.counts
    lines = [
        f"job {job.id} ({job.kind}): {job.state}" + (f", {job.message}" if job.message else ""),
        f"started {_at(job.started)} on {job.host} as process {job.pid}"
        + (f", ended {_at(job.finished)}" if job.finished else f", last update {_at(job.updated)}"),
        f"sources: {', '.join(job.sources)}",
        f"scenes: {counts.added} added, {counts.skipped} already indexed, {counts.failed} failed, of {counts.scenes}",
        f"tiles: {counts.tiles} of about {counts.tiles_expected} done, {counts.tiles_added} added",
        f"speed: {counts.tiles_per_s:.1f} tiles/s, model busy {counts.model_busy:.0%}",
    ]
    if job.state == "running" and counts.remaining_s is not None:
        lines.append(f"about {_length(counts.remaining_s)} left")
    lines += [f"  {reason}" if scene in reason else f"  {scene}: {reason}" for scene, _, reason in job.failures]
    return "\n".join(lines)


def _at(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def _took(job: Job) -> str:
    return _length(((job.finished or job.updated) - job.started).total_seconds())


def _length(seconds: float) -> str:
    """Return a duration in the largest unit with a value of at least two, e.g. `95 s`, `3 h`."""
    size, unit = next((one for one in _SECONDS if seconds >= 2 * one[0]), _SECONDS[-1])
    return f"{seconds / size:.0f} {unit}"
