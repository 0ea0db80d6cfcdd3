"""Stored numbers become 0..255: by arithmetic, or, for whole numbers of few bits, by a table made with the same."""

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
    """How the stored numbers of a scene become bytes, the same for every tile."""

    to_db: Decibel | None = None
    """SAR amplitude or power becomes dB first."""
    low: tuple[float, ...]
    """Value that becomes 0, for each band."""
    high: tuple[float, ...]
    """Value that becomes 255, for each band."""

    @classmethod
    def of_stretch(cls, stretch: Mapping[str, Any]) -> "ByteScaling":
        """Return what the catalog keeps as a scene's `stretch`."""
        to_db = stretch.get("to_db")
        return cls(
            # True: an archive from before power and amplitude were distinguished.
            to_db="amplitude" if to_db is True else to_db or None,
            low=tuple(float(value) for value in stretch["low"]),
            high=tuple(float(value) for value in stretch["high"]),
        )


def to_bytes(scaling: ByteScaling, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a scene's stored numbers as the model takes them.

    Args:
        scaling: What becomes 0 and what 255.
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
    """Return a tile with pixels that hold no data as the model takes it: filled from the others, then scaled.

    Args:
        scaling: What becomes 0 and what 255.
        values: Shape (bands, rows, columns).
        valid: Where there is data, shape (rows, columns); somewhere at least.
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
    """Return what each number becomes, shape (bands, numbers); None where all stay as they are."""
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
