"""Quality bands: which of their numbers mean cloud, and which mean no data."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The quality band of a product, e.g. Sentinel-2's SCL or Landsat's QA_PIXEL."""

    name: str
    """As the operator names it."""
    file: re.Pattern[str]
    """Finds it in the name of its own file, without suffix."""
    path: re.Pattern[str] | None = None
    """Found in `folder/name`; where one name stands for several codings."""
    cloud_values: tuple[int, ...] = ()
    """Numbers that mean cloud or its shadow."""
    cloud_bits: tuple[int, ...] = ()
    """Bits of which any means cloud or its shadow."""
    cloud_fields: tuple[tuple[int, ...], ...] = ()
    """(first bit, value, …) of two-bit fields in which one of the values means cloud or its shadow."""
    nodata_values: tuple[int, ...] = ()
    """Numbers that mean no data."""
    nodata_bits: tuple[int, ...] = ()
    """Bits of which any means no data."""

    def cloudy(self, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return where there is cloud, of the shape of `numbers`."""
        found = _any(numbers, self.cloud_values, self.cloud_bits)
        for bit, *values in self.cloud_fields:
            found |= np.isin((numbers >> bit) & 0b11, values)
        return found

    def empty(self, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return where there is no data, of the shape of `numbers`."""
        return _any(numbers, self.nodata_values, self.nodata_bits)


def _any(numbers: NDArray[np.integer], values: tuple[int, ...], bits: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = sum(1 << bit for bit in bits)
    return np.asarray(np.isin(numbers, values) | ((numbers & mask) != 0), np.bool_)
