"""The command that indexes scenes."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, ProfilesOption
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder
    from bandsight.model.light import LightEncoder
    from indexer.summary import Summary


@app.command()
def index(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Scenes: files, folders, globs, zips, lists, URLs, STAC files or stac:URL (docs/indexing.md)."
        ),
    ],
    archive: ArchiveOption,
    sensor: Annotated[str | None, typer.Option("--sensor", help="Sensor profile for scenes that match none.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --sensor override the profile that a scene matches.")
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Tiles per forward pass.")] = 64,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Number of reader processes; on Ray, of each worker.")
    ] = 2,
    min_valid: Annotated[
        float | None, typer.Option("--min-valid", min=0, max=1, help="Minimum valid share of a tile; default: 0.5.")
    ] = None,
    max_cloud: Annotated[
        float | None,
        typer.Option("--max-cloud", min=0, max=1, help="Maximum cloud share of a tile; default: 1."),
    ] = None,
    tile_px: Annotated[
        int | None,
        typer.Option("--tile-px", min=8, max=4096, help="Side of a tile in pixels; default: the model's input size."),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            "--overlap", min=0, max=0.9, help="Overlap of neighbouring tiles, as a share of the side; default: 0."
        ),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(
            "--scales",
            help="Native pixels per pixel of a tile, e.g. 1,4 for two sets of tiles; default: auto, by resolution.",
        ),
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option(
            "--cells",
            min=0,
            max=8,
            help="Also embed N × N parts of each tile, for search --by-cell; default: 0.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate the work; write nothing.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first scene that fails.")] = False,
    watch: Annotated[
        float | None, typer.Option("--watch", min=1, help="Check for new scenes every so many seconds, until Ctrl-C.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
    log: Annotated[
        Path | None, typer.Option("--log", help="Append events to this file as JSON lines; - is stderr.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary, or the estimate, as JSON.")] = False,
    time_limit: Annotated[
        float,
        typer.Option("--time-limit", min=1, help="Time limit in seconds to open a scene, or to read a batch of tiles."),
    ] = 120.0,
    profiles: ProfilesOption = None,
    collections: Annotated[
        str | None, typer.Option("--collections", help="For stac:URL: only these collections, separated by commas.")
    ] = None,
    bbox: Annotated[
        str | None, typer.Option("--bbox", help="For stac:URL: area as west,south,east,north in degrees.")
    ] = None,
    when: Annotated[str | None, typer.Option("--datetime", help="For stac:URL: date or interval.")] = None,
    max_items: Annotated[
        int | None, typer.Option("--max-items", min=1, help="For stac:URL: maximum number of items.")
    ] = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    ray_address: RayAddressOption = "auto",
    ray_workers: RayWorkersOption = None,
    ray_cpus: RayCpusOption = 2.0,
) -> None:
    """Index scenes into an archive. Run it again to add only what is new or has changed."""
    from bandsight.archive import ArchiveWriter, archive_exists
    from bandsight.atlas.atlas import extend_kept
    from bandsight.model.deferred import DeferredEncoder
    from bandsight.sensors.profile import load_profiles, profile_named
    from indexer.console import console_progress
    from indexer.estimate import estimate
    from indexer.pipeline import index as run
    from indexer.sources import check_inputs
    from indexer.stac_query import StacQuery
    from indexer.tiling import Tiling
    from indexer.watch import watch as again_and_again

    check_inputs(paths)
    levels = None if scales in {None, "auto"} else _whole_numbers(str(scales), "--scales")
    known = load_profiles(profiles)
    if sensor:
        # Report an unknown profile now, not once per scene.
        profile_named(sensor, known)
    query = StacQuery(
        collections=tuple(name.strip() for name in (collections or "").split(",") if name.strip()),
        bbox=_corners(bbox),
        datetime=when,
        max_items=max_items,
    )
    exists = archive_exists(archive)
    source = model or (opening.stored_model(archive) if exists else "embedded")
    encoder = DeferredEncoder(source, lambda: _loaded(source, device))
    on_ray = executor is ExecutorName.RAY
    if not exists and not on_ray:
        # All scenes are new, and an archive of a model that cannot be loaded is of no use.
        encoder.load()
    given = {"tile_px": tile_px, "scales": levels, "overlap": overlap, "min_valid": min_valid, "max_cloud": max_cloud}
    given["cells"] = cells
    chosen: Any = {name: value for name, value in given.items() if value is not None}
    # Without options, scenes keep the tiling they were indexed with.
    tiling = Tiling.of_model(encoder, **chosen) if chosen or scales == "auto" else None
    what: Any = {
        "model": encoder,
        "sensor": sensor,
        "force": force,
        "profiles": known,
        "query": query,
        "batch_size": batch_size,
    }
    what |= {"isolate": True, "time_limit_s": time_limit}
    if dry_run:
        with opening.open_archive(archive) if exists else nullcontext() as there:
            whole = tiling or Tiling.of_model(encoder)
            expected = estimate(paths, archive=there, tiling=whole, remember=tiling is None, **what)
        typer.echo(json.dumps(expected.as_dict(), indent=1) if as_json else expected.text())
        return
    how: Any = {"tiling": tiling, "workers": workers, **what}
    with console_progress(quiet=quiet, log=log) as progress:
        if on_ray:
            setup: Any = {"readers": workers, "batch_size": batch_size, "time_limit_s": time_limit}
            setup |= {"source": source, "device": device, "digest": encoder.digest, "progress": progress}
            how["executor"] = ray_executor(ray_address, ray_workers, ray_cpus, **setup)

        def once(failed: set[str]) -> "Summary":
            # Between two rounds, others may write: compact, optimize, remove.
            with ArchiveWriter.open_or_create(archive, opening.identity(encoder), alone=False) as opened:
                done = run(paths, archive=opened, fail_fast=fail_fast, known_failures=failed, progress=progress, **how)
                if done.scenes:
                    extend_kept(opened)
                return done

        summary = again_and_again(once, typer.echo, watch) if watch is not None else once(set())
    typer.echo(json.dumps(summary.as_dict(), indent=1) if as_json else summary.text())
    if summary.failed:
        raise typer.Exit(1)


def _loaded(source: str, device: str) -> "ClipEncoder | LightEncoder":
    """Load a model, and print its name and device."""
    from indexer.gpu import unused_gpu

    encoder = opening.load(source, device)
    say(f"model {encoder.name} ({encoder.license}) on {encoder.device}")
    if warning := unused_gpu(str(encoder.device)):
        say(warning)
    return encoder


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise QueryError(f"{option} {text}: need whole numbers separated by commas, e.g. 1,4") from error
    if min(numbers) < 1:
        raise QueryError(f"{option} {text}: need numbers of at least 1, e.g. 1,4")
    return numbers


def _corners(bbox: str | None) -> tuple[float, float, float, float] | None:
    from bandsight.geo.box import LonLatBox

    box = LonLatBox.from_text(bbox) if bbox else None
    return (box.west, box.south, box.east, box.north) if box else None
