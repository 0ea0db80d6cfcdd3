"""Valid pixels of rasters: mask bands, nodata values, and collars."""

import base64
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

MaskKind = Literal["none", "nodata", "alpha", "mask"]

# Integer types small enough for lookup tables, and exact in float32.
WHOLE_NUMBERS = {np.dtype(kind) for kind in (np.uint8, np.int8, np.uint16, np.int16)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMask:
    """How a file marks its valid pixels."""

    kind: MaskKind
    """`none`: not at all. `nodata`: a value in the header. `alpha`: an alpha band. `mask`: a mask band or file."""
    alpha: int | None = None
    """Index of the alpha band, from 1."""


NO_MASK = FileMask(kind="none")


def file_mask(dataset: DatasetReader, used: Collection[int]) -> FileMask:
    """Return how a file marks its valid pixels.

    GDAL treats the last of two or four bands as mask if it is tagged as alpha. Here, an alpha band is the mask in any
    position, unless it is read as data, because near infrared is often tagged as alpha.

    Args:
        dataset: The open file.
        used: Indexes of the bands that are read as data, from 1.
    """
    described = zip(dataset.colorinterp, dataset.descriptions, strict=True)
    alpha = [
        i
        for i, (colour, name) in enumerate(described, 1)
        if i not in used and (colour.name == "alpha" or (name or "").strip().lower() in {"alpha", "opacity"})
    ]
    if alpha:
        return FileMask(kind="alpha", alpha=alpha[-1])
    flags = {flag for index in used for flag in dataset.mask_flag_enums[index - 1]}
    if MaskFlags.nodata in flags:
        return FileMask(kind="nodata")
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        return FileMask(kind="mask")
    return NO_MASK


def everywhere(values: NDArray[Any], number: float) -> NDArray[np.bool_]:
    """Return where all bands equal a value, shape (rows, columns).

    Args:
        values: Shape (bands, rows, columns).
        number: The value. One outside the data type's range matches nothing.
    """
    if values.dtype in WHOLE_NUMBERS:
        limits = np.iinfo(values.dtype)
        if not (float(number).is_integer() and limits.min <= number <= limits.max):
            return np.zeros(values.shape[1:], bool)
        number = int(number)
    where: NDArray[np.bool_] = values[0] == number
    # Stop as soon as no pixel is left.
    for band in values[1:]:
        if not where.any():
            break
        where &= band == number
    return where


@dataclass(frozen=True, slots=True, kw_only=True)
class Collar:
    """The empty border of a raster: pixels that are zero in every band and connected to the edge."""

    shape: tuple[int, int]
    """Shape of the coarse mask (rows, columns)."""
    packed: str
    """The mask as deflated bits in base64; True in the collar and one cell around it."""
    at_most: float = 0.0
    """Largest value of an empty pixel, because lossy compression leaves noise in black."""

    @classmethod
    def of(cls, mask: NDArray[np.bool_], at_most: float = 0.0) -> "Collar":
        """Return the collar for a coarse mask, shape (rows, columns)."""
        rows, cols = mask.shape
        data = zlib.compress(np.packbits(mask).tobytes(), 9)
        return cls(shape=(rows, cols), packed=base64.b64encode(data).decode("ascii"), at_most=at_most)

    def is_empty(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pixels are at most `at_most` in every band, shape (rows, columns).

        Args:
            values: Shape (bands, rows, columns).
        """
        return np.asarray(((values >= 0) & (values <= self.at_most)).all(axis=0), np.bool_)

    def mask(self) -> NDArray[np.bool_]:
        """Return the coarse mask, shape (rows, columns)."""
        rows, cols = self.shape
        bits = np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), np.uint8)
        return np.unpackbits(bits, count=rows * cols).astype(bool).reshape(rows, cols)

    def window(
        self, extent: tuple[float, float, float, float], shape: tuple[int, int], size: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Return which pixels of a window may be in the collar, shape (rows, columns).

        Args:
            extent: Left, top, right, bottom of the window, pixels of the scene.
            shape: Rows and columns of the result.
            size: Width and height of the scene.
        """
        left, top, right, bottom = extent
        rows, cols = self.shape
        x = (left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]) * cols / size[0]
        y = (top + (np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]) * rows / size[1]
        across = np.clip(x.astype(np.int64), 0, cols - 1)
        down = np.clip(y.astype(np.int64), 0, rows - 1)
        return self.mask()[down[:, None], across[None, :]]
