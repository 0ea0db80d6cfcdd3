"""Verifies checksums of vector files, and recovers the intact rows of damaged ones."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.segments import Segment
from bandsight.vectors.local.segments import HEADER, ID_BYTES, row_check, rows_at

# Bytes read at a time.
_PART = 1 << 24


def salvage(data: bytes, segment: Segment, dim: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Return ids and vectors of the rows of a damaged file that match their checks; none for version 1."""
    count = segment.count
    # Use the catalog's numbers, so that no rows are lost if the header is damaged.
    data = data.ljust(rows_at(count) + 2 * dim * count, b"\0")
    ids = np.frombuffer(data, "<i8", count, HEADER.size)
    checks = np.frombuffer(data, "<u4", count, HEADER.size + ID_BYTES * count)
    rows = np.frombuffer(data, "<f2", dim * count, rows_at(count)).reshape(count, dim)
    good = [
        row
        for row in range(count)
        if segment.first_id <= ids[row] <= segment.last_id and row_check(int(ids[row]), rows[row]) == checks[row]
    ]
    return ids[good].astype(np.int64), rows[good]


def damaged_ids(data: bytes, segment: Segment, dim: int) -> list[int]:
    """Return the tiles of a damaged file whose rows do not match their checks; none for version 1."""
    count = segment.count
    if len(data) != rows_at(count) + 2 * dim * count:
        return []
    ids = np.frombuffer(data, "<i8", count, HEADER.size)
    sound, _ = salvage(data, segment, dim)
    return np.setdiff1d(ids, sound).tolist()  # type: ignore[no-any-return]


def checksum(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of a segment without its header, hex; the first part must contain the whole header."""
    digest, skip = hashlib.sha256(), HEADER.size
    for part in parts:
        digest.update(part[skip:])
        skip = 0
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a segment's file without its header, hex."""
    with path.open("rb") as file:
        return checksum(iter(lambda: file.read(_PART), b""))
