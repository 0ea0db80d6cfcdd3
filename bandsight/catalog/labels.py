"""Labels and classifiers, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NONE = "none"
"""Class of tiles that show none of the collection's classes."""
SKIP = "skip"
"""Class of tiles the annotator could not decide. They are not used for training and not proposed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCollection:
    """A named set of labelled tiles."""

    id: int
    """Row id."""
    name: str
    """Name in commands and filters."""
    sentences: Mapping[str, str]
    """Sentence that describes each class; `none` has no sentence."""
    created: datetime
    """Creation time, UTC."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        return tuple(self.sentences)


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlace:
    """Location of a tile, sufficient to find it after its scene was reindexed."""

    scene: str
    """Href of the scene."""
    cell: str
    """Id of the grid cell."""
    scale: int
    """Native pixels per tile pixel, along each side."""
    geometry: Mapping[str, Any]
    """Footprint, GeoJSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label that an annotator gave to a tile."""

    tile: int
    """Id of the tile."""
    cls: str
    """A class of the collection, `none` or `skip`."""
    annotator: str
    """Name of the annotator."""
    created: datetime
    """Creation time, UTC."""
    model_digest: str
    """Digest of the model at that time."""
    place: TilePlace
    """Location of the tile."""
    id: int = 0
    """Row id; 0 before it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A one-vs-rest linear head on raw vectors: probability = sigmoid(weights · vector + bias)."""

    cls: str
    """The class."""
    weights: NDArray[np.float32]
    """Shape (dim,)."""
    bias: float
    """Bias term."""
    calibrated: bool
    """Whether the probability was calibrated on labels of places not used for training."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """A classifier trained on the labels of a collection. Versions are immutable."""

    name: str
    """Name of the collection."""
    version: int
    """Version number, from 1, incremented by each training."""
    created: datetime
    """Creation time, UTC."""
    model_digest: str
    """Digest of the model whose vectors it takes."""
    labels: int
    """Number of labels it was trained on."""
    heads: tuple[Head, ...]
    """One head per class."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """Metrics, warnings and likely label errors, as JSON."""


class LabelRows(Protocol):
    """Labels and classifiers within one transaction."""

    def collections(self) -> list[LabelCollection]:
        """Return all collections, by name."""

    def collection(self, name: str) -> LabelCollection | None:
        """Return a collection, or None if there is none with this name."""

    def add_collection(self, name: str, sentences: Mapping[str, str]) -> None:
        """Insert a collection. The name must not be in use."""

    def set_sentences(self, collection: int, sentences: Mapping[str, str]) -> None:
        """Replace the classes of a collection and their sentences."""

    def delete_collection(self, collection: int) -> None:
        """Delete a collection with its labels and classifiers."""

    def put(self, collection: int, labels: Sequence[Label]) -> None:
        """Insert labels. Replaces labels of the same tile and annotator."""

    def remove(self, collection: int, tiles: Sequence[int], annotator: str | None) -> int:
        """Delete the labels of tiles, of one annotator or of all. Returns the number deleted."""

    def remove_by_id(self, ids: Sequence[int]) -> None:
        """Delete labels by their ids."""

    def labels(self, collection: int) -> list[Label]:
        """Return the labels of a collection, oldest first."""

    def count(self, collection: int) -> int:
        """Return the number of labels in a collection."""

    def tile_at(self, place: TilePlace) -> int | None:
        """Return the tile at a place, or None."""

    def add_classifier(self, collection: int, classifier: Classifier) -> int:
        """Insert a classifier as the newest version of its collection and return the version."""

    def classifiers(self, collection: LabelCollection) -> list[Classifier]:
        """Return all versions of a collection's classifier, newest first."""

    def classifier(self, collection: LabelCollection, version: int | None) -> Classifier | None:
        """Return a version of a collection's classifier (None for the newest), or None if there is none."""
