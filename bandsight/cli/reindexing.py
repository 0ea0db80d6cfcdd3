"""The command that reindexes an archive with another model."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.executors import (
    ExecutorName,
    ExecutorOption,
    RayAddressOption,
    RayCpusOption,
    RayWorkersOption,
    ray_executor,
)
from bandsight.cli.loading import say
from bandsight.cli.options import ArchiveOption, DeviceOption, OtherModelOption, ProfilesOption


@app.command()
def reindex(
    archive: ArchiveOption,
    model: OtherModelOption,
    device: DeviceOption = "auto",
    tile_px: Annotated[
        int | None, typer.Option("--tile-px", min=8, max=4096, help="Side of a tile in pixels; default: unchanged.")
    ] = None,
    drop_failed: Annotated[
        bool,
        typer.Option("--drop-failed", help="Continue without scenes that fail."),
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Tiles per forward pass.")] = 64,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Number of reader processes.")] = 2,
    time_limit: Annotated[
        float,
        typer.Option("--time-limit", min=1, help="Time limit in seconds to open a scene, or to read a batch of tiles."),
    ] = 120.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
    log: Annotated[
        Path | None, typer.Option("--log", help="Append events to this file as JSON lines; - is stderr.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    profiles: ProfilesOption = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    ray_address: RayAddressOption = "auto",
    ray_workers: RayWorkersOption = None,
    ray_cpus: RayCpusOption = 2.0,
) -> None:
    """Reindex all scenes with another model; searches use the old vectors until the job completes."""
    from bandsight.archive import ArchiveWriter
    from bandsight.search.recall_queries import sentences
    from bandsight.sensors.profile import load_profiles
    from indexer.console import console_progress
    from indexer.gpu import unused_gpu
    from indexer.reindex import reindex as run

    known = load_profiles(profiles)
    with ArchiveWriter.open(archive) as opened, console_progress(quiet=quiet, log=log) as progress:
        encoder = opening.load(model, device)
        say(f"model {encoder.name} ({encoder.license}) on {encoder.device}")
        if warning := unused_gpu(str(encoder.device)):
            say(warning)
        how: dict[str, Any] = {"batch_size": batch_size, "time_limit_s": time_limit}
        if executor is ExecutorName.RAY:
            setup: Any = {"readers": workers, "source": model, "device": device, "digest": encoder.digest, **how}
            how["executor"] = ray_executor(ray_address, ray_workers, ray_cpus, progress=progress, **setup)
        summary, swapped = run(
            opened,
            encoder,
            tile_px=tile_px,
            drop_failed=drop_failed,
            sentences=sentences(),
            profiles=known,
            workers=workers,
            isolate=True,
            progress=progress,
            **how,
        )
        served = opened.model.name
    typer.echo(json.dumps({**summary.as_dict(), "model": served}, indent=1) if as_json else summary.text())
    if not swapped:
        say(
            f"not switched: {served} is still in use; fix these scenes and run the command again, or pass --drop-failed"
        )
        raise typer.Exit(1)
    say(f"{archive}: model {served}")
