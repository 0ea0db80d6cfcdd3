"""Rasters that are read as something else than their files hold: what both kinds of them have in common."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

# Pixels of a coarse picture are means of so many by so many finer ones.
_FINER = 4


class DatasetView:
    """Stands for an open raster; what it does not change is the raster's own."""

    def __init__(self, inner: DatasetReader) -> None:
        """Take an open raster, which is closed with the view."""
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


def asked(
    view: Any, indexes: int | Sequence[int] | None, window: Window | None, out_shape: tuple[int, ...] | None
) -> tuple[list[int], Window, tuple[int, int]]:
    """Return what a call of `read` asks for: numbers of bands, a window, and the rows and columns of the result.

    Raises:
        IndexError: There is no such band.
    """
    numbers = [indexes] if isinstance(indexes, int) else list(indexes or range(1, view.count + 1))
    if not all(1 <= number <= view.count for number in numbers):
        raise IndexError(f"band {max(numbers)} of {view.count}")
    where = window or Window(0, 0, view.width, view.height)
    shape = out_shape or (round(where.height), round(where.width))
    return numbers, where, (shape[-2], shape[-1])


def finer(window: Window, shape: tuple[int, int], resampling: Resampling) -> int:
    """Return into how many pixels along each side a pixel of the result is divided, to be their mean: 1 for none."""
    if resampling is Resampling.nearest:
        return 1
    step = float(min(window.height / shape[0], window.width / shape[1]))
    return max(1, min(_FINER, round(step)))


def nearest(start: float, extent: float, count: int, size: int) -> NDArray[np.int64]:
    """Return the stored line or column in the middle of each of `count` pixels along a side of a window."""
    middles = start + (np.arange(count) + 0.5) * extent / count
    return np.clip(np.floor(middles), 0, size - 1).astype(np.int64)
