"""Splits labels by place, so that no neighbour and no other date of a tile is on both sides of a split."""

import numpy as np
import shapely
from numpy.typing import NDArray

Groups = NDArray[np.intp]

# Tiles closer than this share of their own side count as one place: neighbours show the same fields and clouds.
_REACH = 0.5


def places(footprints: NDArray[np.object_]) -> Groups:
    """Return the number of the place of each tile, shape (n,): tiles that overlap, touch or nearly touch share one.

    Args:
        footprints: Shapely geometries in degrees, shape (n,).
    """
    boxes = shapely.bounds(footprints)
    # Across ±180° a footprint has two parts, far apart in degrees; their union of boxes spans the Earth.
    parts, owner = shapely.get_parts(footprints, return_index=True)
    boxes = shapely.bounds(parts)
    reach = _REACH * np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    wide = shapely.box(boxes[:, 0] - reach, boxes[:, 1] - reach, boxes[:, 2] + reach, boxes[:, 3] + reach)
    first, second = shapely.STRtree(parts).query(wide, predicate="intersects")
    return _connected(len(footprints), owner[first], owner[second])


def folds(groups: Groups, positive: NDArray[np.bool_], most: int = 5) -> Groups | None:
    """Return the fold of each label, shape (n,); None where positives or others are of fewer than two places.

    Places are dealt out largest first, each to the fold that lacks its labels most.

    Args:
        groups: The place of each label, shape (n,).
        positive: Whether it shows the class, shape (n,).
        most: Most folds.
    """
    names, at = np.unique(groups, return_inverse=True)
    counts = np.stack([np.bincount(at, positive == truth, len(names)) for truth in (True, False)], axis=1)
    count = min(most, *(int((counts[:, side] > 0).sum()) for side in range(2)))
    if count < 2:  # noqa: PLR2004  (a split has two sides)
        return None
    need = counts.sum(axis=0) / count
    held = np.zeros((count, 2))
    fold_of = np.zeros(len(names), np.intp)
    for place in np.argsort(-counts.sum(axis=1), kind="stable"):
        lack = ((need - held) / need * (counts[place] > 0)).sum(axis=1)
        fold_of[place] = int(np.argmax(lack))
        held[fold_of[place]] += counts[place]
    # A place may be so large that another fold gets no label of one kind.
    return fold_of[at] if (held > 0).all() else _merged(fold_of[at], positive, count)


def _merged(fold_of: Groups, positive: NDArray[np.bool_], count: int) -> Groups | None:
    """Return folds with those that lack a kind of label joined to the first that has both."""
    whole = [one for one in range(count) if len(set(positive[fold_of == one].tolist())) == 2]  # noqa: PLR2004
    if len(whole) < 2:  # noqa: PLR2004
        return None
    renamed = {one: whole.index(one) if one in whole else 0 for one in range(count)}
    return np.array([renamed[one] for one in fold_of.tolist()], np.intp)


def _connected(count: int, first: Groups, second: Groups) -> Groups:
    """Return the number of the connected component of each of some nodes, shape (count,)."""
    lead = np.arange(count)
    while True:
        low = np.minimum(lead[first], lead[second])
        before = lead.copy()
        np.minimum.at(lead, first, low)
        np.minimum.at(lead, second, low)
        lead = lead[lead]
        if np.array_equal(lead, before):
            return np.unique(lead, return_inverse=True)[1]
