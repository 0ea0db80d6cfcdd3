"""Labels and classifiers, as plain values: who saw what on which tile, and what was learned from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NONE = "none"
"""The class of a tile that shows none of the classes of its collection."""
SKIP = "skip"
"""The class of a tile that somebody could not decide; nothing is learned from it, and it is not proposed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCollection:
    """A set of labelled tiles that answers one question."""

    id: int
    """Row id."""
    name: str
    """What commands and filters call it."""
    sentences: Mapping[str, str]
    """For each class, the sentence that describes it; `none` has none."""
    created: datetime
    """UTC."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that are looked for, in their order."""
        return tuple(self.sentences)


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlace:
    """Where a tile lies: enough to find it again after its scene has been indexed again."""

    scene: str
    """Href of the scene."""
    cell: str
    """Id of its cell on the tile grid."""
    scale: int
    """Native pixels along each side of a tile pixel."""
    geometry: Mapping[str, Any]
    """Footprint, GeoJSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What one person says that one tile shows."""

    tile: int
    """Id of the tile."""
    cls: str
    """A class of the collection, `none` or `skip`."""
    annotator: str
    """Who says it."""
    created: datetime
    """UTC."""
    model_digest: str
    """Model of the tile's vector at that time."""
    place: TilePlace
    """Where the tile lies."""
    id: int = 0
    """Row id; 0 before it is in the catalog."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """One class against the rest, on the raw vectors: its probability is sigmoid(weights · vector + bias)."""

    cls: str
    """The class."""
    weights: NDArray[np.float32]
    """Shape (dim,)."""
    bias: float
    """Added before the sigmoid."""
    calibrated: bool
    """Whether the probability was fitted on labels of other places than those trained on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """What was learned from the labels of a collection; a version never changes."""

    name: str
    """Name of the collection."""
    version: int
    """From 1, one for each training."""
    created: datetime
    """UTC."""
    model_digest: str
    """Model whose vectors it reads."""
    labels: int
    """How many labels it was trained on."""
    heads: tuple[Head, ...]
    """One for each class."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """Figures, warnings and likely mistakes, as JSON."""


class LabelRows(Protocol):
    """Labels and classifiers within one transaction."""

    def collections(self) -> list[LabelCollection]:
        """Return all collections, by name."""

    def collection(self, name: str) -> LabelCollection | None:
        """Return a collection, None where there is none of this name."""

    def add_collection(self, name: str, sentences: Mapping[str, str]) -> None:
        """Insert a collection; the name is not taken."""

    def set_sentences(self, collection: int, sentences: Mapping[str, str]) -> None:
        """Replace the classes of a collection and their sentences."""

    def delete_collection(self, collection: int) -> None:
        """Delete a collection with its labels and classifiers."""

    def put(self, collection: int, labels: Sequence[Label]) -> None:
        """Insert labels; one of the same tile and annotator is replaced."""

    def remove(self, collection: int, tiles: Sequence[int], annotator: str | None) -> int:
        """Delete the labels of tiles, of one annotator or of all, and return how many there were."""

    def remove_by_id(self, ids: Sequence[int]) -> None:
        """Delete labels by their ids."""

    def labels(self, collection: int) -> list[Label]:
        """Return the labels of a collection, oldest first."""

    def count(self, collection: int) -> int:
        """Return how many labels a collection has."""

    def tile_at(self, place: TilePlace) -> int | None:
        """Return the tile at a place, None where there is none."""

    def add_classifier(self, collection: int, classifier: Classifier) -> int:
        """Insert a classifier as the newest version of its collection and return the version."""

    def classifiers(self, collection: LabelCollection) -> list[Classifier]:
        """Return all versions of a collection's classifier, newest first."""

    def classifier(self, collection: LabelCollection, version: int | None) -> Classifier | None:
        """Return a version of a collection's classifier, the newest for None; None where there is none."""
