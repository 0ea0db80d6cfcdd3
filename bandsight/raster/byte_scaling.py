"""Scales stored values to 0..255, with lookup tables for 8- and 16-bit integers."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.raster.filling import filled
from bandsight.raster.masks import WHOLE_NUMBERS
from bandsight.sensors.scaling import Decibel, decibel, stretch

_tables_of_thread = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteScaling:
    """A scene's scaling from stored values to bytes, the same for every tile."""

    to_db: Decibel | None = None
    """Convert SAR amplitude or power to dB first."""
    low: tuple[float, ...]
    """Value that maps to 0, for each band."""
    high: tuple[float, ...]
    """Value that maps to 255, for each band."""

    @classmethod
    def of_stretch(cls, stretch: Mapping[str, Any]) -> "ByteScaling":
        """Return the scaling stored in the catalog as a scene's `stretch`."""
        to_db = stretch.get("to_db")
        return cls(
            # True is from archives that did not distinguish power and amplitude.
            to_db="amplitude" if to_db is True else to_db or None,
            low=tuple(float(value) for value in stretch["low"]),
            high=tuple(float(value) for value in stretch["high"]),
        )


def to_bytes(scaling: ByteScaling, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale a scene's stored values for the model.

    Args:
        scaling: The scene's scaling.
        values: Shape (bands, rows, columns).
    """
    if values.dtype not in WHOLE_NUMBERS:
        return _computed(scaling, values)
    tables = _tables(scaling, values.dtype)
    if tables is None:
        return values
    index = values.view(f"u{values.dtype.itemsize}")
    out = np.empty(values.shape, np.uint8)
    for band, table, made in zip(index, tables, out, strict=True):
        np.take(table, band, out=made, mode="clip")
    return out


def masked_to_bytes(scaling: ByteScaling, values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill the nodata pixels of a tile and scale it for the model.

    Args:
        scaling: The scene's scaling.
        values: Shape (bands, rows, columns).
        valid: Valid pixels, shape (rows, columns), at least one.
    """
    if valid.all():
        return to_bytes(scaling, values)
    return to_bytes(scaling, filled(values.astype(np.float32), valid))


def _computed(scaling: ByteScaling, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    if scaling.to_db:
        values = decibel(values, scaling.to_db)
    pairs = zip(values, scaling.low, scaling.high, strict=True)
    return np.stack([stretch(band, low, high) for band, low, high in pairs])


def _tables(scaling: ByteScaling, kind: np.dtype[Any]) -> NDArray[np.uint8] | None:
    """Return lookup tables, shape (bands, values), or None for the identity."""
    known: tuple[ByteScaling, np.dtype[Any]] | None = getattr(_tables_of_thread, "identity", None)
    if known is None or known[1] != kind or (known[0] is not scaling and known[0] != scaling):
        every = np.arange(1 << 8 * kind.itemsize, dtype=f"u{kind.itemsize}")
        numbers = every.view(kind).astype(np.float32)
        tables = _computed(scaling, np.broadcast_to(numbers, (len(scaling.low), 1, len(numbers))))[:, 0]
        stays = kind == np.uint8 and bool((tables == every).all())
        _tables_of_thread.tables = None if stays else tables
    _tables_of_thread.identity = scaling, kind
    found: NDArray[np.uint8] | None = _tables_of_thread.tables
    return found
