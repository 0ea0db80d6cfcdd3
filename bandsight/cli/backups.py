"""The commands that back an archive up and restore it."""

from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption


@app.command()
def backup(
    archive: ArchiveOption,
    target: Annotated[Path, typer.Argument(help="New folder for the copy; with --keep, the folder of all backups.")],
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=1,
            help="Add a backup named by the time to TARGET, sharing unchanged files with the one before, and delete "
            "all but the newest so many.",
        ),
    ] = None,
) -> None:
    """Copy an archive at one commit, checksums compared; searches and writes continue."""
    from bandsight.archive import admin, backups

    with opening.open_archive(archive) as opened:
        if keep is None:
            typer.echo(f"{target}: generation {admin.back_up(opened, target)}")
            return
        made = backups.add_backup(opened, target, keep)
    typer.echo(f"{made.path}: generation {made.generation}")
    for path in made.deleted:
        typer.echo(f"{path}: deleted")


@app.command()
def restore(
    archive: ArchiveOption,
    source: Annotated[Path, typer.Argument(help="A backup, or the folder of backups, for the newest one.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace all that the archive holds, while it is searched.")
    ] = False,
) -> None:
    """Make an archive from a backup, checked in full; an older version's is upgraded."""
    from bandsight.archive.backups import restore as restored

    typer.echo(f"{archive}: generation {restored(source, archive, replace=replace)}")
