"""Grids that are not north up: their orientation, and rotating pixels to north up."""

import math
from typing import TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

# Grids rotated by more than this from a multiple of 90° are warped, not turned, degrees.
_ASKEW_DEG = 0.5
# Tolerance for parallel grids, as a fraction of a pixel.
_PARALLEL = 1e-6
# Maximum ratio of the warped area to the stored one.
_MOST_EMPTY = 200


def north_up(transform: Affine, width: int, height: int) -> tuple[Affine, int, int]:
    """Return the north-up transform and size of a grid turned by multiples of 90°, or flipped.

    Args:
        transform: Affine from pixels to the CRS.
        width: Columns.
        height: Rows.
    """
    if abs(transform.a) < abs(transform.d):
        transform, width, height = transform @ Affine(0, 1, 0, 1, 0, 0), height, width
    if transform.a < 0:
        transform = transform @ Affine.translation(width, 0) @ Affine.scale(-1, 1)
    if transform.e > 0:
        transform = transform @ Affine.translation(0, height) @ Affine.scale(1, -1)
    return transform, width, height


def is_askew(transform: Affine) -> bool:
    """Return whether a grid is sheared, or rotated other than by right angles."""
    east = math.degrees(math.atan2(transform.d, transform.a)) % 90
    down = math.degrees(math.atan2(transform.e, transform.b)) % 90
    return any(min(angle, 90 - angle) > _ASKEW_DEG for angle in (east, down))


def upright_grid(transform: Affine, width: int, height: int) -> tuple[Affine, int, int] | None:
    """Return a north-up grid around a rotated raster, with square pixels of the same size.

    Its origin is a multiple of the pixel size, so that grids with equal pixel size align.

    Args:
        transform: Affine from pixels to the CRS.
        width: Columns.
        height: Rows.

    Returns:
        Transform, columns and rows, or None if the raster is sheared so much that the grid would be mostly empty.
    """
    side = math.sqrt(abs(transform.determinant))
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    if not (side > 0 and all(math.isfinite(value) for corner in corners for value in corner)):
        return None
    left, right = (pick(x for x, _ in corners) / side for pick in (min, max))
    bottom, top = (pick(y for _, y in corners) / side for pick in (min, max))
    west, north = math.floor(left + _PARALLEL), math.ceil(top - _PARALLEL)
    columns, rows = math.ceil(right - _PARALLEL) - west, north - math.floor(bottom + _PARALLEL)
    if columns * rows > _MOST_EMPTY * width * height:
        return None
    return Affine(side, 0, west * side, 0, -side, north * side), columns, rows


def is_aligned(step: Affine) -> bool:
    """Return whether two grids differ only by scale, offset, flips and right angles.

    Args:
        step: Affine from the pixels of one grid to those of the other.
    """
    straight, across = max(abs(step.a), abs(step.e)), max(abs(step.b), abs(step.d))
    return bool(min(straight, across) < _PARALLEL * max(straight, across) and abs(step.determinant) > 0)


def swaps_axes(step: Affine) -> bool:
    """Return whether columns of the scene run along rows of the file.

    Args:
        step: Affine from the scene's pixels to the file's.
    """
    return abs(step.a) < abs(step.b)


def turned(data: NDArray[T], step: Affine) -> NDArray[T]:
    """Turn pixels read from a file to the scene's orientation; a view if nothing changes.

    Args:
        data: Shape (..., rows, columns), in the file's orientation.
        step: Affine from the scene's pixels to the file's.
    """
    down, across = step.e, step.a
    if swaps_axes(step):
        data, down, across = data.swapaxes(-1, -2), step.b, step.d
    if across < 0:
        data = data[..., ::-1]
    if down < 0:
        data = data[..., ::-1, :]
    return data


def file_shape(shape: tuple[int, int], step: Affine) -> tuple[int, int]:
    """Return the rows and columns to read from a file for an array of the scene's rows and columns."""
    return shape[::-1] if swaps_axes(step) else shape
