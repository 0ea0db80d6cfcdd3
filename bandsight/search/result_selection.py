"""Which of the ranked tiles are shown: a least score, few of a group, no two of the same ground, variety."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape

from bandsight.catalog.records import Hit
from bandsight.errors import QueryError

GroupBy = Literal["scene", "place", "collection", "sensor"]

_GROUP: dict[str, Callable[[Hit], object]] = {
    "scene": lambda hit: hit.scene.id,
    "place": lambda hit: hit.tile.cell,
    "collection": lambda hit: hit.scene.collection,
    "sensor": lambda hit: hit.scene.sensor,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSelection:
    """How results are chosen from a ranking; the default shows the ranking as it is."""

    min_score: float | None = None
    """Hits of a lower score are not shown."""
    group_by: GroupBy | None = None
    """At most `per_group` hits are of one scene, place (cell of the tile grid), collection or sensor."""
    per_group: int = 1
    """Most hits of a group."""
    max_overlap: float | None = None
    """A hit is left out when it shares more than this part of the smaller of both footprints (0..1) with a better one,
    of whatever scene, scale or time."""
    diversity: float = 0.0
    """Weight of being unlike the hits above, 0..1 (maximal marginal relevance, Carbonell and Goldstein 1998)."""

    def __post_init__(self) -> None:
        if self.group_by is not None and self.group_by not in _GROUP:
            raise QueryError(f"group_by {self.group_by!r}; need one of {', '.join(_GROUP)}")
        if self.per_group < 1:
            raise QueryError(f"per_group {self.per_group}; need at least 1")
        if self.max_overlap is not None and not 0 <= self.max_overlap <= 1:
            raise QueryError(f"max_overlap {self.max_overlap}; need 0..1")
        if not 0 <= self.diversity <= 1:
            raise QueryError(f"diversity {self.diversity}; need 0..1")
        if self.min_score is not None and not np.isfinite(self.min_score):
            raise QueryError(f"min_score {self.min_score}; need a number")

    @property
    def drops(self) -> bool:
        """True when better hits can push others out."""
        return self.group_by is not None or self.max_overlap is not None


def select(ranking: Sequence[Hit], selection: ResultSelection) -> list[Hit]:
    """Return the hits of a ranking, best first, without those beyond their group's limit or on ground already taken.

    Whether a hit stays depends on better hits only, so a longer ranking keeps the same hits and adds to them.
    """
    counts: Counter[object] = Counter()
    ground = _TakenGround()
    chosen = []
    for hit in ranking:
        if selection.group_by is not None:
            group = _GROUP[selection.group_by](hit)
            if counts[group] >= selection.per_group:
                continue
        if selection.max_overlap is not None and not ground.take(hit, selection.max_overlap):
            continue
        if selection.group_by is not None:
            counts[group] += 1
        chosen.append(hit)
    return chosen


def mmr(vectors: NDArray[np.float32], scores: NDArray[np.float32], k: int, diversity: float) -> list[int]:
    """Return the positions of k candidates by maximal marginal relevance.

    A candidate adds (1 - diversity) × score - diversity × its highest cosine with those taken before.
    """
    left = list(range(len(scores)))
    nearest = np.zeros(len(scores), np.float32)
    taken: list[int] = []
    while left and len(taken) < k:
        gains = (1 - diversity) * scores[left] - diversity * nearest[left]
        best = left.pop(int(np.argmax(gains)))
        similarities = vectors @ vectors[best]
        nearest = similarities if not taken else np.maximum(nearest, similarities)
        taken.append(best)
    return taken


class _TakenGround:
    """Footprints of the hits taken so far."""

    def __init__(self) -> None:
        self._shapes: list[shapely.Geometry] = []
        self._bounds: list[tuple[float, float, float, float]] = []

    def take(self, hit: Hit, most: float) -> bool:
        """Add a hit's footprint and return True, or return False where too much of it is taken."""
        own = shape(hit.tile.geometry)
        west, south, east, north = own.bounds
        if self._bounds:
            bounds = np.array(self._bounds)
            near = np.flatnonzero(
                (bounds[:, 0] < east) & (bounds[:, 2] > west) & (bounds[:, 1] < north) & (bounds[:, 3] > south)
            )
            others = np.array([self._shapes[at] for at in near], object)
            smaller = np.minimum(own.area, shapely.area(others))
            if (shapely.area(shapely.intersection(own, others)) > most * smaller).any():
                return False
        self._shapes.append(own)
        self._bounds.append((west, south, east, north))
        return True
