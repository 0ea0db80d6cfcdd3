"""Definitions of processes: inputs, command, and description for OGC API - Processes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bandsight.errors import NotFoundError
from bandsight.export.formats import format_named, formats
from bandsight.export.request import ExportBody
from bandsight.search.validation import validated

_MOST_NAMES = 1000
_Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=2000)]], Field(min_length=1, max_length=_MOST_NAMES)
]
_Share = Annotated[float, Field(ge=0, le=1)]
_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Bbox = Annotated[list[float], Field(min_length=4, max_length=4)]


class _Inputs(BaseModel):
    model_config = ConfigDict(extra="forbid")


class IndexInputs(_Inputs):
    """Inputs of `bandsight index`."""

    sources: _Names = Field(
        description="Files, folders, globs, URLs, STAC files or stac:URL, under the server's source roots"
    )
    sensor: _Text | None = Field(None, description="Sensor profile for scenes that match none")
    min_valid: _Share | None = Field(None, description="Minimum valid share of a tile")
    max_cloud: _Share | None = Field(None, description="Maximum cloud share of a tile")
    tile_px: int | None = Field(None, ge=8, le=4096, description="Side of a tile in pixels")
    overlap: float | None = Field(
        None, ge=0, le=0.9, description="Overlap of neighbouring tiles, as a share of the side"
    )
    scales: str | None = Field(
        None,
        pattern=r"^(auto|\d+(,\d+)*)$",
        description="Native pixels per pixel of a tile, e.g. 1,4 for two sets of tiles; auto goes by resolution",
    )
    cells: int | None = Field(None, ge=0, le=8, description="Also embed N × N cells of each tile")
    collections: _Names | None = Field(None, description="For stac:URL: only these collections")
    bbox: _Bbox | None = Field(None, description="For stac:URL: west, south, east, north")
    datetime: _Text | None = Field(None, description="For stac:URL: date or interval")
    max_items: int | None = Field(None, ge=1, description="For stac:URL: maximum number of items")


class RemoveInputs(_Inputs):
    """Scenes to remove."""

    scenes: _Names = Field(description="Paths or URLs of scenes, as given in items")


class OptimizeInputs(_Inputs):
    """Options for building the search index."""

    memory: int | None = Field(None, ge=1, description="Memory per vector in bytes")
    images_only: bool = Field(False, description="Measure recall without text queries")


class CompactInputs(_Inputs):
    """No inputs."""


class ExportInputs(_Inputs):
    """A search to export to a file."""

    request: dict[str, Any] = Field(description="A request, as for POST /search/export")
    format: str = Field("geojson", description="Name of a format, from GET /export-formats")
    vectors: bool = Field(False, description="Include the vector of each tile")


class EvaluateInputs(_Inputs):
    """Labelled images to evaluate the archive's model on."""

    data: _Names = Field(
        description="Folders with one folder of images per class, or webdataset tars, under the server's source roots"
    )
    part: _Text | None = Field(None, pattern="^(held-out|validation|train)$", description="Only this part")


class ApplyInputs(_Inputs):
    """A classifier to apply to the archive."""

    classifier: _Text = Field(description="NAME, NAME/CLASS or NAME@VERSION")
    threshold: _Share = Field(0.5, description="Minimum probability of the class")
    cells: bool = Field(default=False, description="Also write rasters of the cells of tiles")
    bbox: _Bbox | None = Field(None, description="West, south, east, north")
    datetime: _Text | None = Field(None, description="Date or interval")
    collections: _Names | None = Field(None, description="Only these collections")
    sensors: _Names | None = Field(None, description="Only these sensors")


