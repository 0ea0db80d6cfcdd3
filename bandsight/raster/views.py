"""Base class and helpers for views that read a raster differently from how it is stored."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

# Coarse pixels are means of at most this many pixels along each side.
_FINER = 4
# Steps this close to a whole number of pixels are whole.
_WHOLE = 0.1


class DatasetView:
    """Wraps an open raster and delegates everything it does not override."""

    def __init__(self, inner: DatasetReader) -> None:
        """Wrap an open raster. Closing the view closes it."""
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def close(self) -> None:
        """Close the raster."""
        self.inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def resolve_read(
    view: Any, indexes: int | Sequence[int] | None, window: Window | None, out_shape: tuple[int, ...] | None
) -> tuple[list[int], Window, tuple[int, int]]:
    """Resolve the arguments of `read` to band indexes, a window, and the shape of the result (rows, columns).

    Raises:
        IndexError: A band does not exist.
    """
    numbers = [indexes] if isinstance(indexes, int) else list(indexes or range(1, view.count + 1))
    if not all(1 <= number <= view.count for number in numbers):
        raise IndexError(f"band {max(numbers)} of {view.count}")
    where = window or Window(0, 0, view.width, view.height)
    shape = out_shape or (round(where.height), round(where.width))
    return numbers, where, (shape[-2], shape[-1])


def finer(window: Window, shape: tuple[int, int], resampling: Resampling) -> int:
    """Return how many pixels along each side are averaged to one pixel of the result; 1 for no averaging."""
    if resampling is Resampling.nearest:
        return 1
    step = float(min(window.height / shape[0], window.width / shape[1]))
    # One and a half pixels take three halves.
    each = step if abs(step - round(step)) < _WHOLE else 2 * step
    return max(1, min(_FINER, round(each)))


def nearest(start: float, extent: float, count: int, size: int) -> NDArray[np.int64]:
    """Return the stored row or column at the centre of each of `count` pixels along a side of a window."""
    middles = start + (np.arange(count) + 0.5) * extent / count
    return np.clip(np.floor(middles), 0, size - 1).astype(np.int64)
