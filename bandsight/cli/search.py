"""Commands that search an archive by sentences, images, tiles, places and classes."""

import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import (
    ArchiveOption,
    BboxOption,
    CollectionOption,
    DatetimeOption,
    DeviceOption,
    FilterOption,
    IntersectsOption,
    JsonOption,
    MaxCloudOption,
    ModelOption,
    OutOption,
    PlainJsonOption,
    SensorOption,
    SheetOption,
    TokenOption,
    TopOption,
    WavelengthsOption,
)
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.archive import Archive
    from bandsight.search.items import ResultPage
    from bandsight.search.searcher import Searcher

GroupBy = Literal["scene", "place", "collection", "sensor"]
Strategy = Literal["average", "best"]
# The maximum of --top.
_MAX_HITS = 10_000


SentencesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[SENTENCE]...", help="Description of the place.")
]
ImageOption = Annotated[list[Path] | None, typer.Option("--image", help="An image as an example; repeatable.")]
LikeOption = Annotated[list[int] | None, typer.Option("--like", help="A tile as an example; repeatable.")]
AtOption = Annotated[list[str] | None, typer.Option("--at", help="A point as an example, as lon,lat; repeatable.")]
UnlikeOption = Annotated[list[str] | None, typer.Option("--not", help="A sentence as a negative example; repeatable.")]
UnlikeImageOption = Annotated[
    list[Path] | None, typer.Option("--not-image", help="An image as a negative example; repeatable.")
]
UnlikeTileOption = Annotated[
    list[int] | None, typer.Option("--not-like", help="A tile as a negative example; repeatable.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="Weights of the sentences, images, tiles and points, in this order, e.g. 2,1."),
]
StrategyOption = Annotated[
    Strategy, typer.Option("--combine", help="average: the mean of all examples; best: the nearest example counts.")
]
MinScoreOption = Annotated[float | None, typer.Option("--min-score", min=-1, max=1, help="Minimum score.")]
MinProbabilityOption = Annotated[
    float | None, typer.Option("--min-probability", min=0, max=1, help="Minimum probability of a sentence.")
]
GroupByOption = Annotated[GroupBy | None, typer.Option("--group-by", help="Limit the number of results per group.")]
GroupLimitOption = Annotated[
    int | None,
    typer.Option("--group-limit", min=1, max=1000, help="Maximum number of results per group; default: 1."),
]
MaxOverlapOption = Annotated[
    float | None,
    typer.Option("--max-overlap", min=0, max=1, help="Maximum overlap of two results, as a share of the smaller one."),
]
DiversityOption = Annotated[
    float, typer.Option("--diversity", min=0, max=1, help="Weight of being different from better results.")
]
ByCellOption = Annotated[
    bool, typer.Option("--by-cell", help="Rank tiles by their best cell, for scenes indexed with --cells.")
]
ExactOption = Annotated[bool, typer.Option("--exact", help="Compare every tile instead of using the index.")]
ClassifierOption = Annotated[
    list[str] | None,
    typer.Option("--classifier", help="Only tiles that pass a trained classifier, e.g. 'ponds > 0.8'; repeatable."),
]


@app.command()
def search(
    archive: ArchiveOption,
    texts: SentencesArgument = None,
    image: ImageOption = None,
    wavelengths: WavelengthsOption = None,
    like: LikeOption = None,
    at: AtOption = None,
    unlike: UnlikeOption = None,
    unlike_image: UnlikeImageOption = None,
    unlike_tile: UnlikeTileOption = None,
    weights: WeightsOption = None,
    strategy: StrategyOption = "average",
    min_score: MinScoreOption = None,
    min_probability: MinProbabilityOption = None,
    group_by: GroupByOption = None,
    group_limit: GroupLimitOption = None,
    max_overlap: MaxOverlapOption = None,
    diversity: DiversityOption = 0.0,
    by_cell: ByCellOption = False,
    exact: ExactOption = False,
    classifier: ClassifierOption = None,
    bbox: BboxOption = None,
    intersects: IntersectsOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    max_cloud: MaxCloudOption = None,
    cql2: FilterOption = None,
    top: TopOption = 10,
    token: TokenOption = None,
    as_json: JsonOption = False,
    out: OutOption = None,
    sheet: SheetOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Search by sentences, images, tiles or points, with positive and negative examples."""
    _check_format(out)
    waves = loading.wavelengths(wavelengths)
    if waves is not None and not image and not unlike_image:
        raise QueryError("--wavelengths: found no image; pass --image FILE with it")
    trained = texts[0] if texts and len(texts) == 1 and texts[0].strip().startswith("classifier:") else None
    positive = _examples(None if trained else texts, image, waves, like, at)
    negative = _examples(unlike, unlike_image, waves, unlike_tile)
    if not positive and not negative and trained is None:
        raise QueryError("query: found no example; pass a sentence, --image FILE, --like TILE or --at LON,LAT")
    semantic = {
        "classifier": trained,
        "positive": _weighted(positive, weights),
        "negative": negative,
        "strategy": strategy,
        "min_score": min_score,
        "min_probability": min_probability,
        "group_by": group_by,
        "group_limit": group_limit,
        "overlap": max_overlap,
        "diversity": diversity,
        "exact": exact,
        "by_cell": by_cell,
    }
    filters = filters_of(bbox, intersects, when, collection, sensor, max_cloud, cql2) | {"classifiers": classifier}
    title = ", ".join([*(texts or ()), *map(str, image or ()), *(f"tile {tile}" for tile in like or ())]) or "places"
    with loading.open_archive(archive) as opened:
        searcher = searcher_of(opened, model, device)
        page = _run(searcher, {"semantic": semantic, "limit": top, "token": token, **filters})
        _show(opened, page, title, as_json=as_json, out=out, sheet=sheet)


def _examples(
    texts: list[str] | None,
    images: list[Path] | None,
    wavelengths: list[float] | None,
    tiles: list[int] | None,
    points: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the examples of a request."""
    return [
        *({"text": text} for text in texts or ()),
        *({"image": _picture(path, wavelengths)} for path in images or ()),
        *({"id": tile} for tile in tiles or ()),
        *({"point": point_of(text)} for text in points or ()),
    ]


@app.command()
def similar(
    archive: ArchiveOption,
    tile_id: Annotated[int | None, typer.Argument(help="Id of a tile, from a search.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="lon,lat of a point: use the tile that covers it instead.")
    ] = None,
    bbox: BboxOption = None,
    intersects: IntersectsOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    max_cloud: MaxCloudOption = None,
    cql2: FilterOption = None,
    top: TopOption = 10,
    token: TokenOption = None,
    as_json: JsonOption = False,
    out: OutOption = None,
    sheet: SheetOption = None,
) -> None:
    """Find tiles that look like one tile of the archive, without loading the model."""
    _check_format(out)
    if (tile_id is None) == (at is None):
        raise QueryError("query: pass either a tile id or --at LON,LAT")
    filters = filters_of(bbox, intersects, when, collection, sensor, max_cloud, cql2)
    with loading.open_archive(archive) as opened:
        chosen = _tile_at(opened, at) if tile_id is None and at is not None else tile_id
        semantic = {"positive": [{"id": chosen}]}
        page = _run(searcher_of(opened, None, "cpu"), {"semantic": semantic, "limit": top, "token": token, **filters})
        _show(opened, page, f"similar to tile {chosen}", as_json=as_json, out=out, sheet=sheet)


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
    """Assign each tile its most likely class, with the probability of each class."""
    from bandsight.attributes.filters import Filter
    from bandsight.search.zero_shot import check_labels, classify_tiles, summary

    sentences = check_labels([name.strip() for name in labels.split(",") if name.strip()])
    where = Filter.parse(
        bbox=bbox, datetime=when, collections=collection or (), sensors=sensor or (), max_cloud_fraction=max_cloud
    )
    with loading.open_archive(archive) as opened:
        rows = classify_tiles(opened, searcher_of(opened, model, device).encoder, sentences, where)
    typer.echo(json.dumps(rows, indent=1) if as_json else summary(rows, list(sentences)))


def searcher_of(opened: "Archive", model: str | None, device: str) -> "Searcher":
    """Return a searcher that loads the model when a sentence or an image needs it."""
    from bandsight.search.searcher import Searcher

    def load() -> Any:
        encoder = loading.load_for_queries(model or opened.model.name, device)
        opened.check_model(loading.identity(encoder))
        return encoder

    return Searcher(opened, load, max_hits=_MAX_HITS)


def _run(searcher: "Searcher", body: dict[str, Any]) -> "ResultPage":
    from bandsight.search.request import request_of
    from bandsight.search.request import search as run

    return run(searcher, request_of({name: value for name, value in body.items() if value is not None}))


def _picture(path: Path, wavelengths: list[float] | None) -> dict[str, Any]:
    return {"data": loading.read(path), **({} if wavelengths is None else {"wavelengths": wavelengths})}


def point_of(text: str) -> list[float]:
    """Parse `LON,LAT`."""
    from bandsight.geo.box import LonLatBox

    lon, _, lat = text.partition(",")
    box = LonLatBox.from_text(f"{lon},{lat},{lon},{lat}")
    return [box.west, box.south]


def _weighted(examples: list[dict[str, Any]], weights: str | None) -> list[dict[str, Any]]:
    if weights is None:
        return examples
    try:
        numbers = [float(part) for part in weights.split(",")]
    except ValueError as error:
        raise QueryError(f"--weights {weights}: need numbers separated by commas, e.g. 2,1") from error
    if len(numbers) != len(examples):
        raise QueryError(f"--weights: found {len(numbers)} for {len(examples)} examples; pass one for each")
    return [{**example, "weight": weight} for example, weight in zip(examples, numbers, strict=True)]


def filters_of(
    bbox: str | None,
    intersects: Path | None,
    when: str | None,
    collection: Sequence[str] | None,
    sensor: Sequence[str] | None,
    max_cloud: float | None,
    cql2: str | None,
) -> dict[str, Any]:
    """Return the filter options as members of a request."""
    from bandsight.attributes.filters import parse_interval
    from bandsight.geo.box import LonLatBox

    clauses = [cql2] if cql2 else []
    if max_cloud is not None:
        clauses.append(f'"bandsight:cloud_fraction" <= {max_cloud}')
    interval = None
    if when is not None:
        ends = (None if end is None else end.astimezone(UTC) for end in parse_interval(when))
        interval = "/".join(".." if end is None else end.isoformat().replace("+00:00", "Z") for end in ends)
    box = LonLatBox.from_text(bbox) if bbox is not None else None
    return {
        "bbox": None if box is None else [box.west, box.south, box.east, box.north],
        "intersects": None if intersects is None else _geometry(intersects),
        "datetime": interval,
        "collections": list(collection) if collection else None,
        "sensors": list(sensor) if sensor else None,
        "filter": " AND ".join(f"({clause})" for clause in clauses) or None,
        "filter-lang": "cql2-text" if clauses else None,
    }


def _geometry(path: Path) -> dict[str, Any]:
    """Read a geometry from a GeoJSON file: a geometry, a feature, or a collection of one feature."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QueryError(f"--intersects {path}: cannot be read as GeoJSON ({error}); pass a GeoJSON file") from error
    features = found.get("features") if isinstance(found, dict) else None
    if isinstance(features, list) and len(features) == 1:
        found = features[0]
    geometry = found.get("geometry", found) if isinstance(found, dict) else found
    if not isinstance(geometry, dict) or "type" not in geometry or "features" in geometry:
        raise QueryError(f"--intersects {path}: found no single geometry; pass a GeoJSON geometry or one feature")
    return geometry


def _tile_at(opened: "Archive", at: str) -> int:
    """Return the tile that covers a point with its centre nearest to it."""
    from bandsight.attributes.filters import Filter
    from bandsight.geo.box import LonLatBox

    lon, lat = point_of(at)
    here = LonLatBox(west=lon, south=lat, east=lon, north=lat)
    ids: list[int] = opened.tile_ids(Filter(boxes=(here,))).tolist()
    if not ids:
        raise QueryError(f"--at {at}: no tile of the archive covers this point")

    def off(tile_id: int) -> float:
        box = opened.tile(tile_id).boxes[0]
        return abs(box.west + box.east - 2 * lon) + abs(box.south + box.north - 2 * lat)

    return min(ids, key=off)


def _check_format(out: Path | None) -> None:
    """Reject an unknown export suffix before the search runs."""
    if out is not None:
        from bandsight.export.formats import format_of

        format_of(out)


def _show(
    opened: "Archive", page: "ResultPage", title: str, *, as_json: bool, out: Path | None, sheet: Path | None
) -> None:
    from bandsight.cli.formatting import feature_collection, hits_of, table

    if out is not None:
        from bandsight.export.files import save
        from bandsight.export.formats import format_of
        from bandsight.export.pages import SinglePage

        save(out, format_of(out).stream(SinglePage(opened, page)))
    if as_json:
        typer.echo(json.dumps(feature_collection(page, opened.model)))
    else:
        typer.echo(table(page) if page.rows else _no_results(opened))
    if page.next is not None:
        say(f"more results: --token {page.next}")
    if sheet is not None:
        from bandsight.cli.contact_sheet import contact_sheet

        contact_sheet([(title, hits_of(page))], sheet)
        say(f"contact sheet: {sheet}")


def _no_results(opened: "Archive") -> str:
    scenes = opened.scene_columns()
    return (
        f"No tiles match these filters. Collections: {', '.join(scenes.collection_names()) or 'none'}. "
        f"Sensors: {', '.join(scenes.sensor_names()) or 'none'}."
    )
