"""Labels and classifiers, as plain values: who saw what on which tile, and what was learned from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
