"""Immutable files of raw float16 vectors, memory-mapped: the truth that every index is derived from.

Layout, little-endian: 8 bytes magic, uint32 format version, uint32 dim, uint64 first id, uint64 count, 32 bytes
SHA-256 of the rows, then count × dim float16.
"""

import hashlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ArchiveError
from bandsight.vectors.protocol import Segment

SUFFIX = ".bsv"
_MAGIC = b"BSVECTOR"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQ32s")


def write_segment(folder: Path, first_id: int, vectors: NDArray[np.float16]) -> Segment:
    """Write rows so that they survive a power cut, and return the receipt.

    Args:
        folder: Where segments live.
        first_id: Tile id of the first row.
        vectors: Shape (n, dim).
    """
    rows = np.ascontiguousarray(vectors, "<f2")
    digest = hashlib.sha256(rows.data)
    segment = Segment(
        name=f"seg-{first_id:012d}-{digest.hexdigest()[:12]}",
        first_id=first_id,
        count=len(rows),
        sha256=digest.hexdigest(),
    )
    header = _HEADER.pack(_MAGIC, _VERSION, rows.shape[1], first_id, len(rows), digest.digest())
    write_durably(folder / f"{segment.name}{SUFFIX}", (header, rows.data))
    return segment


def open_segment(folder: Path, segment: Segment, dim: int) -> NDArray[np.float16]:
    """Return the rows of a segment, memory-mapped, shape (count, dim).

    Raises:
        ArchiveError: The file is missing, cut short, or not what the catalog says.
    """
    path = folder / f"{segment.name}{SUFFIX}"
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: this vector file is missing; restore it from a backup or index again") from error
    if len(header) < _HEADER.size or header[:8] != _MAGIC:
        raise ArchiveError(f"{path}: no vector file of Bandsight; restore it from a backup or index again")
    _, version, found_dim, first_id, count, digest = _HEADER.unpack(header)
    if version != _VERSION:
        raise ArchiveError(f"{path}: format version {version}, this Bandsight reads {_VERSION}; update Bandsight")
    wanted = (dim, segment.first_id, segment.count, segment.sha256)
    if (found_dim, first_id, count, digest.hex()) != wanted or size != _HEADER.size + 2 * dim * segment.count:
        raise ArchiveError(
            f"{path}: holds {count} rows of {found_dim} from id {first_id} in {size} bytes, the catalog says "
            f"{segment.count} rows of {dim} from id {segment.first_id}; restore it from a backup or index again"
        )
    if not count:
        return np.empty((0, dim), np.float16)
    return np.memmap(path, "<f2", "r", _HEADER.size, (count, dim))


def checksum(rows: NDArray[np.float16]) -> str:
    """Return the SHA-256 of rows, hex."""
    return hashlib.sha256(np.ascontiguousarray(rows, "<f2").data).hexdigest()


def write_durably(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file under a temporary name, flush it to disk, give it its name, and flush the folder.

    Raises:
        ArchiveError: The disk is full, or does not let us.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ArchiveError(
            f"{path}: cannot be written ({error.strerror}); nothing is lost, make room or check its rights and "
            "run the command again"
        ) from error
