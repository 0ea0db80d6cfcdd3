"""Commands that label tiles and train classifiers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, PlainJsonOption
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.learning.service import LabelService

label_app = typer.Typer(
    help="Label tiles: manage collections of labels, import and export them, and list the tiles to label next.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(label_app, name="label")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the label collection.")]
ClassesArgument = Annotated[
    list[str],
    typer.Argument(metavar="CLASS[=SENTENCE]...", help="Classes, optionally with a sentence that describes each."),
]
AnnotatorOption = Annotated[
    str, typer.Option("--annotator", help="Name of the annotator.", envvar="BANDSIGHT_ANNOTATOR", show_default=True)
]


@label_app.command()
def create(archive: ArchiveOption, name: NameArgument, classes: ClassesArgument) -> None:
    """Create a collection of labels, e.g. bandsight label create ponds "pond=a pond"."""
    with loading.open_archive(archive) as opened:
        made = opened.labels.create(name, _classes(classes))
    typer.echo(f"{made.name}: {', '.join(made.classes)}")


@label_app.command("class")
def add_class(archive: ArchiveOption, name: NameArgument, classes: ClassesArgument) -> None:
    """Add classes to a collection, or change their sentences."""
    with loading.open_archive(archive) as opened:
        made = opened.labels.add_classes(name, _classes(classes))
    typer.echo(f"{made.name}: {', '.join(made.classes)}")


@label_app.command("list")
def list_collections(archive: ArchiveOption) -> None:
    """List the label collections."""
    from bandsight.cli.formatting import counted

    with loading.open_archive(archive) as opened:
        found = opened.labels.all()
    for one, count in found:
        typer.echo(f"{one.name}: {', '.join(one.classes)}; {counted(count, 'label')}")
    if not found:
        typer.echo('no labels yet; create a collection: bandsight label create ponds "pond=a pond"')


@label_app.command()
def show(archive: ArchiveOption, name: NameArgument, as_json: PlainJsonOption = False) -> None:
    """Show the contents of a collection, and where annotators disagree."""
    with loading.open_archive(archive) as opened:
        found = _service(opened, None, "cpu").get(name)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for cls, sentence in found["classes"].items():
        typer.echo(f"{cls}: {found['counts'].get(cls, 0)} labels" + (f' ("{sentence}")' if sentence else ""))
    for cls in ("none", "skip"):
        typer.echo(f"{cls}: {found['counts'].get(cls, 0)} labels")
    typer.echo(f"annotators: {', '.join(f'{who} {count}' for who, count in found['annotators'].items()) or 'none'}")
    typer.echo(f"classifier: version {max(found['versions'])}" if found["versions"] else "classifier: not trained")
    if found["conflicts"]:
        typer.echo(f"annotators disagree on {found['conflicts']} tiles:")
        for one in found["conflicting"]:
            said = "; ".join(f"{cls} ({', '.join(who)})" for cls, who in one["classes"].items())
            typer.echo(f"  tile {one['tile']}: {said}")


@label_app.command()
def add(
    archive: ArchiveOption,
    name: NameArgument,
    tiles: Annotated[list[int], typer.Argument(metavar="TILE...", help="Ids of tiles, from search or propose.")],
    cls: Annotated[str, typer.Option("--class", help="What the tiles show: a class, none or skip.")],
    annotator: AnnotatorOption = "anonymous",
) -> None:
    """Label tiles."""
    from bandsight.cli.formatting import counted

    with loading.open_archive(archive) as opened:
        done = opened.labels.add(name, dict.fromkeys(tiles, cls), annotator)
    typer.echo(f"{counted(done, 'tile')} labelled {cls}")


@label_app.command("remove")
def remove_labels(
    archive: ArchiveOption,
    name: NameArgument,
    tiles: Annotated[list[int], typer.Argument(metavar="TILE...", help="Tile ids.")],
    annotator: Annotated[str | None, typer.Option("--annotator", help="Only this annotator's labels.")] = None,
) -> None:
    """Remove the labels of tiles."""
    from bandsight.cli.formatting import counted

    with loading.open_archive(archive) as opened:
        typer.echo(f"{counted(opened.labels.remove(name, tiles, annotator), 'label')} removed")


@label_app.command("import")
def import_labels(
    archive: ArchiveOption,
    name: NameArgument,
    path: Annotated[Path, typer.Argument(help="GeoJSON or GeoParquet of points or polygons.")],
    class_property: Annotated[
        str, typer.Option("--class-property", help="Property that holds the class of a feature.")
    ] = "class",
    cls: Annotated[str | None, typer.Option("--class", help="Class of features without this property.")] = None,
    annotator: AnnotatorOption = "import",
) -> None:
    """Label the tiles that cover points or lie within polygons."""
    from bandsight.cli.formatting import counted
    from bandsight.learning.label_files import import_features, read_features

    document = read_features(path)
    with loading.open_archive(archive) as opened:
        done = import_features(opened, name, document, class_property=class_property, cls=cls, annotator=annotator)
    typer.echo(f"{counted(done['labels'], 'label')} from {counted(done['features'], 'feature')}")
    if done["outside"]:
        say(f"{counted(done['outside'], 'feature')} outside the archive")
    if done["conflicting"]:
        shown = ", ".join(map(str, done["conflicting"][:10]))
        number = counted(len(done["conflicting"]), "tile")
        say(f"{number} left out, because features of different classes cover them: {shown}")


@label_app.command()
def export(
    archive: ArchiveOption,
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", help="GeoJSON file to write.")],
) -> None:
    """Write the labels to a GeoJSON file, which `import` can read."""
    from bandsight.cli.formatting import counted
    from bandsight.export.files import save

    with loading.open_archive(archive) as opened:
        found = _service(opened, None, "cpu").features(name)
    save(out, [json.dumps(found).encode()])
    typer.echo(f"{out}: {counted(len(found['features']), 'label')}")


@label_app.command()
def reattach(archive: ArchiveOption, name: NameArgument) -> None:
    """Move labels to the current tiles at the same location, after scenes were indexed again."""
    from bandsight.cli.formatting import counted

    with loading.open_archive(archive) as opened:
        moved, lost = opened.labels.reattach(name)
    typer.echo(f"{counted(moved, 'label')} moved, {counted(lost, 'label')} without a tile")


@label_app.command("delete")
def delete_collection(archive: ArchiveOption, name: NameArgument) -> None:
    """Delete a collection and its labels and classifiers."""
    with loading.open_archive(archive) as opened:
        opened.labels.delete(name)
    typer.echo(f"{name}: deleted")


@label_app.command()
def propose(
    archive: ArchiveOption,
    name: NameArgument,
    top: Annotated[int, typer.Option("--top", "-k", min=1, max=1000, help="Number of tiles.")] = 20,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Write a contact sheet of the tiles to this PNG file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print GeoJSON instead of a table.")] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """List the tiles whose labels would improve the classifier most."""
    with loading.open_archive(archive) as opened:
        found = _service(opened, model, device).proposals(name, {"limit": top})["features"]
        if sheet is not None:
            _write_sheet(opened, found, sheet)
    if as_json:
        typer.echo(json.dumps({"type": "FeatureCollection", "features": found}))
        return
    for item in found:
        own = item["properties"]
        chance = own.get("bandsight:class_probability")
        west, south, east, north = item["bbox"]
        typer.echo(
            f"{item['id']:>8}  {own['bandsight:class']} {'?' if chance is None else f'{chance:.2f}'}  "
            f"gain {own['bandsight:gain']:.2f}  {(west + east) / 2:.4f} {(south + north) / 2:.4f}"
        )
    if not found:
        typer.echo("no tiles left to propose")


@app.command()
def train(
    archive: ArchiveOption,
    name: NameArgument,
    as_json: PlainJsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a classifier on a collection of labels, and show how reliable it is."""
    with loading.open_archive(archive) as opened:
        made = _service(opened, model, device).train(name)
    typer.echo(json.dumps(made, indent=1) if as_json else _report_text(made))


