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
    from bandsight.model.protocol import BatchEncoder
    from bandsight.sensors.profile import Profile
    from indexer.estimate import Estimate
    from indexer.stac_query import StacQuery
    from indexer.summary import Summary
    from indexer.tiling import Tiling

ScenesArgument = Annotated[
    list[str],
    typer.Argument(help="Scenes: files, folders, globs, zips, lists, URLs, STAC files or stac:URL (docs/indexing.md)."),
]
FallbackSensorOption = Annotated[
    str | None, typer.Option("--sensor", help="Sensor profile for scenes that match none.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Let --sensor override the profile that a scene matches.")]
BatchSizeOption = Annotated[int, typer.Option("--batch-size", min=1, help="Tiles per forward pass.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Number of reader processes; on Ray, of each worker.")
]
MinValidOption = Annotated[
    float | None, typer.Option("--min-valid", min=0, max=1, help="Minimum valid share of a tile; default: 0.5.")
]
MaxTileCloudOption = Annotated[
    float | None,
    typer.Option("--max-cloud", min=0, max=1, help="Maximum cloud share of a tile; default: 1."),
]
TilePxOption = Annotated[
    int | None,
    typer.Option("--tile-px", min=8, max=4096, help="Side of a tile in pixels; default: the model's input size."),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(
        "--overlap", min=0, max=0.9, help="Overlap of neighbouring tiles, as a share of the side; default: 0."
    ),
]
ScalesOption = Annotated[
    str | None,
    typer.Option(
        "--scales",
        help="Native pixels per pixel of a tile, e.g. 1,4 for two sets of tiles; default: auto, by resolution.",
    ),
]
CellsOption = Annotated[
    int | None,
    typer.Option(
        "--cells",
        min=0,
        max=8,
        help="Also embed N × N cells of each tile, for search --by-cell; default: 0.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only estimate the work; write nothing.")]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first scene that fails.")]
WatchOption = Annotated[
    float | None, typer.Option("--watch", min=1, help="Check for new scenes every so many seconds, until Ctrl-C.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")]
LogOption = Annotated[Path | None, typer.Option("--log", help="Append events to this file as JSON lines; - is stderr.")]
SummaryJsonOption = Annotated[bool, typer.Option("--json", help="Print the summary, or the estimate, as JSON.")]
TimeLimitOption = Annotated[
    float,
    typer.Option("--time-limit", min=1, help="Time limit in seconds to open a scene, or to read a batch of tiles."),
]
StacCollectionsOption = Annotated[
    str | None, typer.Option("--collections", help="For stac:URL: only these collections, separated by commas.")
]
StacBboxOption = Annotated[
    str | None, typer.Option("--bbox", help="For stac:URL: area as west,south,east,north in degrees.")
]
StacDatetimeOption = Annotated[str | None, typer.Option("--datetime", help="For stac:URL: date or interval.")]
StacMaxItemsOption = Annotated[
    int | None, typer.Option("--max-items", min=1, help="For stac:URL: maximum number of items.")
]


