"""Splits labels by place, so that neighbours and other dates of a tile are on the same side of a split."""

import numpy as np
import shapely
from numpy.typing import NDArray

Groups = NDArray[np.intp]

# Tiles closer than this fraction of their side share a place, because neighbours show the same fields and clouds.
_REACH = 0.5
# Tiles that overlap by more than this fraction of the smaller one show the same ground.
_SAME_GROUND = 0.5
# Side of a block, tiles; and the number and fraction of grounds from which an area is divided into blocks.
_BLOCK, _CROWD, _CROWD_SHARE = 3.0, 8, 0.2


def places(footprints: NDArray[np.object_]) -> Groups:
    """Return the index of each tile's place, shape (n,).

    Tiles that overlap, touch or nearly touch share a place. If that joins too many tiles, as in a fully labelled scene,
    the area is divided into blocks of 3 × 3 tiles. All dates of a ground are in the same block.

    Args:
        footprints: Shapely geometries in degrees, shape (n,).
    """
    # A footprint across ±180° has two parts, far apart in degrees.
    parts, owner = shapely.get_parts(footprints, return_index=True)
    boxes = shapely.bounds(parts)
    reach = _REACH * np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    wide = shapely.box(boxes[:, 0] - reach, boxes[:, 1] - reach, boxes[:, 2] + reach, boxes[:, 3] + reach)
    first, second = shapely.STRtree(parts).query(wide, predicate="intersects")
    near = _connected(len(footprints), owner[first], owner[second])
    smaller = np.minimum(shapely.area(parts[first]), shapely.area(parts[second]))
    same = shapely.area(shapely.intersection(parts[first], parts[second])) > _SAME_GROUND * smaller
    ground = _connected(len(footprints), owner[first[same]], owner[second[same]])
    centres = shapely.get_coordinates(shapely.centroid(footprints))
    middle = (
        np.stack([np.bincount(ground, centres[:, side]) for side in range(2)], axis=1) / np.bincount(ground)[:, None]
    )
    bounds = shapely.bounds(footprints)
    sides = _BLOCK * np.median(bounds[:, 2:] - bounds[:, :2], axis=0)
    block = np.floor(middle[ground] / sides).astype(np.int64)
    crowded = np.array([len(np.unique(ground[near == one])) for one in range(int(near.max()) + 1)])
    divided = crowded[near] > max(_CROWD, _CROWD_SHARE * (int(ground.max()) + 1))
    keys = np.column_stack([near, np.where(divided[:, None], block, 0)])
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel()


def folds(groups: Groups, positive: NDArray[np.bool_], most: int = 5) -> Groups | None:
    """Return the fold of each label, shape (n,), or None if positives or negatives are from fewer than two places.

    Places are assigned largest first, each to the fold that most lacks its labels.

    Args:
        groups: Place of each label, shape (n,).
        positive: Whether each label is positive, shape (n,).
        most: Maximum number of folds.
    """
    names, at = np.unique(groups, return_inverse=True)
    counts = np.stack([np.bincount(at, positive == truth, len(names)) for truth in (True, False)], axis=1)
    count = min(most, *(int((counts[:, side] > 0).sum()) for side in range(2)))
    if count < 2:  # noqa: PLR2004  (a split needs two sides)
        return None
    need = counts.sum(axis=0) / count
    held = np.zeros((count, 2))
    fold_of = np.zeros(len(names), np.intp)
    for place in np.argsort(-counts.sum(axis=1), kind="stable"):
        lack = ((need - held) / need * (counts[place] > 0)).sum(axis=1)
        fold_of[place] = int(np.argmax(lack))
        held[fold_of[place]] += counts[place]
    # A place may be so large that another fold gets no labels of one kind.
    return fold_of[at] if (held > 0).all() else _merged(fold_of[at], positive, count)


def _merged(fold_of: Groups, positive: NDArray[np.bool_], count: int) -> Groups | None:
    """Merge folds that lack positives or negatives into the first one that has both."""
    whole = [one for one in range(count) if len(set(positive[fold_of == one].tolist())) == 2]  # noqa: PLR2004
    if len(whole) < 2:  # noqa: PLR2004
        return None
    renamed = {one: whole.index(one) if one in whole else 0 for one in range(count)}
    return np.array([renamed[one] for one in fold_of.tolist()], np.intp)


def _connected(count: int, first: Groups, second: Groups) -> Groups:
    """Return the connected component of each node, shape (count,)."""
    lead = np.arange(count)
    while True:
        low = np.minimum(lead[first], lead[second])
        before = lead.copy()
        np.minimum.at(lead, first, low)
        np.minimum.at(lead, second, low)
        lead = lead[lead]
        if np.array_equal(lead, before):
            return np.unique(lead, return_inverse=True)[1]
