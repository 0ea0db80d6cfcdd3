"""Scores of all tiles, computed once per query and generation, then cached for map tiles."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.maps.rasterize import TileBoxes
from bandsight.search.question import Question

# Number of cached queries: 4 bytes per tile each, plus about 44 bytes per tile for the boxes of each filter.
_KEPT = 8
PERCENTILES = (2.0, 50.0, 90.0, 99.0, 99.9)
# Positions of the percentiles for the first and last colour.
_FROM, _TO = 0, -1


@dataclass(frozen=True)
class ScoreField:
    """The score of each tile for a query."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    scores: NDArray[np.float32]
    """Score of each tile, shape (n,)."""
    boxes: TileBoxes
    """The boxes of the tiles."""
    scene_at: NDArray[np.intp]
    """Row of each tile's scene, shape (n,)."""
    scenes: SceneColumns
    """The scenes."""
    generation: int
    """The commit that was searched."""

    @cached_property
    def percentiles(self) -> NDArray[np.float64]:
        """Scores at `PERCENTILES`, shape (5,); zeros if there are no tiles."""
        if not len(self.scores):
            return np.zeros(len(PERCENTILES))
        return np.asarray(np.percentile(self.scores, PERCENTILES), np.float64)

    @property
    def range(self) -> tuple[float, float]:
        """The scores of the first and last colour."""
        low, high = float(self.percentiles[_FROM]), float(self.percentiles[_TO])
        return low, max(high, low + 1e-6)


class ScoreCache:
    """Caches scores until the next commit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Filter, int], ScoreField] = OrderedDict()

    def of(self, archive: Archive, question: Question, where: Filter) -> ScoreField:
        """Return the scores of the tiles that match a filter.

        Raises:
            QueryError: The filter is invalid.
        """
        archive.refresh()
        key = (question.key, where, archive.generation)
        # One scan at a time: it uses all cores, and most waiting requests need the same scores.
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = scan(archive, question, where)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return found


def scan(archive: Archive, question: Question, where: Filter) -> ScoreField:
    """Return the scores of all tiles that match a filter, including example tiles."""
    generation = archive.generation
    found = archive.similarities(question.scorer.directions, where)
    chosen = found.selection
    cosines = question.scorer.combine(found.scores)
    scores = question.families.scores(archive, cosines, chosen.scenes, chosen.scene_at)
    return ScoreField(
        ids=found.selection.ids,
        scores=np.ascontiguousarray(scores, np.float32),
        boxes=TileBoxes.of(found.boxes),
        scene_at=found.selection.scene_at,
        scenes=found.selection.scenes,
        generation=generation,
    )
