"""Loads models and opens archives and files for the commands."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.archive import Archive
    from bandsight.model.clip import ClipEncoder
    from bandsight.model.light import LightEncoder
    from bandsight.model.protocol import Encoder


def say(text: str) -> None:
    """Print a message to stderr; stdout is reserved for results."""
    typer.echo(text, err=True)


def load(source: str, device: str) -> "ClipEncoder | LightEncoder":
    """Load a model."""
    if sys.stderr.isatty():
        say(f"loading model {source} …")
    from bandsight.model import load_model

    return load_model(source, device)


def load_for_queries(source: str, device: str) -> "Encoder":
    """Load a model to embed queries, without PyTorch if it is not needed."""
    from bandsight.model import load_for_queries

    return load_for_queries(source, device)


def identity(encoder: "Encoder") -> Any:
    """Return a model's identity, as archives store it."""
    from bandsight.catalog.records import ModelIdentity

    return ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)


def open_archive(where: str) -> "Archive":
    """Open an archive for reading."""
    from bandsight.archive import Archive

    return Archive.open(where)


def stored_model(where: str) -> str:
    """Return the name of an archive's model."""
    with open_archive(where) as opened:
        return opened.model.name


def wavelengths(text: str | None) -> list[float] | None:
    """Parse `--wavelengths`; None without it.

    Raises:
        QueryError: They are not numbers.
    """
    try:
        return [float(value) for value in text.split(",")] if text else None
    except ValueError as error:
        raise QueryError(f"--wavelengths {text}: need numbers in µm, separated by commas") from error


def read(path: Path) -> bytes:
    """Read an image file.

    Raises:
        QueryError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror}); pass a PNG, JPEG or GeoTIFF") from error
