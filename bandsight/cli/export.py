"""The command that writes all results of a request to a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli.base import app
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, PlainJsonOption
from bandsight.errors import QueryError


@app.command()
def export(
    archive: ArchiveOption,
    request: Annotated[Path, typer.Argument(help="JSON file with a request, as for POST /search/export.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .geojson, .csv or .parquet.")],
    vectors: Annotated[bool, typer.Option("--vectors", help="Include the vector of each tile.")] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    as_json: PlainJsonOption = False,
) -> None:
    """Write up to a million results of a search request to a file."""
    from bandsight.client.local import open_local
    from bandsight.export.formats import format_of

    try:
        body = json.loads(request.read_bytes())
    except (OSError, ValueError) as error:
        raise QueryError(f"{request}: cannot be read as JSON ({error})") from error
    if not isinstance(body, dict):
        raise QueryError(f"{request}: found {type(body).__name__}; need an object, as for POST /search/export")
    chosen = format_of(out)
    backend = open_local(archive, model, device)
    try:
        backend.export(body, out, chosen, vectors=vectors)
    finally:
        backend.close()
    size = out.stat().st_size
    typer.echo(json.dumps({"file": out.name, "bytes": size}) if as_json else f"{out}: {size:,} bytes")