class AtlasInputs(_Inputs):
    """How to lay out the atlas."""

    sample: int | None = Field(None, ge=2, le=50_000, description="Tiles to lay out; all others are placed beside them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of OGC API - Processes."""

    id: str
    """Id in requests."""
    title: str
    """Human-readable title."""
    description: str
    """Description, one sentence."""
    inputs: type[BaseModel]
    """Model of the inputs."""
    command: Callable[[Any, Path], list[str]]
    """Returns the arguments of `bandsight`, from the inputs and the output folder."""
    sources: Callable[[Any], Sequence[str]] = lambda _: ()
    """Returns the files and URLs it reads outside the archive, which must be under the server's roots."""
    check: Callable[[Any], object] = lambda _: None
    """Raises a `QueryError` for inputs that are valid by schema but not for the command."""
    files: bool = False
    """Whether it produces files."""

    def validated(self, inputs: dict[str, Any]) -> BaseModel:
        """Validate inputs.

        Raises:
            QueryError: An input is unknown, missing or invalid.
        """
        found = validated(self.inputs, inputs)
        self.check(found)
        return found


def process_named(name: str) -> Process:
    """Return a process by id.

    Raises:
        NotFoundError: There is no such process.
    """
    if name not in PROCESSES:
        raise NotFoundError(f"process {name[:60]!r}: does not exist; available: {', '.join(PROCESSES)}")
    return PROCESSES[name]


def _options(**values: Any) -> list[str]:
    """Return command-line options; None and False are omitted, lists are repeated."""
    made: list[str] = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            made.append(option)
        elif value is not None and value is not False:
            made += [f"{option}={one}" for one in (value if isinstance(value, list) else [value])]
    return made


def _listed(values: Sequence[object] | None) -> str | None:
    return None if values is None else ",".join(str(value) for value in values)


def _index(given: IndexInputs, _: Path) -> list[str]:
    names = ("sensor", "min_valid", "max_cloud", "tile_px", "overlap", "scales", "cells", "datetime", "max_items")
    options = _options(**{name: getattr(given, name) for name in names})
    options += _options(collections=_listed(given.collections), bbox=_listed(given.bbox))
    return ["index", "--json", "--quiet", *options, "--", *given.sources]


def _remove(given: RemoveInputs, _: Path) -> list[str]:
    return ["remove", "--json", "--", *given.scenes]


def _optimize(given: OptimizeInputs, _: Path) -> list[str]:
    return ["optimize", "--json", *_options(memory=given.memory, images_only=given.images_only)]


def _export(given: ExportInputs, folder: Path) -> list[str]:
    request = folder / ".request.json"
    request.write_text(json.dumps(given.request), encoding="utf-8")
    out = folder / f"results{format_named(given.format).suffixes[0]}"
    return ["export", "--json", *_options(out=out, vectors=given.vectors), "--", str(request)]


def _check_export(given: ExportInputs) -> None:
    format_named(given.format)
    validated(ExportBody, given.request)


def _evaluate(given: EvaluateInputs, folder: Path) -> list[str]:
    return ["evaluate", *_options(out=folder, part=given.part), "--", *given.data]


def _apply(given: ApplyInputs, folder: Path) -> list[str]:
    options = _options(
        out=folder, threshold=given.threshold, bbox=_listed(given.bbox), datetime=given.datetime
    ) + _options(collection=given.collections, sensor=given.sensors)
    options += ["--cells"] if given.cells else []
    return ["apply", "--json", *options, "--", given.classifier]


PROCESSES = {
    one.id: one
    for one in (
        Process(
            id="index",
            title="Index scenes",
            description="Index scenes into the archive. Run it again to add only what is new or has changed.",
            inputs=IndexInputs,
            command=_index,
            sources=lambda given: given.sources,
        ),
        Process(
            id="remove",
            title="Remove scenes",
            description="Remove scenes and their tiles; the files of the scenes stay.",
            inputs=RemoveInputs,
            command=_remove,
        ),
        Process(
            id="optimize",
            title="Build the search index",
            description="Build or extend the search index if the archive is large enough, and measure its recall.",
            inputs=OptimizeInputs,
            command=_optimize,
        ),
        Process(
            id="compact",
            title="Compact the archive",
            description="Delete the vectors of removed scenes and merge small vector files; searches continue.",
            inputs=CompactInputs,
            command=lambda _given, _folder: ["compact", "--json"],
        ),
        Process(
            id="export",
            title="Export results",
            description="Write all results of a search to a file: " + ", ".join(one.title for one in formats()) + ".",
            inputs=ExportInputs,
            command=_export,
            check=_check_export,
            files=True,
        ),
        Process(
            id="evaluate",
            title="Evaluate the model",
            description="Evaluate the model on labelled images: retrieval, classification, bands, calibration.",
            inputs=EvaluateInputs,
            command=_evaluate,
            sources=lambda given: given.data,
            files=True,
        ),
        Process(
            id="apply-classifier",
            title="Apply a classifier",
            description="Apply a trained classifier to every tile, and write a layer: tiles, polygons and rasters.",
            inputs=ApplyInputs,
            command=_apply,
            files=True,
        ),
        Process(
            id="build-atlas",
            title="Lay out the atlas",
            description="Lay out a map of all tiles by how alike they are, with named clusters.",
            inputs=AtlasInputs,
            command=lambda given, _folder: ["atlas", "build", "--json", *_options(sample=given.sample)],
        ),
    )
}
"""All processes by id."""
