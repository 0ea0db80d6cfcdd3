"""The score of every tile: scanned once for each question and generation, then kept for further map tiles."""

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
from bandsight.search.resolve import Question

# Questions whose scores are kept: 4 bytes a tile each, and some 44 for its boxes, once a filter.
_KEPT = 8
PERCENTILES = (2.0, 50.0, 90.0, 99.0, 99.9)
# The percentiles of the first and the last colour.
_FROM, _TO = 0, -1


@dataclass(frozen=True)
class ScoreField:
    """The score of each tile for one question."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    scores: NDArray[np.float32]
    """Of each tile, shape (n,)."""
    boxes: TileBoxes
    """The boxes of the tiles."""
    scene_at: NDArray[np.intp]
    """Row of each tile's scene, shape (n,)."""
    scenes: SceneColumns
    """The scenes."""
    generation: int
    """The commit that was scanned."""

    @cached_property
    def percentiles(self) -> NDArray[np.float64]:
        """Scores at `PERCENTILES`, shape (5,); zeros when there are no tiles."""
        if not len(self.scores):
            return np.zeros(len(PERCENTILES))
        return np.asarray(np.percentile(self.scores, PERCENTILES), np.float64)

    @property
    def range(self) -> tuple[float, float]:
        """The scores of the first and the last colour."""
        low, high = float(self.percentiles[_FROM]), float(self.percentiles[_TO])
        return low, max(high, low + 1e-6)


class ScoreCache:
    """Keeps scores until the next commit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Filter, int], ScoreField] = OrderedDict()

    def of(self, archive: Archive, question: Question, where: Filter) -> ScoreField:
        """Return the scores of the tiles that pass a filter.

        Raises:
            QueryError: The filter cannot be answered.
        """
        archive.refresh()
        key = (question.key, where, archive.generation)
        # One scan at a time: it uses all cores, and most requests that wait need the same scores.
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = scan(archive, question, where)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return found


def scan(archive: Archive, question: Question, where: Filter) -> ScoreField:
    """Return the scores of all tiles that pass a filter, examples included."""
    generation = archive.generation
    found = archive.similarities(question.scorer.directions, where)
    scores = question.scorer.combine(found.scores)
    return ScoreField(
        ids=found.selection.ids,
        scores=np.ascontiguousarray(scores, np.float32),
        boxes=TileBoxes.of(found.boxes),
        scene_at=found.selection.scene_at,
        scenes=found.selection.scenes,
        generation=generation,
    )