@app.command()
def index(
    paths: ScenesArgument,
    archive: ArchiveOption,
    sensor: FallbackSensorOption = None,
    force: ForceOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = 2,
    min_valid: MinValidOption = None,
    max_cloud: MaxTileCloudOption = None,
    tile_px: TilePxOption = None,
    overlap: OverlapOption = None,
    scales: ScalesOption = None,
    cells: CellsOption = None,
    dry_run: DryRunOption = False,
    fail_fast: FailFastOption = False,
    watch: WatchOption = None,
    quiet: QuietOption = False,
    log: LogOption = None,
    as_json: SummaryJsonOption = False,
    time_limit: TimeLimitOption = 120.0,
    profiles: ProfilesOption = None,
    collections: StacCollectionsOption = None,
    bbox: StacBboxOption = None,
    when: StacDatetimeOption = None,
    max_items: StacMaxItemsOption = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    ray_address: RayAddressOption = "auto",
    ray_workers: RayWorkersOption = None,
    ray_cpus: RayCpusOption = 2.0,
) -> None:
    """Index scenes into an archive. Run it again to add only what is new or has changed."""
    from bandsight.archive import archive_exists
    from bandsight.model.deferred import DeferredEncoder
    from indexer.console import console_progress
    from indexer.sources import check_inputs

    check_inputs(paths)
    exists = archive_exists(archive)
    source = model or (opening.stored_model(archive) if exists else "embedded")
    encoder = DeferredEncoder(source, lambda: _loaded(source, device))
    tiling = _tiling(
        encoder, scales, tile_px=tile_px, overlap=overlap, min_valid=min_valid, max_cloud=max_cloud, cells=cells
    )
    how: Any = {"batch_size": batch_size, "time_limit_s": time_limit}
    what: Any = {"model": encoder, "sensor": sensor, "force": force, "profiles": _profiles(profiles, sensor)}
    what |= {"query": _stac_query(collections, bbox, when, max_items), "isolate": True, **how}
    if not exists and executor is not ExecutorName.RAY:
        # All scenes are new, and an archive of a model that cannot be loaded is of no use.
        encoder.load()
    if dry_run:
        _print(_estimate(paths, archive if exists else None, tiling, what), as_json=as_json)
        return
    with console_progress(quiet=quiet, log=log) as progress:
        if executor is ExecutorName.RAY:
            setup: Any = {"source": source, "device": device, "digest": encoder.digest, "progress": progress}
            what["executor"] = ray_executor(ray_address, ray_workers, ray_cpus, readers=workers, **setup, **how)
        what |= {"tiling": tiling, "workers": workers, "fail_fast": fail_fast, "progress": progress}
        summary = _index(paths, archive, watch, what)
    _print(summary, as_json=as_json)
    if summary.failed:
        raise typer.Exit(1)


def _profiles(folder: Path | None, sensor: str | None) -> "tuple[Profile, ...]":
    """Return the sensor profiles, and check that one of them has the name of a sensor, once instead of per scene."""
    from bandsight.sensors.profile import load_profiles, profile_named

    known = load_profiles(folder)
    if sensor:
        profile_named(sensor, known)
    return known


def _stac_query(collections: str | None, bbox: str | None, when: str | None, max_items: int | None) -> "StacQuery":
    from indexer.stac_query import StacQuery

    names = tuple(name.strip() for name in (collections or "").split(",") if name.strip())
    return StacQuery(collections=names, bbox=_corners(bbox), datetime=when, max_items=max_items)


def _tiling(encoder: "BatchEncoder", scales: str | None, **given: Any) -> "Tiling | None":
    """Return the tiling of the options; None without options, so that scenes keep the tiling they were indexed with."""
    from indexer.tiling import Tiling

    chosen: Any = {name: value for name, value in given.items() if value is not None}
    if scales not in {None, "auto"}:
        chosen["scales"] = _whole_numbers(str(scales), "--scales")
    return Tiling.of_model(encoder, **chosen) if chosen or scales == "auto" else None


def _estimate(paths: list[str], archive: str | None, tiling: "Tiling | None", what: Any) -> "Estimate":
    """Estimate the work of a job; `archive` is None if there is none yet."""
    from indexer.estimate import estimate
    from indexer.tiling import Tiling

    with nullcontext() if archive is None else opening.open_archive(archive) as opened:
        whole = tiling or Tiling.of_model(what["model"])
        return estimate(paths, archive=opened, tiling=whole, remember=tiling is None, **what)


def _index(paths: list[str], archive: str, every_s: float | None, what: Any) -> "Summary":
    """Index once, or every so many seconds until Ctrl-C."""
    from bandsight.archive import ArchiveWriter
    from bandsight.atlas.atlas import extend_kept
    from indexer.pipeline import index
    from indexer.watch import watch

    def once(failed: set[str]) -> "Summary":
        # Between two rounds, others may write: compact, optimize, remove.
        with ArchiveWriter.open_or_create(archive, opening.identity(what["model"]), alone=False) as opened:
            done = index(paths, archive=opened, known_failures=failed, **what)
            if done.scenes:
                extend_kept(opened)
            return done

    return once(set()) if every_s is None else watch(once, typer.echo, every_s)


def _print(result: "Estimate | Summary", *, as_json: bool) -> None:
    typer.echo(json.dumps(result.as_dict(), indent=1) if as_json else result.text())


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
