"""The command that measures a model."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bandsight.cli import opening
from bandsight.cli.base import app
from bandsight.cli.opening import say
from bandsight.cli.options import DeviceOption
from bandsight.errors import QueryError


@app.command()
def evaluate(
    data: Annotated[list[Path], typer.Argument(help="Folders of class folders of images, or webdataset tars.")],
    model: Annotated[
        str, typer.Option("--model", help="embedded, hf-hub:OWNER/NAME or local-dir:PATH.", envvar="BANDSIGHT_MODEL")
    ] = "embedded",
    device: DeviceOption = "auto",
    part: Annotated[
        str | None, typer.Option("--part", help="Only held-out, validation or train, by a hash of the names.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the data in that hash; default: its own.")] = None,
    wavelengths: Annotated[
        str | None, typer.Option("--wavelengths", help="Of TIFF bands, µm, e.g. 0.49,0.56,0.665,0.842.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write evaluation.json and evaluation.md here.")] = None,
) -> None:
    """Measure a model on labelled images: retrieval, zero-shot classes, bands, wordings, calibration."""
    from bandsight.evaluation.datasets import read_dataset
    from bandsight.evaluation.evaluate import evaluate as run
    from bandsight.evaluation.report import markdown

    try:
        waves = [float(value) for value in wavelengths.split(",")] if wavelengths else None
    except ValueError as error:
        raise QueryError(f"--wavelengths {wavelengths}: need numbers in µm separated by commas") from error
    sets = {path.stem: read_dataset(path, part, name, waves) for path in data}
    encoder = opening.load(model, device)
    say(f"model {encoder.name} ({encoder.license}) on {encoder.device}")
    results = {title: run(encoder, images) for title, images in sets.items()}
    table = markdown(encoder.name, results)
    typer.echo(table)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        said = {"model": encoder.name, "model_digest": encoder.digest, "part": part, "results": results}
        (out / "evaluation.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        (out / "evaluation.md").write_text(table, encoding="utf-8")
        say(f"figures: {out / 'evaluation.json'}, {out / 'evaluation.md'}")
