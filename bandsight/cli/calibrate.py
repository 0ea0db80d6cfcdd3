"""The command that calibrates a model's probabilities."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.evaluate import say_left_out, titles
from bandsight.cli.loading import say
from bandsight.cli.options import DeviceOption, NewModelOption, WavelengthsOption
from bandsight.errors import QueryError


@app.command()
def calibrate(
    data: Annotated[
        list[Path], typer.Argument(help="Folders with one folder of images per class, or webdataset tars.")
    ],
    model: NewModelOption = "embedded",
    device: DeviceOption = "auto",
    family: Annotated[
        str | None,
        typer.Option("--name", help="Family of the images, e.g. radar_x; default: by wavelength."),
    ] = None,
    wavelengths: WavelengthsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write instead, e.g. calibration.json in a model folder.")
    ] = None,
) -> None:
    """Fit a model's probabilities on labelled images.

    Each family of imagery is fitted separately. Use images that the model was not trained on. The calibration is
    stored in your data folder, next to those of other families, and used whenever a model with these weights is loaded.
    """
    from bandsight.evaluation.datasets import LabelledImage, read_dataset
    from bandsight.evaluation.evaluate import embed
    from bandsight.evaluation.fitting import fit_families
    from bandsight.model.calibration import background_entry, background_mean, shipped_calibration, user_file
    from bandsight.model.folder import find_model
    from bandsight.model.scoring import FAMILIES, less_background
    from bandsight.model.scoring import family as family_of

    if family is not None and family not in FAMILIES:
        raise QueryError(f"--name {family}: unknown imagery family; need one of {', '.join(FAMILIES)}")
    waves = loading.wavelengths(wavelengths)
    encoder = loading.load(model, device)
    target = out or user_file(encoder.digest)
    shipped = shipped_calibration(find_model(model).path, encoder.digest)
    # The model's own families stay in use, so new ones are fitted on the same scores.
    mean = shipped.background if shipped.families else background_mean(encoder)
    background = None if mean is None else background_entry(mean)
    known = _read(target, encoder.digest, background)
    images: dict[str, list[LabelledImage]] = {}
    for title, path in zip(titles(data, [path.stem for path in data]), data, strict=True):
        left_out: dict[str, str] = {}
        images[title] = read_dataset(path, wavelengths=waves, left_out=left_out, resized=encoder.resized)
        say_left_out(title, left_out, "bandsight evaluate --out lists them")
    fitted = fit_families(
        lambda some: embed(encoder, some),
        lambda texts: less_background(encoder.embed_texts(texts), mean),
        images,
        lambda image: family or family_of(image.wavelengths),
    )
    _write(
        target,
        {
            "model": encoder.name,
            "model_digest": encoder.digest,
            "background": background,
            "families": known | fitted,
        },
    )
    for name, entry in fitted.items():
        typer.echo(_line(FAMILIES[name], entry))
    say(f"calibration: {target}")


def _read(path: Path, digest: str, background: dict[str, Any] | None) -> dict[str, Any]:
    """Return the families already in a file, if it has the same weights and background."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        families: dict[str, Any] = document["families"]
        same = document.get("model_digest", digest) == digest and document.get("background") == background
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return families if same else {}


def _write(path: Path, document: dict[str, Any]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise QueryError(f"{path}: cannot be written ({error.strerror}); pass another file with --out") from error


def _line(words: str, entry: dict[str, Any]) -> str:
    held = entry["held_out"]
    line = f"{words}: scale {entry['scale']:g}, bias {entry['bias']:g}, match from {entry['threshold']:.0%}"
    line += f"; fitted on {entry['images']:,} images"
    if "gsd_m" in entry:
        line += " of {:g} to {:g} m".format(*entry["gsd_m"])
    if "questions" in entry:
        line += ", only for questions like their classes"
    if not held["images"]:
        return f"{line}; no images left to check it on"
    low, high = held["interval"]
    return (
        f"{line}; on {held['images']:,} held-out images: calibration error {held['expected_calibration_error']:.3f} "
        f"({low:.3f}–{high:.3f}), something matches: precision {held['archive_precision']:.2f}, "
        f"recall {held['archive_recall']:.2f}"
    )
