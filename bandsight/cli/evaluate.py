"""The command that evaluates a model."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bandsight.cli import loading as opening
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import DeviceOption, NewModelOption, WavelengthsOption
from bandsight.errors import QueryError
from bandsight.progress import phase

if TYPE_CHECKING:
    from bandsight.evaluation.splits import Split

# Number of omitted images named on the terminal; the file lists all.
_NAMED = 5


@app.command()
def evaluate(
    data: Annotated[
        list[Path], typer.Argument(help="Folders with one folder of images per class, or webdataset tars.")
    ],
    model: NewModelOption = "embedded",
    device: DeviceOption = "auto",
    part: Annotated[
        str | None,
        typer.Option("--part", help="Only this part: held-out, validation or train, by a hash of the names."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of the data in that hash, one per DATA; default: the file name."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            help="Only the images of a published test list: rsicd-test, ucm-test or nwpu-test, with the annotation "
            "file next to the images; or a file of names or annotations. One for all, or one per DATA.",
        ),
    ] = None,
    wavelengths: WavelengthsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write evaluation.json and evaluation.md to.")
    ] = None,
) -> None:
    """Evaluate a model on labelled images: retrieval, zero-shot classes, bands, wordings, calibration.

    Every figure has a 95% interval.
    """
    from bandsight.evaluation.datasets import read_dataset
    from bandsight.evaluation.evaluate import evaluate as run
    from bandsight.evaluation.report import markdown

    names = name or [path.stem for path in data]
    if len(names) != len(data):
        raise QueryError(f"--name: {len(names)} for {len(data)} data sets; pass one for each, in the same order")
    splits = _splits(data, split or [])
    waves = opening.wavelengths(wavelengths)
    if out is not None:
        _make(out)
    encoder = opening.load(model, device)
    say(f"model {encoder.name} ({encoder.license}) on {encoder.device}")
    if part is not None:
        named = ", ".join(f"{path} as {called!r}" for path, called in zip(data, names, strict=True))
        say(
            f"part {part}: {named}; the model has not seen this part only if its training data was split by the same "
            "name"
        )
    results = {}
    sets = list(zip(titles(data, names), data, names, splits, strict=True))
    for number, (title, path, called, listed) in enumerate(sets):
        left_out: dict[str, str] = {}
        images = read_dataset(path, part, called, waves, split=listed, left_out=left_out, resized=encoder.resized)
        say_left_out(title, left_out, "evaluation.json lists them (--out)")
        _say_classes(title, [image.cls for image in images])
        which: dict[str, Any] = {} if part is None else {"split_by_name": called}
        if listed is not None:
            which |= {"split": listed.name, "split_images": len(listed.images)}
        with phase(number / len(sets), (number + 1) / len(sets)):
            figures = run(encoder, images)
        results[title] = {**which, **figures, **({"left_out": left_out} if left_out else {})}
    table = markdown(encoder.name, results)
    typer.echo(table)
    if out is not None:
        said = {"model": encoder.name, "model_digest": encoder.digest, "part": part, "results": results}
        (out / "evaluation.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        (out / "evaluation.md").write_text(table, encoding="utf-8")
        say(f"results: {out / 'evaluation.json'}, {out / 'evaluation.md'}")


def _splits(data: Sequence[Path], given: Sequence[str]) -> "list[Split | None]":
    """Return the test list of each data set, or None."""
    from bandsight.evaluation.splits import read_split

    if len(given) not in {0, 1, len(data)}:
        raise QueryError(f"--split: found {len(given)} for {len(data)} data sets; pass one for all, or one for each")
    splits = (
        [read_split(which, path) for which, path in zip(list(given) * (len(data) // len(given)), data, strict=True)]
        if given
        else []
    )
    for one in splits:
        if one.published not in {None, len(one.images)}:
            say(f"{one.name}: {one.file} lists {len(one.images):,} images; the published list has {one.published:,}")
    return [*splits] or [None] * len(data)


def _make(folder: Path) -> None:
    """Create the output folder and check that it is writable before the long evaluation."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise QueryError(f"--out {folder}: cannot be written to ({error.strerror}); pass another folder") from error


def titles(data: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Return the titles of the data sets in the results: their names, or their paths if names repeat."""
    count = Counter(names)
    titles = [called if count[called] == 1 else str(path) for path, called in zip(data, names, strict=True)]
    if twice := [title for title, times in Counter(titles).items() if times > 1]:
        raise QueryError(f"{', '.join(twice)}: given twice; pass each data set once")
    # A name that is not valid UTF-8 must not keep results from being written.
    return [title.encode("utf-8", "backslashreplace").decode("utf-8") for title in titles]


def say_left_out(title: str, left_out: dict[str, str], where: str) -> None:
    """Print the first omitted images, and where all are listed."""
    for key, reason in [*left_out.items()][:_NAMED]:
        say(f"{title}: left out {key}: {reason}")
    if len(left_out) > _NAMED:
        say(f"{title}: left out {len(left_out)} in total; {where}")


def _say_classes(title: str, classes: Sequence[str | None]) -> None:
    known = sorted({cls for cls in classes if cls is not None})
    if len(known) == 1:
        say(f"{title}: one class ({known[0]}), so there is nothing to tell apart; zero-shot figures need two")
    if known and all(cls.isdigit() for cls in known):
        say(f"{title}: its classes are numbers, which no sentence describes; use words as class names")
