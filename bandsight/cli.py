"""The command line: builds the objects each command needs and hands the work on."""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bandsight import __version__
from bandsight.errors import BandsightError, QueryError

if TYPE_CHECKING:
    from bandsight.archive import Archive
    from bandsight.ask import Answer
    from bandsight.filters import Filter
    from bandsight.model.clip import ClipEncoder
    from indexer.summary import Summary

app = typer.Typer(
    help="Find every place that looks like this, over satellite archives of any sensor.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

sensors = typer.Typer(help="List, show and match sensor profiles.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sensors, name="sensors")

ProfilesOption = Annotated[
    Path | None,
    typer.Option("--profiles", help="Folder of your own sensor profiles (TOML).", envvar="BANDSIGHT_PROFILES"),
]
ArchiveOption = Annotated[Path, typer.Option("--archive", "-a", help="Archive folder.", envvar="BANDSIGHT_ARCHIVE")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="embedded, hf-hub:OWNER/NAME or local-dir:PATH; default: the archive's own model. "
        "DOFA-CLIP weights (hf-hub:earthflow/...) are CC-BY-NC-4.0.",
        envvar="BANDSIGHT_MODEL",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", envvar="BANDSIGHT_DEVICE")]
BboxOption = Annotated[
    str | None, typer.Option("--bbox", help="west,south,east,north in degrees; west > east crosses 180°.")
]
DatetimeOption = Annotated[
    str | None,
    typer.Option("--datetime", help="Day or interval: 2020-05-01, 2020-01-01/2020-12-31, ../2015-01-01."),
]
CollectionOption = Annotated[list[str] | None, typer.Option("--collection", help="Only these; may be repeated.")]
SensorOption = Annotated[list[str] | None, typer.Option("--sensor", help="Only these; may be repeated.")]
TopOption = Annotated[int, typer.Option("--top", "-k", min=1, max=10_000, help="How many tiles.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print GeoJSON instead of a table.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Write the hits as GeoJSON here.")]
SheetOption = Annotated[Path | None, typer.Option("--sheet", help="Write a contact sheet (PNG) of the hits here.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def index(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Scenes: files, folders, globs, zips, lists, URLs, STAC files, stac:URL (docs/indexing.md)."
        ),
    ],
    archive: ArchiveOption,
    sensor: Annotated[str | None, typer.Option("--sensor", help="Sensor profile; default: matched.")] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Tiles per forward pass.")] = 64,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Reader threads.")] = 2,
    min_valid: Annotated[float, typer.Option("--min-valid", min=0, max=1, help="Least valid share of a tile.")] = 0.5,
    max_cloud: Annotated[
        float, typer.Option("--max-cloud", min=0, max=1, help="Largest cloud share of a tile, by the quality band.")
    ] = 1.0,
    tile_px: Annotated[
        int | None, typer.Option("--tile-px", min=8, max=4096, help="Side of a tile, pixels; default: the model's.")
    ] = None,
    overlap: Annotated[
        float, typer.Option("--overlap", min=0, max=0.9, help="Share of its side that a tile shares with the next.")
    ] = 0.0,
    scales: Annotated[
        str, typer.Option("--scales", help="Native pixels along one pixel of a tile, e.g. 1,4 for two sets of tiles.")
    ] = "1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much there is to do.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first scene that fails.")] = False,
    watch: Annotated[
        float | None, typer.Option("--watch", min=1, help="Look again every so many seconds, until Ctrl-C.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    log: Annotated[Path | None, typer.Option("--log", help="Append JSON lines of what happens; - is stderr.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1, help="Seconds for opening a scene, and for a row of its tiles.")
    ] = 120.0,
    profiles: ProfilesOption = None,
    collections: Annotated[
        str | None, typer.Option("--collections", help="For stac:URL: only these, separated by commas.")
    ] = None,
    bbox: Annotated[str | None, typer.Option("--bbox", help="For stac:URL: west,south,east,north in degrees.")] = None,
    when: Annotated[str | None, typer.Option("--datetime", help="For stac:URL: moment or interval.")] = None,
    max_items: Annotated[int | None, typer.Option("--max-items", min=1, help="For stac:URL: at most so many.")] = None,
) -> None:
    """Tile and embed scenes into an archive; running it again adds only what is new or changed."""
    from bandsight.archive import Archive
    from bandsight.sensors.profile import load_profiles
    from indexer.estimate import estimate
    from indexer.gpu import unused_gpu
    from indexer.pipeline import index as run
    from indexer.progress import console_progress
    from indexer.query import StacQuery
    from indexer.sources import check_inputs
    from indexer.tiling import Tiling
    from indexer.watch import watch as again_and_again

    check_inputs(paths)
    levels, known = _whole_numbers(scales, "--scales"), load_profiles(profiles)
    query = StacQuery(
        collections=tuple(name.strip() for name in (collections or "").split(",") if name.strip()),
        bbox=_corners(bbox),
        datetime=when,
        max_items=max_items,
    )
    exists = (archive / "catalog.sqlite").exists()
    encoder = _load(model or (_stored_model(archive) if exists else "embedded"), device)
    _say(f"model {encoder.name} ({encoder.license}) on {encoder.device}")
    if warning := unused_gpu(str(encoder.device)):
        _say(warning)
    tiling = Tiling(
        tile_px=tile_px or encoder.image_size, scales=levels, overlap=overlap, min_valid=min_valid, max_cloud=max_cloud
    )
    what: Any = {"model": encoder, "sensor": sensor, "profiles": known, "query": query, "batch_size": batch_size}
    if dry_run:
        with _open(archive) if exists else nullcontext() as there:
            typer.echo(estimate(paths, archive=there, tiling=tiling, **what).text())
        return
    how: Any = {"tiling": tiling, "workers": workers, "isolate": True, "time_limit_s": time_limit, **what}
    with (
        Archive.open_or_create(archive, _identity(encoder)) as opened,
        console_progress(quiet=quiet, log=log) as progress,
    ):

        def once(failed: set[str]) -> "Summary":
            return run(paths, archive=opened, fail_fast=fail_fast, known_failures=failed, progress=progress, **how)

        summary = again_and_again(once, typer.echo, watch) if watch is not None else once(set())
    typer.echo(json.dumps(summary.as_dict(), indent=1) if as_json else summary.text())
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def search(
    archive: ArchiveOption,
    text: Annotated[str | None, typer.Argument(help="What the place looks like.")] = None,
    image: Annotated[Path | None, typer.Option("--image", help="Search by this picture instead.")] = None,
    bbox: BboxOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    top: TopOption = 10,
    as_json: JsonOption = False,
    out: OutOption = None,
    sheet: SheetOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Rank tiles by a sentence or by a picture."""
    from bandsight.ask import by_image, by_text
    from bandsight.query_image import decode_query_image
    from bandsight.query_text import check_text

    if (text is None) == (image is None):
        raise QueryError("query: pass either a sentence or --image FILE")
    wanted = _filter(bbox, when, collection, sensor)
    sentence = check_text(text) if text is not None else None
    picture = decode_query_image(_read(image)) if image is not None else None
    with _open(archive) as opened:
        encoder = _load(model or opened.model.name, device)
        opened.check_model(_identity(encoder))
        if sentence is not None:
            answer = by_text(opened, encoder, sentence, top, wanted)
        else:
            pixels, wavelengths = picture or decode_query_image(b"")
            answer = by_image(opened, encoder, pixels, wavelengths, top, wanted)
        _answer(opened, answer, sentence or str(image), as_json=as_json, out=out, sheet=sheet)


@app.command()
def similar(
    archive: ArchiveOption,
    tile_id: Annotated[int | None, typer.Argument(help="A tile that search has found.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="lon,lat: the tile that covers this point instead.")] = None,
    bbox: BboxOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    top: TopOption = 10,
    as_json: JsonOption = False,
    out: OutOption = None,
    sheet: SheetOption = None,
) -> None:
    """Rank tiles by their likeness to one of the archive; needs no model."""
    from bandsight.ask import by_tile

    if (tile_id is None) == (at is None):
        raise QueryError("query: pass either a tile id or --at lon,lat")
    with _open(archive) as opened:
        chosen = _tile_at(opened, at) if tile_id is None and at is not None else tile_id
        assert chosen is not None
        answer = by_tile(opened, chosen, top, _filter(bbox, when, collection, sensor))
        _answer(opened, answer, f"similar to tile {chosen}", as_json=as_json, out=out, sheet=sheet)


@app.command()
def classify(
    archive: ArchiveOption,
    labels: Annotated[str, typer.Option("--labels", help="Classes, separated by commas.")],
    bbox: BboxOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Give every tile the label it fits best, with a probability for each label."""
    from bandsight.labels import check_labels, classify_tiles, summary

    names = check_labels([name.strip() for name in labels.split(",") if name.strip()])
    wanted = _filter(bbox, when, collection, sensor)
    with _open(archive) as opened:
        encoder = _load(model or opened.model.name, device)
        opened.check_model(_identity(encoder))
        rows = classify_tiles(opened, encoder, names, wanted)
    typer.echo(json.dumps(rows, indent=1) if as_json else summary(rows, names))


@app.command()
def evaluate(
    data: Annotated[list[Path], typer.Argument(help="Folders of class folders of images, or webdataset tars.")],
    model: Annotated[
        str, typer.Option("--model", help="embedded, hf-hub:OWNER/NAME or local-dir:PATH.", envvar="BANDSIGHT_MODEL")
    ] = "embedded",
    device: DeviceOption = "auto",
    part: Annotated[
        str | None, typer.Option("--part", help="Only held-out, validation or train, by a hash of the names.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the data in that hash; default: its own.")] = None,
    wavelengths: Annotated[
        str | None, typer.Option("--wavelengths", help="Of TIFF bands, µm, e.g. 0.49,0.56,0.665,0.842.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write evaluation.json and evaluation.md here.")] = None,
) -> None:
    """Measure a model on labelled images: retrieval, zero-shot classes, bands, wordings, calibration."""
    from bandsight.evaluation.datasets import read_dataset
    from bandsight.evaluation.evaluate import evaluate as run
    from bandsight.evaluation.report import markdown

    try:
        waves = [float(value) for value in wavelengths.split(",")] if wavelengths else None
    except ValueError as error:
        raise QueryError(f"--wavelengths {wavelengths}: need numbers in µm separated by commas") from error
    sets = {path.stem: read_dataset(path, part, name, waves) for path in data}
    encoder = _load(model, device)
    _say(f"model {encoder.name} ({encoder.license}) on {encoder.device}")
    results = {title: run(encoder, images) for title, images in sets.items()}
    table = markdown(encoder.name, results)
    typer.echo(table)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        said = {"model": encoder.name, "model_digest": encoder.digest, "part": part, "results": results}
        (out / "evaluation.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        (out / "evaluation.md").write_text(table, encoding="utf-8")
        _say(f"figures: {out / 'evaluation.json'}, {out / 'evaluation.md'}")


@app.command()
def status(archive: ArchiveOption, as_json: JsonOption = False) -> None:
    """Say what an archive holds."""
    from bandsight.answers import status_text

    with _open(archive) as opened:
        stats = {**opened.stats(), "failed_scenes": [list(row) for row in opened.failures()]}
    if as_json:
        typer.echo(json.dumps(stats, indent=1, default=str))
        return
    typer.echo(status_text(stats))


@app.command()
def verify(
    archive: ArchiveOption,
    full: Annotated[bool, typer.Option("--full", help="Read every row and every vector.")] = False,
) -> None:
    """Check an archive's files against its catalog."""
    with _open(archive) as opened:
        problems = opened.verify(full=full)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo("no problem found")


@app.command()
def repair(archive: ArchiveOption) -> None:
    """Rebuild what is derived, set aside what is damaged, and name what is lost and to be indexed again."""
    from bandsight.archive import Archive

    for line in Archive.repair(archive) or ["nothing to repair"]:
        typer.echo(line)


@app.command()
def compact(archive: ArchiveOption) -> None:
    """Drop deleted vectors and write small vector files together; searches go on meanwhile."""
    from bandsight.archive import Archive

    with Archive.open(archive, write=True) as opened:
        for name, value in opened.compact().items():
            typer.echo(f"{name}: {value}")


@app.command()
def backup(
    archive: ArchiveOption, target: Annotated[Path, typer.Argument(help="A new folder; it becomes an archive.")]
) -> None:
    """Copy an archive as one moment saw it, checked, while it is searched and written."""
    with _open(archive) as opened:
        typer.echo(f"{target}: generation {opened.back_up(target)}")


@app.command()
def remove(
    archive: ArchiveOption, hrefs: Annotated[list[str], typer.Argument(help="Scenes, as search names them (href).")]
) -> None:
    """Remove scenes with their tiles."""
    from bandsight.archive import Archive

    with Archive.open(archive, write=True) as opened:
        typer.echo(f"{len(hrefs)} scenes removed; generation {opened.remove(hrefs)}")


@app.command()
def optimize(
    archive: ArchiveOption,
    memory: Annotated[int, typer.Option("--memory", min=1, help="Bytes a vector that the index may take.")] = 200,
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Measure no text queries; needs no model.")
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Build or extend the search index where the archive is large enough to profit, and say what was measured."""
    from bandsight.archive import Archive
    from bandsight.probes import sentences

    with Archive.open(archive, write=True) as opened:
        texts = None
        if not images_only and opened.worth_an_index:
            encoder = _load(model or opened.model.name, device)
            opened.check_model(_identity(encoder))
            texts = encoder.embed_texts(sentences())
        for name, value in opened.optimize(texts, budget_bytes=memory).items():
            typer.echo(f"{name}: {value}")


@app.command()
def upgrade(archive: ArchiveOption) -> None:
    """Bring an archive made by an older Bandsight to this version's schema."""
    from bandsight.archive import Archive

    typer.echo(f"{archive}: schema {Archive.upgrade(archive)}")


@app.command()
def serve(
    archive: ArchiveOption,
    host: Annotated[str, typer.Option("--host", help="Address to bind.", envvar="BANDSIGHT_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, envvar="BANDSIGHT_PORT")] = 8000,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    key: Annotated[
        str | None,
        typer.Option("--key", help="What clients must send; better set as BANDSIGHT_KEY.", envvar="BANDSIGHT_KEY"),
    ] = None,
) -> None:
    """Serve the search API and the page."""
    import uvicorn
    from pydantic import SecretStr

    from search_api.access import check_exposure
    from search_api.app import create_app
    from search_api.service import open_service
    from search_api.settings import ApiSettings

    settings = ApiSettings(
        archive=archive, model=model, device=device, host=host, port=port, key=SecretStr(key) if key else None
    )
    check_exposure(settings)
    service = open_service(settings)
    try:
        _say(f"http://{host}:{port}/  (model {service.encoder.name}, {service.encoder.license}; Ctrl-C ends it)")
        uvicorn.run(create_app(settings, service), host=host, port=port, log_level="warning")
    finally:
        service.archive.close()


@sensors.command("list")
def sensors_list(profiles: ProfilesOption = None) -> None:
    """List the sensor profiles."""
    from bandsight.sensors.listing import profile_lines
    from bandsight.sensors.profile import load_profiles

    typer.echo("\n".join(profile_lines(load_profiles(profiles))))


@sensors.command("show")
def sensors_show(
    name: Annotated[str, typer.Argument(help="Name of a profile, as `sensors list` shows it.")],
    profiles: ProfilesOption = None,
) -> None:
    """Show one profile: bands, wavelengths, scaling, quality band."""
    from bandsight.sensors.listing import profile_text
    from bandsight.sensors.profile import load_profiles, profile_named

    typer.echo(profile_text(profile_named(name, load_profiles(profiles))))


@sensors.command("match")
def sensors_match(
    paths: Annotated[list[str], typer.Argument(help="Scenes: files, or folders of scenes or of band files.")],
    sensor: Annotated[str | None, typer.Option("--sensor", help="Sensor profile; default: matched.")] = None,
    profiles: ProfilesOption = None,
) -> None:
    """Show what a scene would be indexed as, and what said so; nothing is indexed."""
    from indexer.description import describe_scenes

    failed = False
    for text, ok in describe_scenes(paths, sensor=sensor, profiles=profiles):
        typer.echo(text)
        failed = failed or not ok
    if failed:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; our errors become one line on stderr and exit code 1."""
    try:
        app()
    except BandsightError as error:
        _say(f"bandsight: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        _say("bandsight: stopped; what was committed is kept, run the same command to go on")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (e.g. `| head`); leave quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _say(
            f"bandsight: {error.filename or 'a file'}: {error.strerror}; check the path, its rights and the disk's room"
        )
        sys.exit(1)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _load(source: str, device: str) -> "ClipEncoder":
    from bandsight.model import load_model

    return load_model(source, device)


def _identity(encoder: "ClipEncoder") -> Any:
    from bandsight.catalog.records import ModelIdentity

    return ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)


def _open(path: Path) -> "Archive":
    from bandsight.archive import Archive

    return Archive.open(path)


def _stored_model(path: Path) -> str:
    with _open(path) as opened:
        return opened.model.name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror}); pass a PNG, JPEG or GeoTIFF") from error


def _filter(bbox: str | None, when: str | None, collection: list[str] | None, sensor: list[str] | None) -> "Filter":
    from bandsight.filters import Filter

    return Filter.parse(bbox=bbox, datetime=when, collections=collection or (), sensors=sensor or ())


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise QueryError(f"{option} {text}: need whole numbers separated by commas, e.g. 1,4") from error
    if min(numbers) < 1:
        raise QueryError(f"{option} {text}: need numbers from 1 up, e.g. 1,4")
    return numbers


def _corners(bbox: str | None) -> tuple[float, float, float, float] | None:
    from bandsight.geo.box import LonLatBox

    box = LonLatBox.from_text(bbox) if bbox else None
    return (box.west, box.south, box.east, box.north) if box else None


def _tile_at(opened: "Archive", at: str) -> int:
    """Return the tile whose middle is nearest to a point that it covers."""
    from bandsight.geo.box import LonLatBox

    lon, _, lat = at.partition(",")
    point = LonLatBox.from_text(f"{lon},{lat},{lon},{lat}")
    ids = opened.tiles_in(point)
    if not ids:
        raise QueryError(f"--at {at}: no tile of the archive covers this point")

    def off(tile_id: int) -> float:
        box = opened.tile(tile_id).boxes[0]
        return abs(box.west + box.east - 2 * point.west) + abs(box.south + box.north - 2 * point.south)

    return min(ids, key=off)


def _answer(
    opened: "Archive",
    answer: "Answer",
    title: str,
    *,
    as_json: bool,
    out: Path | None,
    sheet: Path | None,
) -> None:
    from bandsight.answers import feature_collection, table
    from bandsight.sheet import contact_sheet

    if as_json or out is not None:
        found = feature_collection(answer, model=opened.model, generation=opened.generation)
        if out is not None:
            out.write_text(json.dumps(found), encoding="utf-8")
        if as_json:
            typer.echo(json.dumps(found))
    if not as_json:
        typer.echo(table(answer) if answer.hits else _nothing(opened))
    if sheet is not None:
        contact_sheet([(title, answer.hits)], sheet)
        _say(f"contact sheet: {sheet}")


def _nothing(opened: "Archive") -> str:
    held = opened.collections()
    collections, sensors = ({str(row[name]) for row in held} for name in ("collection", "sensor"))
    return (
        "no tile matches the filters; the archive has the collections "
        f"{', '.join(sorted(collections)) or 'none'} and the sensors {', '.join(sorted(sensors)) or 'none'}"
    )


if __name__ == "__main__":
    main()
