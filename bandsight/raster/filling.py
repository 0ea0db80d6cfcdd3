"""Fills nodata pixels of tiles for the model."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", bound=np.number)


def filled(values: NDArray[_Number], valid: NDArray[np.bool_]) -> NDArray[_Number]:
    """Fill invalid pixels: mirrored at the edge of the valid rows and columns, else with the median.

    A model would interpret black borders as content; mirrored pixels look like more of the same.

    Args:
        values: All bands, shape (bands, rows, columns).
        valid: Valid pixels, shape (rows, columns), at least one.
    """
    if valid.all():
        return values
    rows, cols = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    inner, seen = values[(slice(None), *box)].copy(), valid[box]
    if not seen.all():
        for band in inner:
            band[~seen] = np.median(band[seen])
    height, width = valid.shape
    pad = ((0, 0), (int(rows[0]), height - 1 - int(rows[-1])), (int(cols[0]), width - 1 - int(cols[-1])))
    return np.pad(inner, pad, mode="symmetric")
