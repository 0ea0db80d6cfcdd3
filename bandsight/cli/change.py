"""Commands for change over time: changes between two periods, and the timeline of a place."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.options import (
    ArchiveOption,
    BboxOption,
    CollectionOption,
    DeviceOption,
    FilterOption,
    IntersectsOption,
    JsonOption,
    ModelOption,
    PlainJsonOption,
    SensorOption,
    TopOption,
)
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.search.searcher import Searcher


@app.command()
def change(
    archive: ArchiveOption,
    before: Annotated[str, typer.Option("--before", help="Earlier period, e.g. 2009-01-01/2012-12-31.")],
    after: Annotated[str, typer.Option("--after", help="Later period, e.g. 2018-01-01/.. (open end).")],
    was: Annotated[str | None, typer.Option("--was", help="What the places looked like in the earlier period.")] = None,
    now: Annotated[str | None, typer.Option("--now", help="What the places look like in the later period.")] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="Find changes like this one: TILE_BEFORE,TILE_AFTER.")
    ] = None,
    max_cloud: Annotated[float, typer.Option("--max-cloud", min=0, max=1, help="Maximum cloud share of a tile.")] = 0.2,
    min_z: Annotated[float, typer.Option("--min-z", min=0, max=100, help="Minimum robust z-score of a change.")] = 3.0,
    bbox: BboxOption = None,
    intersects: IntersectsOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    cql2: FilterOption = None,
    top: TopOption = 20,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the places to this GeoJSON file.")] = None,
    heatmap: Annotated[
        Path | None,
        typer.Option("--map", help="Write a map of z-scores: a GeoTIFF to .tif, a picture to .png."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find the places that changed most between two periods."""
    from bandsight.change.requests import ChangeBody
    from bandsight.change.search import change_search
    from bandsight.cli.search import filters_of, searcher_of
    from bandsight.export.files import save
    from bandsight.search.validation import validated

    if heatmap is not None:
        _format_of(heatmap)
    body = {
        "before": before,
        "after": after,
        "was": was,
        "now": now,
        "like": None if like is None else _pair(like),
        "max_cloud": max_cloud,
        "min_z": min_z,
        "limit": top,
        **filters_of(bbox, intersects, None, collection, sensor, None, cql2),
    }
    with loading.open_archive(archive) as opened:
        asked = validated(ChangeBody, {name: value for name, value in body.items() if value is not None})
        searcher = searcher_of(opened, model, device)
        found = change_search(searcher, asked)
        if heatmap is not None:
            _write_map(searcher, body, heatmap)
    if out is not None:
        save(out, [json.dumps(found).encode()])
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(
        f"{found['changed']:,} of {found['compared']:,} places seen in both periods changed (z of {min_z:g} or more)"
    )
    for item in found["features"]:
        own = item["properties"]
        typer.echo(
            f"z {own['z']:6.2f}  tile {own['tile_before']} -> {own['tile_after']}  first seen {own['first_seen']}, "
            f"last image before that {own['last_seen_before']}"
        )


def _write_map(searcher: "Searcher", body: dict[str, Any], path: Path) -> None:
    from bandsight.change.heatmap import ChangeCache, change_map
    from bandsight.change.requests import ChangeMapBody
    from bandsight.export.files import save
    from bandsight.search.validation import validated

    asked = {name: value for name, value in body.items() if value is not None} | {"format": _format_of(path)}
    save(path, [change_map(searcher, ChangeCache(), validated(ChangeMapBody, asked))])


def _format_of(path: Path) -> str:
    kind = {".png": "png", ".tif": "tif", ".tiff": "tif"}.get(path.suffix.lower())
    if kind is None:
        raise QueryError(f"--map {path}: found the suffix {path.suffix!r}; need .tif or .png")
    return kind


@app.command()
def timeline(
    archive: ArchiveOption,
    at: Annotated[str, typer.Option("--at", help="lon,lat of the place.")],
    question: Annotated[
        str | None, typer.Argument(metavar="[SENTENCE]", help="Sentence to score each date with.")
    ] = None,
    as_json: PlainJsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """List the tiles of a place in order of date."""
    from bandsight.change.requests import TimelineBody
    from bandsight.change.timeline import timeline as dates_of
    from bandsight.cli.search import point_of, searcher_of
    from bandsight.search.validation import validated

    lon, lat = point_of(at)
    body = {"lon": lon, "lat": lat} | ({} if question is None else {"q": question})
    with loading.open_archive(archive) as opened:
        found = dates_of(searcher_of(opened, model, device), validated(TimelineBody, body))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for row in found["dates"]:
        score = f"  score {row['score']:.3f}" if "score" in row else ""
        alike = f"  similarity to previous date {row['likeness']:.3f}" if "likeness" in row else ""
        cloud = "" if row["cloud_fraction"] is None else f"  cloud {100 * row['cloud_fraction']:.0f}%"
        typer.echo(f"{row['datetime'] or 'date unknown'}  tile {row['tile']}  {row['scene']}{cloud}{score}{alike}")


def _pair(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"--like {text}: need two tiles, TILE_BEFORE,TILE_AFTER") from error
