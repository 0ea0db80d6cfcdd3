"""The command that updates scenes whose files have moved."""

from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption
from bandsight.errors import QueryError

_SHOWN = 5


@app.command()
def relocate(
    archive: ArchiveOption,
    old: Annotated[str, typer.Argument(help="Previous folder, file or URL prefix of scenes.")],
    new: Annotated[str, typer.Argument(help="Current folder, file or URL prefix.")],
) -> None:
    """Update the locations of scenes after a folder was moved; tiles and vectors stay."""
    from bandsight.archive import ArchiveWriter
    from bandsight.archive.relocation import under
    from bandsight.cli.formatting import counted
    from bandsight.raster.drivers import local_file

    before, after = _place(old), _place(new)
    with ArchiveWriter.open(archive) as opened:
        moved = {scene.id: hrefs for scene in opened.scenes() if (hrefs := under(scene, before, after))}
        if not moved:
            raise QueryError(
                f"{old}: no scene is there; list scenes with missing files: bandsight verify --archive {archive}"
            )
        files = {href for hrefs in moved.values() for href in hrefs.values()}
        gone = sorted(href for href in files if (file := local_file(href)) is not None and not file.is_file())
        if gone:
            raise QueryError(
                f"{gone[0]}: no such file ({counted(len(gone), 'file')} missing in all); nothing was changed, "
                f"check {new}"
            )
        changed = opened.relocate(moved)
    typer.echo(f"{counted(changed, 'scene')} relocated")


def missing_files(archive: str) -> list[str]:
    """Return lines about scenes with missing files, naming the first few."""
    from bandsight.cli.formatting import counted
    from bandsight.raster.drivers import local_file

    with loading.open_archive(archive) as opened:
        gone = [
            (scene.name, href)
            for scene in opened.scenes()
            for href in dict.fromkeys([scene.href, *(band.href for band in scene.bands)])
            if (file := local_file(href)) is not None and not file.exists()
        ]
    lines = [f"{name}: its file {href} is missing" for name, href in gone[:_SHOWN]]
    if gone:
        lines.append(
            f"{counted(len(gone), 'file')} of scenes missing: searches work, images do not; if a folder was moved, "
            f"run: bandsight relocate OLD NEW --archive {archive}"
        )
    return lines


def _place(text: str) -> str:
    """Return a local path as stored for scenes, a URL unchanged."""
    return text if "://" in text or text.startswith("/vsi") else str(Path(text).expanduser().absolute())
