"""Commands that apply a classifier to the archive and estimate the area of its class."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import (
    ArchiveOption,
    BboxOption,
    CollectionOption,
    DatetimeOption,
    PlainJsonOption,
    SensorOption,
)
from bandsight.errors import QueryError

area_app = typer.Typer(
    help="Estimate the area of a class and its error from a random sample that you label.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(area_app, name="area")

TermArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A trained classifier: NAME, NAME/CLASS or NAME@VERSION.")
]
ThresholdOption = Annotated[float, typer.Option("--threshold", min=0, max=1, help="Minimum probability of the class.")]


@app.command("apply")
def apply_layer(
    archive: ArchiveOption,
    name: TermArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write the layer to.")] = None,
    threshold: ThresholdOption = 0.5,
    cells: Annotated[
        bool, typer.Option("--cells", help="Also write rasters of the cells of tiles, for scenes indexed with --cells.")
    ] = False,
    compare: Annotated[
        int | None,
        typer.Option("--compare", min=1, help="Show what changed since this version of the classifier instead."),
    ] = None,
    bbox: BboxOption = None,
    when: DatetimeOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    as_json: PlainJsonOption = False,
) -> None:
    """Apply a trained classifier to every tile, and write a layer: tiles, polygons and rasters."""
    from bandsight.attributes.filters import Filter
    from bandsight.learning import layers
    from bandsight.learning.layer_files import write_layer
    from bandsight.search.classifiers import ClassifierTerm

    if cells and out is None:
        raise QueryError("--cells: found no folder to write to; pass --out FOLDER")
    term = ClassifierTerm.parse(name)
    where = Filter.parse(bbox=bbox, datetime=when, collections=collection or (), sensors=sensor or ())
    with loading.open_archive(archive) as opened:
        if compare is not None:
            made = layers.compare(opened, term, compare, threshold)
        else:
            layer = layers.apply_classifier(opened, term, where)
            made = layers.summary(layer, threshold)
            if out is not None:
                made = write_layer(opened, layer, out, threshold, cells=cells)
    if as_json:
        typer.echo(json.dumps(made, indent=1))
    elif compare is not None:
        first, second = made["versions"]
        typer.echo(
            f"{made['class']}: of {made['tiles']:,} tiles, {made['both']:,} in both versions, "
            f"{len(made['gained']):,} in version {second} only, {len(made['lost']):,} in version {first} only"
        )
    else:
        typer.echo(
            f"{made['class']} by {made['classifier']} version {made['version']}: {made['above']:,} of "
            f"{made['tiles']:,} tiles reach {threshold:g}"
        )
        if not made["calibrated"]:
            say("the probabilities of this classifier are not calibrated; label more places, then train again")
        for file in made.get("files", ()):
            typer.echo(f"  {out}/{file}")


@area_app.command()
def draw(
    archive: ArchiveOption,
    name: TermArgument,
    out: Annotated[Path, typer.Option("--out", help="GeoJSON file to write the sample to.")],
    tiles: Annotated[int, typer.Option("--tiles", min=1, max=100_000, help="Number of tiles to draw.")] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")] = 0,
) -> None:
    """Draw a stratified random sample of tiles. Label all of them, then run: bandsight area report."""
    from bandsight.export.files import save
    from bandsight.learning.area import draw as drawn
    from bandsight.learning.layers import apply_classifier
    from bandsight.search.classifiers import ClassifierTerm

    with loading.open_archive(archive) as opened:
        sample = drawn(opened, apply_classifier(opened, ClassifierTerm.parse(name)), tiles, seed=seed)
    save(out, [json.dumps(sample).encode()])
    typer.echo(f"{out}: {len(sample['features'])} tiles to label")


@area_app.command("report")
def area_report(
    archive: ArchiveOption,
    sample: Annotated[Path, typer.Argument(help="Sample file written by bandsight area draw.")],
    threshold: ThresholdOption = 0.5,
    as_json: PlainJsonOption = False,
) -> None:
    """Estimate the area of the class from a labelled sample."""
    from bandsight.learning.area import report
    from bandsight.learning.label_files import read_features

    document = read_features(sample)
    with loading.open_archive(archive) as opened:
        made = report(opened, document, threshold)
    if as_json:
        typer.echo(json.dumps(made, indent=1))
        return
    low, high = made["interval_km2"]
    typer.echo(f"{made['class']}: {made['area_km2']:,.4g} km² (95% interval {low:,.4g} to {high:,.4g})")
    whole, mapped = made["total_area_km2"], made["mapped_area_km2"]
    typer.echo(f"  {100 * made['share']:.2f}% of {whole:,.4g} km²; the map shows {mapped:,.4g} km²")
    for accuracy, meaning in (
        ("users_accuracy", "of the mapped area is correct"),
        ("producers_accuracy", "of the class is mapped"),
    ):
        if made[accuracy] is not None:
            typer.echo(f"  {100 * made[accuracy]:.1f}% {meaning}")
