"""The score of every tile, scanned once a question and generation, and kept for the map tiles that follow."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.maps.rasterize import Ground
from bandsight.search.resolve import Question

# Questions whose scores are kept: 4 bytes a tile each, and some 44 for its ground, once a filter.
_KEPT = 8
PERCENTILES = (2.0, 50.0, 90.0, 99.0, 99.9)
# Colours go from the first of them to the last.
_FROM, _TO = 0, -1


@dataclass(frozen=True)
class Field:
    """The scores of a question, tile by tile."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    scores: NDArray[np.float32]
    """Of each tile, shape (n,)."""
    ground: Ground
    """Where they lie."""
    scene_at: NDArray[np.intp]
    """Row of each tile's scene, shape (n,)."""
    scenes: SceneColumns
    """The scenes."""
    generation: int
    """The commit that was scanned."""

    @cached_property
    def percentiles(self) -> NDArray[np.float64]:
        """Scores at `PERCENTILES`, shape (5,); zeros where there is no tile."""
        if not len(self.scores):
            return np.zeros(len(PERCENTILES))
        return np.asarray(np.percentile(self.scores, PERCENTILES), np.float64)

    @property
    def range(self) -> tuple[float, float]:
        """The scores that the first and the last colour stand for."""
        low, high = float(self.percentiles[_FROM]), float(self.percentiles[_TO])
        return low, max(high, low + 1e-6)


class Fields:
    """Remembers scores as long as nothing has been indexed since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Filter, int], Field] = OrderedDict()

    def of(self, archive: Archive, question: Question, wanted: Filter) -> Field:
        """Return the scores of the tiles that pass a filter.

        Raises:
            QueryError: The question or the filter cannot be answered as asked.
        """
        archive.refresh()
        key = (question.key, wanted, archive.generation)
        # One scan at a time: it uses all cores, and those who wait mostly ask the same.
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = scanned(archive, question, wanted)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return found


def scanned(archive: Archive, question: Question, wanted: Filter) -> Field:
    """Scan the vectors; examples are scored as all others are."""
    generation = archive.generation
    found = archive.similarities(question.scorer.directions, wanted)
    scores = question.scorer.combine(found.scores)
    return Field(
        ids=found.selection.ids,
        scores=np.ascontiguousarray(scores, np.float32),
        ground=Ground.of(found.boxes),
        scene_at=found.selection.scene_at,
        scenes=found.selection.scenes,
        generation=generation,
    )
