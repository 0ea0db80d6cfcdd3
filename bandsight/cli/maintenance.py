"""Commands that maintain an archive."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, NewModelOption, PlainJsonOption
from bandsight.cli.relocating import missing_files


@app.command()
def status(archive: ArchiveOption, as_json: PlainJsonOption = False) -> None:
    """Show the contents of an archive."""
    from bandsight.cli.formatting import status_text

    with opening.open_archive(archive) as opened:
        stats = {**opened.stats(), "failed_scenes": [list(row) for row in opened.jobs.failures()]}
    if as_json:
        typer.echo(json.dumps(stats, indent=1, default=str))
        return
    typer.echo(status_text(stats))


@app.command()
def init(
    archive: ArchiveOption,
    catalog: Annotated[
        str | None,
        typer.Option("--catalog", help="URL of the catalog: postgresql+psycopg://USER@HOST/DATABASE?schema=NAME"),
    ] = None,
    vectors: Annotated[
        str | None, typer.Option("--vectors", help="URL of the search index: milvus://HOST:PORT/DATABASE/NAME")
    ] = None,
    files: Annotated[
        str | None, typer.Option("--files", help="URL of the files: s3://BUCKET/PREFIX?endpoint=https://HOST")
    ] = None,
    model: NewModelOption = "embedded",
    device: DeviceOption = "auto",
) -> None:
    """Create an empty archive in a folder, or on the engines that are named; a TOML file may name them already."""
    from bandsight.archive import ArchiveWriter
    from bandsight.archive.config import CONFIG_FILE, ArchiveConfig, read_config, write_config
    from bandsight.archive.open import archive_exists, check_engines, embedded
    from bandsight.errors import ArchiveError

    folder = Path(archive)
    named = folder.suffix == ".toml" and folder.is_file()
    if named and (catalog or vectors or files):
        raise ArchiveError(f"{archive}: names the engines itself; leave out --catalog, --vectors and --files")
    if (folder / CONFIG_FILE).exists() or archive_exists(archive):
        raise ArchiveError(f"{archive}: there is already an archive here; use it, or choose another folder")
    if named:
        check_engines(read_config(folder))
        with ArchiveWriter.create(folder, opening.identity(opening.load(model, device))):
            typer.echo(f"{archive}: created")
        return
    if catalog is None and vectors is None and files is None:
        with ArchiveWriter.create(embedded(folder), opening.identity(opening.load(model, device))):
            typer.echo(f"{archive}: created")
        return
    config = ArchiveConfig(folder=folder, catalog=catalog, vectors=vectors, files=files)
    check_engines(config)
    identity = opening.identity(opening.load(model, device))
    write_config(folder / CONFIG_FILE, config)
    try:
        ArchiveWriter.create(folder, identity).close()
    except Exception:
        (folder / CONFIG_FILE).unlink()
        raise
    typer.echo(f"{archive}: created; {CONFIG_FILE} in it configures its engines")


@app.command(name="migrate-archive")
def migrate_archive(
    source: Annotated[str, typer.Argument(help="Archive to copy: a folder, a URL or a TOML file.")],
    target: Annotated[str, typer.Argument(help="Destination: a new folder, or a TOML file that names engines.")],
) -> None:
    """Copy an archive to other engines, and compare every row. If interrupted, run it again to continue."""
    from bandsight.archive import admin

    done: dict[str, int] = {}

    def progress(table: str, rows: int) -> None:
        done[table] = done.get(table, 0) + rows
        typer.echo(f"{table}: {done[table]:,} rows", err=True)

    counts = admin.migrate_archive(source, target, progress=progress)
    typer.echo(f"{target}: {counts['scenes']:,} scenes, {counts['tiles']:,} tiles, all compared")


@app.command()
def verify(
    archive: ArchiveOption,
    full: Annotated[bool, typer.Option("--full", help="Read every row and every vector.")] = False,
) -> None:
    """Compare an archive's files with its catalog."""
    from bandsight.archive import admin

    with opening.open_archive(archive) as opened:
        problems = admin.verify(opened, full=full)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    missing = missing_files(archive)
    for line in missing:
        typer.echo(line)
    typer.echo("no problems found in the archive itself" if missing else "no problems found")


@app.command()
def repair(archive: ArchiveOption) -> None:
    """Rebuild derived files, quarantine damaged files, and list the scenes to index again."""
    from bandsight.archive import admin

    for line in admin.repair(archive) or ["nothing to repair"]:
        typer.echo(line)


@app.command()
def compact(archive: ArchiveOption, as_json: PlainJsonOption = False) -> None:
    """Delete the vectors and map images of removed scenes, and merge small vector files; searches continue."""
    from bandsight.archive import ArchiveWriter
    from bandsight.imagery.pyramids import Pyramids

    with ArchiveWriter.open(archive) as opened:
        sizes = opened.compact()
        keys = [scene.key for scene in opened.scenes()]
        _print({**sizes, "pyramids_removed": Pyramids(opened.path, opened.files).remove_others(keys)}, as_json=as_json)


@app.command()
def remove(
    archive: ArchiveOption,
    hrefs: Annotated[list[str], typer.Argument(help="Scenes: their paths or URLs, as indexed or as shown by search.")],
    as_json: PlainJsonOption = False,
) -> None:
    """Remove scenes and their tiles from the archive."""
    from bandsight.archive import ArchiveWriter
    from bandsight.cli.formatting import counted

    with ArchiveWriter.open(archive) as opened:
        generation = opened.remove([_known_as(href) for href in hrefs])
    if as_json:
        _print({"scenes_removed": len(hrefs), "generation": generation}, as_json=True)
    else:
        typer.echo(f"{counted(len(hrefs), 'scene')} removed; generation {generation}")


def _known_as(href: str) -> str:
    """Return a scene's href: the absolute path of a file, anything else unchanged."""
    path = Path(href).expanduser()
    # Path.exists() raises an error for names too long for a file.
    return str(path.absolute()) if os.path.exists(path) else href  # noqa: PTH110


@app.command()
def optimize(
    archive: ArchiveOption,
    memory: Annotated[int, typer.Option("--memory", min=1, help="Memory per vector in bytes.")] = 200,
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Measure recall without text queries, so that no model is loaded.")
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    as_json: PlainJsonOption = False,
) -> None:
    """Build or extend the search index if the archive is large enough, and show its measured recall."""
    from bandsight.archive import ArchiveWriter
    from bandsight.model.scoring import sentence_vectors
    from bandsight.search.recall_queries import sentences

    with ArchiveWriter.open(archive) as opened:
        texts = None
        opened.refresh()
        if not images_only and opened.store.worth_an_index:
            encoder = opening.load_for_queries(model or opened.model.name, device)
            opened.check_model(opening.identity(encoder))
            texts = sentence_vectors(encoder, sentences())
        _print(opened.optimize(texts, budget_bytes=memory), as_json=as_json)


@app.command()
def upgrade(archive: ArchiveOption) -> None:
    """Upgrade an archive from an older version of Bandsight."""
    from bandsight.archive import admin

    typer.echo(f"{archive}: schema {admin.upgrade(archive)}")


def _print(figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(figures, indent=1, default=str))
        return
    for name, value in figures.items():
        typer.echo(f"{name}: {value}")
