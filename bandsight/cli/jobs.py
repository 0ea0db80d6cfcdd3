"""The command that lists jobs."""

import json
from typing import Annotated

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption


@app.command()
def jobs(
    archive: ArchiveOption,
    job_id: Annotated[int | None, typer.Argument(help="Show only this job, with its failed scenes.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="Number of jobs, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List jobs with their progress and failed scenes, including running jobs."""
    from bandsight.cli.job_report import job_table, job_text

    with opening.open_archive(archive) as opened:
        if job_id is not None:
            job = opened.jobs.get(job_id)
            typer.echo(json.dumps(job.as_dict(), indent=1) if as_json else job_text(job))
            return
        found = opened.jobs.newest(last)
    typer.echo(json.dumps([job.as_dict() for job in found], indent=1) if as_json else job_table(found))
