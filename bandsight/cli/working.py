"""The command that works on queued jobs."""

import signal
from typing import Annotated

import typer

from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption


@app.command()
def work(
    archive: ArchiveOption,
    source_root: Annotated[
        list[str] | None,
        typer.Option("--source-root", help="Folder or URL from which jobs may read; default: BANDSIGHT_SOURCE_ROOTS."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Run the jobs that a server with BANDSIGHT_RUN_JOBS=false accepts, until Ctrl-C."""
    from bandsight.archive import Archive
    from search_api.processes.runner import Runner
    from search_api.settings import ApiSettings

    settings = ApiSettings(archive=archive, model=model, device=device)
    if source_root:
        settings.source_roots = tuple(source_root)
    with Archive.open(archive) as opened:
        runner = Runner(opened, settings)
        # Like Ctrl-C: the running job stops, and the next worker continues it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        runner.start()
        say(f"working on the jobs of {archive}")
        try:
            runner.wait()
        finally:
            runner.close()
