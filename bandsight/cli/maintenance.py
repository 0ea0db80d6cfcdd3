"""The commands that maintain an archive."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, PlainJsonOption
from bandsight.cli.relocating import missing_files


@app.command()
def status(archive: ArchiveOption, as_json: PlainJsonOption = False) -> None:
    """Show what an archive holds."""
    from bandsight.cli.formatting import status_text

    with opening.open_archive(archive) as opened:
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
    """Compare an archive's files with its catalog."""
    from bandsight.archive import admin

    with opening.open_archive(archive) as opened:
        problems = admin.verify(opened, full=full)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo("no problem found")
    for line in missing_files(archive):
        typer.echo(line)


@app.command()
def repair(archive: ArchiveOption) -> None:
    """Rebuild derived files, set damaged files aside, and list the scenes to index again."""
    from bandsight.archive import admin

    for line in admin.repair(archive) or ["nothing to repair"]:
        typer.echo(line)


@app.command()
def compact(archive: ArchiveOption) -> None:
    """Drop deleted vectors, merge small vector files, and delete images of scenes that are gone; searches continue."""
    from bandsight.archive import ArchiveWriter
    from bandsight.imagery.pyramids import Pyramids

    with ArchiveWriter.open(archive) as opened:
        for name, value in opened.compact().items():
            typer.echo(f"{name}: {value}")
        keys = [scene.key for scene in opened.scenes()]
        typer.echo(f"pyramids_removed: {Pyramids(opened.path).remove_others(keys)}")


@app.command()
def backup(
    archive: ArchiveOption,
    target: Annotated[Path, typer.Argument(help="New folder for the copy.")],
) -> None:
    """Copy an archive at one commit, checksums compared; searches and writes continue."""
    from bandsight.archive import admin

    with opening.open_archive(archive) as opened:
        typer.echo(f"{target}: generation {admin.back_up(opened, target)}")


@app.command()
def remove(
    archive: ArchiveOption,
    hrefs: Annotated[list[str], typer.Argument(help="Scenes: paths or URLs as indexed, or as search shows.")],
) -> None:
    """Remove scenes with their tiles."""
    from bandsight.archive import ArchiveWriter
    from bandsight.cli.formatting import counted

    with ArchiveWriter.open(archive) as opened:
        generation = opened.remove([_known_as(href) for href in hrefs])
        typer.echo(f"{counted(len(hrefs), 'scene')} removed; generation {generation}")


def _known_as(href: str) -> str:
    """Return the href of a scene: the absolute path of a file, anything else unchanged."""
    path = Path(href).expanduser()
    # Path.exists() raises an error for names that are too long for a file.
    return str(path.absolute()) if os.path.exists(path) else href  # noqa: PTH110


@app.command()
def optimize(
    archive: ArchiveOption,
    memory: Annotated[int, typer.Option("--memory", min=1, help="Bytes of memory for each vector.")] = 200,
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Skip text queries when measuring recall; loads no model.")
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Build or extend the search index where the archive is large enough, and show its measured recall."""
    from bandsight.archive import ArchiveWriter
    from bandsight.model.background import sentence_vectors
    from bandsight.search.recall_queries import sentences

    with ArchiveWriter.open(archive) as opened:
        texts = None
        if not images_only and opened.worth_an_index:
            encoder = opening.load_for_queries(model or opened.model.name, device)
            opened.check_model(opening.identity(encoder))
            texts = sentence_vectors(encoder, sentences())
        for name, value in opened.optimize(texts, budget_bytes=memory).items():
            typer.echo(f"{name}: {value}")


@app.command()
def upgrade(archive: ArchiveOption) -> None:
    """Upgrade an archive from an older version of Bandsight."""
    from bandsight.archive import admin

    typer.echo(f"{archive}: schema {admin.upgrade(archive)}")
