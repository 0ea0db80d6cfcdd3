"""Quality bands: which values mean cloud, and which mean nodata."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The quality band of a product, e.g. Sentinel-2's SCL or Landsat's QA_PIXEL."""

    name: str
    """Operator's name."""
    file: re.Pattern[str]
    """Pattern for the file stem."""
    path: re.Pattern[str] | None = None
    """Pattern for `folder/name`, if files with this name use several encodings."""
    cloud_values: tuple[int, ...] = ()
    """Values that mean cloud or cloud shadow."""
    cloud_bits: tuple[int, ...] = ()
    """Bits that mean cloud or cloud shadow."""
    cloud_fields: tuple[tuple[int, ...], ...] = ()
    """(first bit, value, …) of two-bit fields, with the values that mean cloud or cloud shadow."""
    nodata_values: tuple[int, ...] = ()
    """Values that mean nodata."""
    nodata_bits: tuple[int, ...] = ()
    """Bits that mean nodata."""

    def cloudy(self, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return the cloud mask, same shape as `numbers`."""
        found = _any(numbers, self.cloud_values, self.cloud_bits)
        for bit, *values in self.cloud_fields:
            found |= np.isin((numbers >> bit) & 0b11, values)
        return found

    def empty(self, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return the nodata mask, same shape as `numbers`."""
        return _any(numbers, self.nodata_values, self.nodata_bits)


def _any(numbers: NDArray[np.integer], values: tuple[int, ...], bits: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = sum(1 << bit for bit in bits)
    return np.asarray(np.isin(numbers, values) | ((numbers & mask) != 0), np.bool_)
