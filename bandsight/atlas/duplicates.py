"""Pairs of tiles whose vectors are nearly the same: the same picture twice, one place on two dates, or look-alikes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.atlas.atlas import Atlas
from bandsight.atlas.layout import NEAREST
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.work import check_cancelled

# Tiles of one group that are compared with each other at a time; of larger groups, those next in likeness.
_GROUP = 1000
# Rows of vectors in memory at a time.
_ROWS = 20_000
MAX_PAIRS = 1_000_000
"""Pairs that are kept; an archive with more needs a higher threshold."""
# Of the smaller tile: from this overlap on, two tiles show the same ground. They are of about one size.
_OVERLAP, _RATIO = 0.5, 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of tiles of different scenes, the most alike first."""

    first: NDArray[np.intp]
    """Row of one tile in the atlas, shape (p,)."""
    second: NDArray[np.intp]
    """Row of the other, shape (p,)."""
    cosine: NDArray[np.float32]
    """Of their vectors, shape (p,)."""
    same_ground: NDArray[np.bool_]
    """Whether they overlap by at least half, shape (p,)."""
    same_day: NDArray[np.bool_]
    """Whether their scenes are of one day, or of no known day, shape (p,)."""

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which show one ground on one day: the same picture twice."""
        return self.same_ground & self.same_day

    @property
    def repeats(self) -> NDArray[np.bool_]:
        """Which show one ground on two days."""
        return self.same_ground & ~self.same_day


def near_duplicates(
    archive: Archive, atlas: Atlas, scene: NDArray[np.int64], day: NDArray[np.int32], least: float
) -> Pairs:
    """Return pairs of tiles of different scenes whose cosine reaches a threshold.

    Only tiles that share one of their five nearest of the atlas's sample are compared, so a few pairs may be missed.

    Args:
        archive: The archive.
        atlas: The atlas of its present commit.
        scene: Scene of each tile of the atlas, shape (n,).
        day: Day of each, shape (n,).
        least: The threshold, above 0.

    Raises:
        QueryError: There are too many pairs.
    """
    found: list[NDArray[np.intp]] = []
    cosines: list[NDArray[np.float32]] = []
    count = 0
    for groups in _batches(_groups(atlas)):
        check_cancelled()
        rows = np.unique(np.concatenate(groups))
        vectors = archive.vectors(atlas.ids[rows].tolist())
        for group in groups:
            own = vectors[np.searchsorted(rows, group)]
            likeness = own @ own.T
            one, two = np.nonzero(np.triu(likeness >= np.float32(least), 1))
            apart = scene[group[one]] != scene[group[two]]
            one, two = one[apart], two[apart]
            found.append(np.sort(np.stack([group[one], group[two]], axis=1), axis=1))
            cosines.append(likeness[one, two])
            count += len(one)
        # A pair is found once for each of the sample that both are near.
        if count > 2 * NEAREST * MAX_PAIRS:
            raise QueryError(f"likeness: more than {MAX_PAIRS:,} pairs reach {least:g}; pass a higher one")
    pairs = np.concatenate([np.empty((0, 2), np.intp), *found])
    values = np.concatenate([np.empty(0, np.float32), *cosines])
    pairs, at = np.unique(pairs, axis=0, return_index=True)
    order = np.argsort(-values[at], kind="stable")
    first, second = pairs[order].T
    boxes = _boxes(archive, atlas)
    return Pairs(
        first=first,
        second=second,
        cosine=np.minimum(values[at][order], 1),
        same_ground=_overlapping(boxes[first], boxes[second]),
        same_day=day[first] == day[second],
    )


def _groups(atlas: Atlas) -> Iterator[NDArray[np.intp]]:
    """Yield rows of tiles that share one of their nearest of the sample, at most `_GROUP` of them."""
    near = atlas.found
    anchors, rows = near.ravel(), np.repeat(np.arange(len(near)), near.shape[1])
    order = np.lexsort((-atlas.cosines.ravel(), anchors))
    anchors, rows = anchors[order], rows[order]
    for group in np.split(rows, np.flatnonzero(np.diff(anchors)) + 1):
        for start in range(0, len(group), _GROUP):
            if len(part := group[start : start + _GROUP]) > 1:
                yield np.asarray(part, np.intp)


def _batches(groups: Iterator[NDArray[np.intp]]) -> Iterator[list[NDArray[np.intp]]]:
    batch: list[NDArray[np.intp]] = []
    size = 0
    for group in groups:
        batch.append(group)
        size += len(group)
        if size >= _ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _boxes(archive: Archive, atlas: Atlas) -> NDArray[np.float64]:
    """Return (west, south, east, north) of each tile of the atlas; of one across ±180°, its larger part."""
    middle = atlas.sample.astype(np.float32).mean(axis=0)
    found = archive.similarities(middle[None], Filter())
    both = found.boxes[np.searchsorted(found.selection.ids, atlas.ids)]
    return np.where((_area(both[:, 1]) > _area(both[:, 0]))[:, None], both[:, 1], both[:, 0])


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nan_to_num((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _overlapping(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which boxes share half of the smaller one, where neither is more than twice as large."""
    low, high = np.maximum(one[:, :2], two[:, :2]), np.minimum(one[:, 2:], two[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = np.sort(np.stack([_area(one), _area(two)]), axis=0)
    return np.asarray((shared >= _OVERLAP * areas[0]) & (areas[1] <= _RATIO * areas[0]) & (areas[0] > 0), np.bool_)
