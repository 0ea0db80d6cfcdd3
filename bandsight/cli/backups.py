"""Commands that back up and restore an archive."""

from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption


@app.command()
def backup(
    archive: ArchiveOption,
    target: Annotated[
        Path, typer.Argument(help="New folder for the copy; with --keep, the folder that holds all backups.")
    ],
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=1,
            help="Add a backup named after the time to TARGET, share unchanged files with the previous one, and keep "
            "only this many backups.",
        ),
    ] = None,
) -> None:
    """Back up an archive at one commit, with checksums; searches and writes continue."""
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
    source: Annotated[Path, typer.Argument(help="A backup, or a folder of backups to use the newest one.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the contents of an existing archive, while it is searched.")
    ] = False,
) -> None:
    """Create an archive from a backup, verified in full, and upgraded if it is from an older version."""
    from bandsight.archive.backups import restore as restored

    typer.echo(f"{archive}: generation {restored(source, archive, replace=replace)}")
