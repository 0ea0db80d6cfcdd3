"""The commands that ask an archive: by sentence, by picture, by tile, by classes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import (
    ArchiveOption,
    BboxOption,
    CollectionOption,
    DatetimeOption,
    DeviceOption,
    JsonOption,
    MaxCloudOption,
    ModelOption,
    OutOption,
    PlainJsonOption,
    SensorOption,
    SheetOption,
    TopOption,
    WavelengthsOption,
)
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.archive import Archive
    from bandsight.attributes.filters import Filter
    from bandsight.search.answers import Answer


@app.command()
def search(
    archive: ArchiveOption,
    text: Annotated[str | None, typer.Argument(help="What the place looks like.")] = None,
    image: Annotated[Path | None, typer.Option("--image", help="Search by this picture instead.")] = None,
    wavelengths: WavelengthsOption = None,
    bbox: BboxOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    max_cloud: MaxCloudOption = None,
    top: TopOption = 10,
    as_json: JsonOption = False,
    out: OutOption = None,
    sheet: SheetOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Rank tiles by a sentence or by a picture."""
    from bandsight.query_image import decode_query_image
    from bandsight.search.answers import by_image, by_text
    from bandsight.search.query_text import check_text

    if (text is None) == (image is None):
        raise QueryError("query: pass either a sentence or --image FILE")
    if wavelengths is not None and image is None:
        raise QueryError("--wavelengths: they go with --image FILE")
    waves = opening.wavelengths(wavelengths)
    wanted = _filter(bbox, when, collection, sensor, max_cloud)
    sentence = check_text(text) if text is not None else None
    picture = decode_query_image(opening.read(image), waves) if image is not None else None
    with opening.open_archive(archive) as opened:
        encoder = opening.load(model or opened.model.name, device)
        opened.check_model(opening.identity(encoder))
        if sentence is not None:
            answer = by_text(opened, encoder, sentence, top, wanted)
        else:
            pixels, bands = picture or decode_query_image(b"")
            answer = by_image(opened, encoder, pixels, bands, top, wanted)
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
    max_cloud: MaxCloudOption = None,
    top: TopOption = 10,
    as_json: JsonOption = False,
    out: OutOption = None,
    sheet: SheetOption = None,
) -> None:
    """Rank tiles by their likeness to one of the archive; needs no model."""
    from bandsight.search.answers import by_tile

    if (tile_id is None) == (at is None):
        raise QueryError("query: pass either a tile id or --at lon,lat")
    with opening.open_archive(archive) as opened:
        chosen = _tile_at(opened, at) if tile_id is None and at is not None else tile_id
        assert chosen is not None
        answer = by_tile(opened, chosen, top, _filter(bbox, when, collection, sensor, max_cloud))
        _answer(opened, answer, f"similar to tile {chosen}", as_json=as_json, out=out, sheet=sheet)


@app.command()
def classify(
    archive: ArchiveOption,
    labels: Annotated[str, typer.Option("--labels", help="Classes, separated by commas.")],
    bbox: BboxOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    max_cloud: MaxCloudOption = None,
    as_json: PlainJsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Give every tile the label it fits best, with a probability for each label."""
    from bandsight.search.zero_shot import check_labels, classify_tiles, summary

    sentences = check_labels([name.strip() for name in labels.split(",") if name.strip()])
    wanted = _filter(bbox, when, collection, sensor, max_cloud)
    with opening.open_archive(archive) as opened:
        encoder = opening.load(model or opened.model.name, device)
        opened.check_model(opening.identity(encoder))
        rows = classify_tiles(opened, encoder, sentences, wanted)
    typer.echo(json.dumps(rows, indent=1) if as_json else summary(rows, list(sentences)))


def _filter(
    bbox: str | None,
    when: str | None,
    collection: list[str] | None,
    sensor: list[str] | None,
    max_cloud: float | None,
) -> "Filter":
    from bandsight.attributes.filters import Filter

    return Filter.parse(
        bbox=bbox, datetime=when, collections=collection or (), sensors=sensor or (), max_cloud_fraction=max_cloud
    )


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
    from bandsight.cli.contact_sheet import contact_sheet
    from bandsight.cli.formatting import feature_collection, table

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
        say(f"contact sheet: {sheet}")


def _nothing(opened: "Archive") -> str:
    held = opened.collections()
    collections, sensors = ({str(row[name]) for row in held} for name in ("collection", "sensor"))
    return (
        "no tile matches the filters; the archive has the collections "
        f"{', '.join(sorted(collections)) or 'none'} and the sensors {', '.join(sorted(sensors)) or 'none'}"
    )
