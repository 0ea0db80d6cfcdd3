"""Attribute columns on disk, one file per segment; derived from the catalog, so a damaged file is written again.

Layout of version 3, little-endian: 8 bytes magic, uint32 format version, uint32 rows, SHA-256 of everything after the
header of 64 bytes, 16 bytes that identify the fields; then the columns, each starting at a multiple of 64 bytes: the
sides of each tile's box rounded outwards to float32 (west, south, east, north), tile ids and scene ids (int64), the
sides of both boxes (float64), and each registered field (float64, NaN if unknown). Version 2 has zeros for the 16
bytes, and the fields valid_fraction and cloud_fraction. A file with other fields than the current ones is ignored.
Columns are memory-mapped, so that only what filters read takes memory.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import TileColumns, rounded_outwards
from bandsight.attributes.fields import FIELDS
from bandsight.vectors.local.checked_files import CheckedFiles

SUFFIX = ".bsc"
_MAGIC, _VERSION = b"BSCOLUMN", 3
_FIELDS_OF_VERSION_2 = ("valid_fraction", "cloud_fraction")
_HEADER = struct.Struct("<8sII32s16s")
_ALIGN, _PART = 64, 1 << 20
# Name, type and number of each column; fields follow.
_LAYOUT = (("bounds", "<f4", 4), ("ids", "<i8", 1), ("scene_ids", "<i8", 1), ("boxes", "<f8", 8))


def save_columns(path: Path, columns: TileColumns) -> None:
    """Write the columns of a segment; if this fails, they are computed again at the next start."""
    body = bytearray(_size(len(columns)))
    values = dict(_views(np.frombuffer(body, np.uint8), len(columns)))
    values["bounds"][:] = rounded_outwards(columns.boxes)
    values["ids"][:], values["scene_ids"][:] = columns.ids, columns.scene_ids
    values["boxes"][:] = columns.boxes.reshape(-1, 8).T
    for name in _fields():
        values[name][:] = columns.values[name]
    header = _HEADER.pack(_MAGIC, _VERSION, len(columns), hashlib.sha256(body).digest(), _fields_digest())
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        temporary.write_bytes(header.ljust(_ALIGN, b"\0") + body)
        temporary.replace(path.with_name(path.name + SUFFIX))


def load_columns(path: Path, ids: NDArray[np.int64], checked: CheckedFiles | None = None) -> TileColumns | None:
    """Return the memory-mapped columns of a segment; None if the file is missing, damaged or does not match.

    Args:
        path: Folder and name of the segment.
        ids: Tile ids of the segment.
        checked: Files that need not be read again.
    """
    count = _sound(path.with_name(path.name + SUFFIX), checked)
    if count is None or count != len(ids):
        return None
    try:
        body = np.memmap(path.with_name(path.name + SUFFIX), np.uint8, "r", _ALIGN, (_size(count),))
    except (OSError, ValueError):
        return None
    values = dict(_views(body, count))
    if not np.array_equal(values["ids"], ids):
        return None
    return TileColumns(
        ids=values["ids"],
        scene_ids=values["scene_ids"],
        boxes=values["boxes"].T.reshape(count, 2, 4),
        values={name: values[name] for name in _fields()},
        bounds=values["bounds"],
    )


def sound_columns(path: Path) -> bool:
    """Return whether a file is intact."""
    return _sound(path) is not None


def _sound(path: Path, checked: CheckedFiles | None = None) -> int | None:
    """Return the number of rows of a file, or None if it is damaged; read without mapping, to save memory."""
    try:
        with path.open("rb") as file:
            magic, version, count, digest, fields = _HEADER.unpack_from(file.read(_ALIGN))
        known = fields == _fields_digest() if version == _VERSION else version == 2 and _fields_are_of_version_2()  # noqa: PLR2004
        if magic != _MAGIC or not known or path.stat().st_size != _ALIGN + _size(count):
            return None
        if checked is None:
            intact = _checksum(path) == digest.hex()
        else:
            intact = checked.sound(path, digest.hex(), lambda: _checksum(path))
    except (OSError, struct.error):
        return None
    return count if intact else None


def _checksum(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(_ALIGN)
        while part := file.read(_PART):
            found.update(part)
    return found.hexdigest()


def _fields() -> tuple[str, ...]:
    return tuple(field.name for field in FIELDS.tile)


def _fields_digest() -> bytes:
    return hashlib.blake2b("\n".join(_fields()).encode(), digest_size=16).digest()


def _fields_are_of_version_2() -> bool:
    return _fields() == _FIELDS_OF_VERSION_2


def _layout() -> tuple[tuple[str, str, int], ...]:
    return (*_LAYOUT, *((name, "<f8", 1) for name in _fields()))


def _size(count: int) -> int:
    return sum(_padded(np.dtype(kind).itemsize * number * count) for _, kind, number in _layout())


def _views(body: NDArray[np.uint8], count: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each column's name and values, of shape (n,) or (number, n)."""
    start = 0
    for name, kind, number in _layout():
        size = np.dtype(kind).itemsize * number * count
        values = body[start : start + size].view(kind)
        yield name, values if number == 1 else values.reshape(number, count)
        start += _padded(size)


def _padded(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
