"""The best label of every tile of an area, its share of the ground, and its map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.maps.rasterize import Canvas, Ground

# Labels × tiles, 4 bytes each.
_MOST = 20_000_000
_PLACES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassField:
    """What the tiles of an area are."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    best: NDArray[np.intp]
    """Number of each tile's label, from 0, shape (n,)."""
    scores: NDArray[np.float32]
    """Its cosine, shape (n,)."""
    ground: Ground
    """Where the tiles lie."""

    def shares(self, labels: Sequence[str]) -> dict[str, dict[str, float | int]]:
        """Return how many tiles each label has and its share of their ground; ground seen twice counts twice."""
        weights = np.zeros(len(self.ids))
        np.add.at(weights, self.ground.at, self.ground.areas())
        total = max(float(weights.sum()), 1e-300)
        tiles = np.bincount(self.best, minlength=len(labels))
        areas = np.bincount(self.best, weights, minlength=len(labels))
        return {
            label: {"tiles": int(count), "area": round(float(area) / total, _PLACES)}
            for label, count, area in zip(labels, tiles, areas, strict=True)
        }

    def paint(self, canvas: Canvas) -> NDArray[np.uint8]:
        """Return the class at each pixel, counted from 1, 0 for none; where tiles overlap the surest one counts."""
        order = np.argsort(self.scores, kind="stable")
        rank = np.empty(len(order), np.float32)
        rank[order] = np.arange(len(order), dtype=np.float32)
        shown = canvas.paint(self.ground, rank)
        seen = np.isfinite(shown)
        classes = np.zeros(shown.shape, np.uint8)
        classes[seen] = self.best[order[shown[seen].astype(np.intp)]] + 1
        return classes


def class_field(archive: Archive, vectors: NDArray[np.float32], wanted: Filter) -> ClassField:
    """Classify all tiles that pass a filter.

    Args:
        archive: Holds them.
        vectors: Of the labels, shape (labels, dim).
        wanted: The filter.

    Raises:
        QueryError: There are too many of them, or the filter cannot be answered as asked.
    """
    archive.refresh()
    count = archive.count(wanted)
    if count * len(vectors) > _MOST:
        raise QueryError(
            f"labels: {len(vectors)} for {count:,} tiles; at most {_MOST:,} pairs are allowed, so narrow the area"
        )
    found = archive.similarities(vectors, wanted)
    best = found.scores.argmax(axis=0)
    scores = found.scores.max(axis=0, initial=-1.0)
    return ClassField(ids=found.selection.ids, best=best, scores=scores, ground=Ground.of(found.boxes))


def ranked(labels: Sequence[str], scores: NDArray[np.float32], chances: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Return labels with score and probability, the likeliest first.

    Args:
        labels: Names.
        scores: Their cosines, shape (labels,).
        chances: Their probabilities, each on its own, shape (labels,).
    """
    order = np.argsort(-scores, kind="stable").tolist()
    return [
        {
            "label": labels[at],
            "probability": round(float(chances[at]), _PLACES),
            "score": round(float(scores[at]), _PLACES),
        }
        for at in order
    ]
