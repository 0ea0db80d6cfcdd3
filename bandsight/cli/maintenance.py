"""The commands that look after an archive."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, PlainJsonOption


@app.command()
def status(archive: ArchiveOption, as_json: PlainJsonOption = False) -> None:
    """Say what an archive holds."""
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
    """Check an archive's files against its catalog."""
    from bandsight.archive import admin

    with opening.open_archive(archive) as opened:
        problems = admin.verify(opened, full=full)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo("no problem found")


@app.command()
def repair(archive: ArchiveOption) -> None:
    """Rebuild what is derived, set aside what is damaged, and name what is lost and to be indexed again."""
    from bandsight.archive import admin

    for line in admin.repair(archive) or ["nothing to repair"]:
        typer.echo(line)


@app.command()
def compact(archive: ArchiveOption) -> None:
    """Drop deleted vectors and write small vector files together; searches go on meanwhile."""
    from bandsight.archive import ArchiveWriter

    with ArchiveWriter.open(archive) as opened:
        for name, value in opened.compact().items():
            typer.echo(f"{name}: {value}")


@app.command()
def backup(
    archive: ArchiveOption, target: Annotated[Path, typer.Argument(help="A new folder; it becomes an archive.")]
) -> None:
    """Copy an archive as one moment saw it, checked, while it is searched and written."""
    from bandsight.archive import admin

    with opening.open_archive(archive) as opened:
        typer.echo(f"{target}: generation {admin.back_up(opened, target)}")


@app.command()
def remove(
    archive: ArchiveOption,
    hrefs: Annotated[list[str], typer.Argument(help="Scenes, as `index` was given them or as search names them.")],
) -> None:
    """Remove scenes with their tiles."""
    from bandsight.archive import ArchiveWriter

    with ArchiveWriter.open(archive) as opened:
        typer.echo(f"{len(hrefs)} scenes removed; generation {opened.remove([_known_as(href) for href in hrefs])}")


def _known_as(href: str) -> str:
    """Return what an archive calls a scene: a file by its whole path, as indexing does; anything else as it is."""
    path = Path(href).expanduser()
    # Not Path.exists(), which fails where a name is longer than a file's can be.
    return str(path.absolute()) if os.path.exists(path) else href  # noqa: PTH110


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
    from bandsight.archive import ArchiveWriter
    from bandsight.search.recall_queries import sentences

    with ArchiveWriter.open(archive) as opened:
        texts = None
        if not images_only and opened.worth_an_index:
            encoder = opening.load(model or opened.model.name, device)
            opened.check_model(opening.identity(encoder))
            texts = encoder.embed_texts(sentences())
        for name, value in opened.optimize(texts, budget_bytes=memory).items():
            typer.echo(f"{name}: {value}")


@app.command()
def upgrade(archive: ArchiveOption) -> None:
    """Bring an archive made by an older Bandsight to this version's schema."""
    from bandsight.archive import admin

    typer.echo(f"{archive}: schema {admin.upgrade(archive)}")
