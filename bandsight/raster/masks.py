"""Where a raster holds data: its own masks, values that mean no data, and empty collars around a picture."""

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

# Whole numbers that have a table of all their values, and can be compared without rounding.
WHOLE_NUMBERS = {np.dtype(kind) for kind in (np.uint8, np.int8, np.uint16, np.int16)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMask:
    """How a file says where it has data."""

    kind: MaskKind
    """`none`: nowhere; `nodata`: a value in its header; `alpha`: a band of opacity; `mask`: a mask band or file."""
    alpha: int | None = None
    """Number of the alpha band, from 1."""


NO_MASK = FileMask(kind="none")


def file_mask(dataset: DatasetReader, used: Collection[int]) -> FileMask:
    """Return how a file says where it has data.

    GDAL takes the last of two or four bands for the mask when its colour is alpha. Here it is the mask wherever it
    stands, but never when it is read as data: near infrared is often tagged as alpha.

    Args:
        dataset: The open file.
        used: Numbers of the bands that are read as data, from 1.
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
    """Return where all bands have one number, shape (rows, columns).

    Args:
        values: Shape (bands, rows, columns).
        number: The number; one that the data type cannot hold is nowhere.
    """
    if values.dtype in WHOLE_NUMBERS:
        limits = np.iinfo(values.dtype)
        if not (float(number).is_integer() and limits.min <= number <= limits.max):
            return np.zeros(values.shape[1:], bool)
        number = int(number)
    where: NDArray[np.bool_] = values[0] == number
    # Where the first band has it nowhere, the others need no look.
    for band in values[1:]:
        if not where.any():
            break
        where &= band == number
    return where


@dataclass(frozen=True, slots=True, kw_only=True)
class Collar:
    """The empty border of a picture: zeros in every band that are connected to its edge."""

    shape: tuple[int, int]
    """Rows and columns of the coarse mask."""
    packed: str
    """The mask, bits, deflated, base64; True in the collar and one cell around it."""
    at_most: float = 0.0
    """Largest number of an empty pixel: lossy compression leaves some noise in black."""

    @classmethod
    def of(cls, mask: NDArray[np.bool_], at_most: float = 0.0) -> "Collar":
        """Return the collar of a coarse mask, shape (rows, columns)."""
        rows, cols = mask.shape
        data = zlib.compress(np.packbits(mask).tobytes(), 9)
        return cls(shape=(rows, cols), packed=base64.b64encode(data).decode("ascii"), at_most=at_most)

    def is_empty(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pixels have no number above the collar's in any band, shape (rows, columns).

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
        """Return which pixels of a window may belong to the collar, shape (rows, columns).

        Args:
            extent: Left, top, right, bottom of the window, pixels of the scene.
            shape: Rows and columns of the window as it is read.
            size: Width and height of the scene.
        """
        left, top, right, bottom = extent
        rows, cols = self.shape
        x = (left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]) * cols / size[0]
        y = (top + (np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]) * rows / size[1]
        across = np.clip(x.astype(np.int64), 0, cols - 1)
        down = np.clip(y.astype(np.int64), 0, rows - 1)
        return self.mask()[down[:, None], across[None, :]]
