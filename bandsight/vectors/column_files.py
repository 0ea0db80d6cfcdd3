"""Attribute columns on disk, one file a segment: derived from the catalog, so a bad file is simply written anew.

Layout, little-endian: 8 bytes magic, uint32 format version, uint32 rows, SHA-256 of the rows, then the rows.
"""

import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.columns import TileColumns

SUFFIX = ".bsc"
_MAGIC, _VERSION = b"BSCOLUMN", 2
_HEADER = struct.Struct("<8sII32s")
_SHARES = ("valid_fraction", "cloud_fraction")
_ROW = np.dtype([("id", "<i8"), ("scene_id", "<i8"), ("boxes", "<f8", (2, 4)), *((name, "<f8") for name in _SHARES)])


def save_columns(path: Path, columns: TileColumns) -> None:
    """Write columns beside their segment's name; a disk that does not let us costs time at the next start, no more."""
    rows = np.empty(len(columns), _ROW)
    rows["id"], rows["scene_id"] = columns.ids, columns.scene_ids
    rows["boxes"] = columns.boxes
    rows["valid_fraction"], rows["cloud_fraction"] = columns.valid_fraction, columns.cloud_fraction
    header = _HEADER.pack(_MAGIC, _VERSION, len(rows), hashlib.sha256(rows.tobytes()).digest())
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        temporary.write_bytes(header + rows.tobytes())
        temporary.replace(path.with_name(path.name + SUFFIX))


def load_columns(path: Path, ids: NDArray[np.int64]) -> TileColumns | None:
    """Return the columns of a segment's tiles, or None when their file is gone, damaged or does not fit."""
    rows = _read(path.with_name(path.name + SUFFIX))
    if rows is None or not np.array_equal(rows["id"], ids):
        return None
    return TileColumns(
        ids=rows["id"].copy(),
        scene_ids=rows["scene_id"].copy(),
        boxes=rows["boxes"].copy(),
        valid_fraction=rows["valid_fraction"].copy(),
        cloud_fraction=rows["cloud_fraction"].copy(),
    )


def sound_columns(path: Path) -> bool:
    """Say whether a file is what was written."""
    return _read(path) is not None


def _read(path: Path) -> NDArray[np.void] | None:
    try:
        data = path.read_bytes()
        magic, version, count, digest = _HEADER.unpack_from(data)
    except (OSError, struct.error):
        return None
    body = data[_HEADER.size :]
    if (magic, version) != (_MAGIC, _VERSION) or len(body) != count * _ROW.itemsize:
        return None
    return np.frombuffer(body, _ROW) if hashlib.sha256(body).digest() == digest else None