def _service(opened: Any, model: str | None, device: str) -> "LabelService":
    from bandsight.cli.search import searcher_of
    from bandsight.learning.service import LabelService

    return LabelService(searcher_of(opened, model, device))


def _classes(given: list[str]) -> dict[str, str]:
    """Parse `CLASS=SENTENCE` arguments into sentences by class."""
    pairs = [text.partition("=") for text in given]
    made = {cls.strip(): sentence.strip() for cls, _, sentence in pairs}
    if len(made) < len(pairs):
        raise QueryError(f"classes: found one more than once in {', '.join(given)}; pass each once")
    return made


def _write_sheet(opened: Any, found: list[dict[str, Any]], sheet: Path) -> None:
    from bandsight.catalog.records import Hit
    from bandsight.cli.contact_sheet import contact_sheet

    tiles = opened.tiles_by_id([int(item["id"]) for item in found])
    scenes = opened.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
    hits = [
        Hit(tile=tile, scene=scenes[tile.scene_id], score=0.0, rank=rank)
        for rank, tile in enumerate((tiles[int(item["id"])] for item in found), 1)
    ]
    contact_sheet([("to label", hits)], sheet, ranked=False)
    say(f"contact sheet: {sheet}")


def _report_text(made: dict[str, Any]) -> str:
    report = made["report"]
    lines = [f"{made['name']} version {made['version']}: {made['labels']} labels in {report['places']} places"]
    for cls, own in report["classes"].items():
        lines.append(f"{cls}: {own['labels']} labels, about {100 * own['share_of_archive']:.1f}% of the archive")
        for name in ("average_precision", "precision", "recall"):
            if name in own:
                low, high = own[name]["interval"] or (float("nan"), float("nan"))
                lines.append(f"  {name.replace('_', ' ')} {own[name]['value']:.2f} ({low:.2f} to {high:.2f})")
        if "calibration" in own:
            lines.append(f"  calibration error {own['calibration']['expected_calibration_error']:.3f}")
        if own.get("learning_curve"):
            steps = ", ".join(f"{step['labels']}: {step['average_precision']:.2f}" for step in own["learning_curve"])
            lines.append(f"  average precision by number of labels: {steps}")
    lines += [f"left out: {count}, {reason}" for reason, count in report["left_out"].items()]
    lines += [f"note: {warning}" for warning in report["warnings"]]
    lines += [
        f"check tile {one['tile']}: labelled {one['label']}; judging by other places, this is "
        f"{100 * one['probability']:.0f}% likely ({one['class']})"
        for one in report["mistakes"]
    ]
    return "\n".join(lines)
