"""Immutable files of raw float16 vectors, memory-mapped: the truth that every index is derived from.

Layout of version 2, little-endian: a header of 64 bytes (magic, uint32 version, uint32 dim, uint64 first id, uint64
count, SHA-256 of all that follows), count × int64 tile ids, count × uint32 checks, zeros to a multiple of 64 bytes,
count × dim float16. The check of a row is the CRC-32 of its id and its vector. Version 1 has no ids (they are
consecutive), no checks and no zeros.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.segments import Segment
from bandsight.errors import ArchiveError

SUFFIX = ".bsv"
_MAGIC = b"BSVECTOR"
_VERSION = 2
HEADER = struct.Struct("<8sIIQQ32s")
CHECK_BYTES, ID_BYTES, _ALIGN = 4, 8, 64
# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss


class _Opened:
    """A file's descriptor, closed with its last user.

    Rows that are scored one by one are read, not mapped: that takes no memory, and a disk's error is an error.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._own = os.dup(file.fileno())

    def __del__(self) -> None:
        os.close(self._own)

    def read(self, offsets: list[int], into: NDArray[np.uint8]) -> bool:
        """Fill each row of a buffer from its offset on, and return whether that was possible.

        A search reads a thousand rows: this loop is most of what rescoring them costs.
        """
        read, own = os.preadv, self._own
        return sum(read(own, (row,), offset) for row, offset in zip(into, offsets, strict=True)) == into.nbytes


class Fp16Rows:
    """Scores rows of float16 against queries in float32, by FAISS's scalar quantiser of half precision.

    That quantiser's code of a vector is the vector in float16, so a segment's rows are its codes as they are. On one
    core this reads 200,000 rows of 1152 in 20 ms, where float32 rows take 35 and NumPy's conversion takes 400.
    """

    def __init__(self, rows: NDArray[np.float16]) -> None:
        """Look at rows, shape (n, dim), contiguous; they must not change."""
        count, dim = rows.shape
        self._rows = rows
        self._index = _faiss.IndexScalarQuantizer(dim, _faiss.ScalarQuantizer.QT_fp16, _faiss.METRIC_INNER_PRODUCT)
        # `MaybeOwnedVector` (faiss/impl/maybe_owned_vector.h) reads what it does not own; its fields are public, but
        # its constructor for that takes an owner that only C++ can make. `_rows` is the owner here.
        address = _faiss.swig_ptr(rows.reshape(-1).view(np.uint8))
        codes = self._index.codes
        codes.is_owned = False
        codes.view_data = codes.c_ptr = address
        codes.view_size = codes.c_size = rows.nbytes
        self._index.ntotal = count

    def best(
        self, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return scores and places of the k best rows of each query, best first, both of shape (queries, k).

        Args:
            queries: Shape (q, dim).
            k: At most the number of rows that count.
            mask: Which rows count, shape (n,); all when None.
        """
        if mask is None:
            scores, at = self._index.search(queries, k)
        else:
            # Held by a name for as long as FAISS reads them.
            bits = np.packbits(mask, bitorder="little")
            selector = _faiss.IDSelectorBitmap(bits)
            scores, at = self._index.search(queries, k, params=_faiss.SearchParameters(sel=selector))
        return scores, at


class Body(Protocol):
    """The vectors of a segment, wherever they are."""

    @property
    def rows(self) -> NDArray[np.float16]:
        """All of them, memory-mapped, shape (n, dim)."""

    @property
    def on_demand(self) -> NDArray[np.float16]:
        """The same, or what can be indexed like it and gets them when it is."""

    @property
    def half(self) -> Fp16Rows:
        """Scores them where they lie."""

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Return some of them, not compared with their checks.

        Raises:
            ArchiveError: They cannot be read.
        """

    def forget(self) -> bool:
        """Drop a copy that turned out to be damaged, and return whether there may be a better one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedBody:
    """The vectors of a file on this machine."""

    name: str
    """Name of the file, for messages."""
    rows: NDArray[np.float16]
    """See `Body`."""
    half: Fp16Rows
    """See `Body`."""
    opened: _Opened
    """The file."""
    start: int
    """Where the vectors begin in it, bytes."""

    @property
    def on_demand(self) -> NDArray[np.float16]:
        """All of them: only what is looked at is read."""
        return self.rows

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Return some rows, read from the file; see `Body`."""
        dim = self.rows.shape[1]
        taken = np.empty((len(rows), dim), np.float16)
        offsets = (self.start + 2 * dim * rows.astype(np.int64)).tolist()
        try:
            whole = self.opened.read(offsets, taken.view(np.uint8))
        except OSError as error:
            raise ArchiveError(f"{self.name}: cannot be read ({error.strerror}); run: bandsight verify") from error
        if not whole:
            raise ArchiveError(f"{self.name}: ends within its rows; run: bandsight repair")
        return taken

    def forget(self) -> bool:
        """Keep it: there is no other copy."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSegment:
    """A segment, open for reading."""

    name: str
    """Name of the file, for messages."""
    ids: NDArray[np.int64]
    """Tile ids, ascending, memory-mapped, shape (n,)."""
    checks: NDArray[np.uint32] | None
    """Check of each row, shape (n,); None in version 1."""
    body: Body
    """The vectors."""
    first_id: int
    """Tile id of the first row."""
    last_id: int
    """Tile id of the last row, by the file."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> NDArray[np.float16]:
        """Vectors, shape (n, dim)."""
        return self.body.rows

    @property
    def half(self) -> Fp16Rows:
        """Scores the rows where they lie."""
        return self.body.half

    @property
    def gapless(self) -> bool:
        """Whether the ids are consecutive, so that none has to be looked up."""
        return int(self.ids[0]) == self.first_id and self.last_id - self.first_id + 1 == len(self)

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the row of each tile id, None when one is not here."""
        if self.gapless:
            at = ids - self.first_id
            return at if not len(at) or (at.min() >= 0 and at.max() < len(self)) else None
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return at if np.array_equal(self.ids[at], ids) else None

    def ids_of(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the tile id of each row."""
        return rows.astype(np.int64) + self.first_id if self.gapless else np.asarray(self.ids[rows])

    def mark(self, mask: NDArray[np.bool_], marked: NDArray[np.bool_], first_id: int) -> None:
        """Copy a mask over rows into one over tile ids from a first id on, which no row that is set lies outside."""
        at = self.first_id - first_id
        if self.gapless and at >= 0:
            marked[at : at + len(mask)] = mask[: max(0, len(marked) - at)]
        elif mask.any():
            marked[self.ids[mask] - first_id] = True

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Return some rows, not compared with their checks.

        Raises:
            ArchiveError: The file cannot be read, or has become shorter.
        """
        return self.body.take(rows)

    def sound(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Return some rows, once they fit their checks: what is answered, copied and given out is what was written.

        Raises:
            ArchiveError: One does not.
        """
        taken = self.take(rows)
        try:
            self.need_sound(rows, taken)
        except ArchiveError:
            if not self.body.forget():
                raise
            taken = self.take(rows)
            self.need_sound(rows, taken)
        return taken

    def need_sound(self, rows: NDArray[np.intp], taken: NDArray[np.float16]) -> None:
        """Compare rows that were taken with their checks.

        Raises:
            ArchiveError: One does not fit.
        """
        if self.checks is None:
            return
        for number, row in zip(rows.tolist(), taken, strict=True):
            tile_id = int(self.ids[number])
            if row_check(tile_id, row) != self.checks[number]:
                raise ArchiveError(f"{self.name}: tile {tile_id} does not match its checksum; run: bandsight repair")


def encode_segment(
    ids: NDArray[np.int64], vectors: NDArray[np.float16]
) -> tuple[Segment, Iterable[bytes | memoryview]]:
    """Return the receipt of some rows, and the bytes of their file.

    Args:
        ids: Tile id of each row, ascending, shape (n,).
        vectors: Shape (n, dim).
    """
    rows = np.ascontiguousarray(vectors, "<f2")
    checks = np.array([row_check(int(i), row) for i, row in zip(ids, rows, strict=True)], "<u4")
    parts = [ids.astype("<i8").tobytes(), checks.tobytes()]
    parts.append(bytes(rows_at(len(ids)) - HEADER.size - sum(len(part) for part in parts)))
    digest = hashlib.sha256(b"".join(parts))
    digest.update(rows.data)
    first, last = int(ids[0]), int(ids[-1])
    header = HEADER.pack(_MAGIC, _VERSION, rows.shape[1], first, len(ids), digest.digest())
    name = f"seg-{first:012d}-{digest.hexdigest()[:12]}"
    segment = Segment(name=name, first_id=first, last_id=last, count=len(ids), sha256=digest.hexdigest())
    return segment, (header, *parts, rows.data)


def open_segment(folder: Path, segment: Segment, dim: int) -> OpenSegment:
    """Map a segment's file in a folder.

    Raises:
        ArchiveError: The file is missing, cut short, or does not match the catalog.
    """
    path = folder / f"{segment.name}{SUFFIX}"
    # Opened once: a compaction that deletes the file meanwhile takes nothing from those that have it open.
    try:
        with path.open("rb") as file:
            return _mapped(file, path, segment, dim)
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: this vector file is missing; {_way_out(folder)}") from error
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read ({error.strerror}); {_way_out(folder)}") from error


def _mapped(file: BufferedReader, path: Path, segment: Segment, dim: int) -> OpenSegment:
    size = os.fstat(file.fileno()).st_size
    version = checked_version(file.read(HEADER.size), size, segment, dim, path, _way_out(path.parent))
    ids, checks = mapped_head(file, version, segment)
    return OpenSegment(
        name=path.name,
        ids=ids,
        checks=checks,
        body=mapped_body(file, path.name, segment, dim),
        first_id=segment.first_id,
        # From the file: the catalog's value may come from a migration.
        last_id=int(ids[-1]),
    )


def checked_version(header: bytes, size: int, segment: Segment, dim: int, path: object, way_out: str) -> int:
    """Return the version of a file that is the one which the catalog names.

    Args:
        header: Its first bytes.
        size: How many it has.
        segment: What the catalog knows of it.
        dim: Length of a vector.
        path: Its name, for messages.
        way_out: What to do where it is another one.

    Raises:
        ArchiveError: It is another one.
    """
    if len(header) < HEADER.size or header[:8] != _MAGIC:
        raise ArchiveError(f"{path}: not a Bandsight vector file; {way_out}")
    _, version, found_dim, first_id, count, digest = HEADER.unpack(header[: HEADER.size])
    if version > _VERSION:
        raise ArchiveError(f"{path}: format version {version}, this Bandsight reads up to {_VERSION}; update Bandsight")
    expected = (dim, segment.first_id, segment.count, segment.sha256)
    start = rows_at(segment.count) if version == _VERSION else HEADER.size
    if (found_dim, first_id, count, digest.hex()) != expected or size != start + 2 * dim * segment.count:
        raise ArchiveError(
            f"{path}: holds {count} rows of {found_dim} from id {first_id} in {size} bytes, the catalog has "
            f"{segment.count} rows of {dim} from id {segment.first_id}; {way_out}"
        )
    return int(version)


def mapped_head(
    file: BufferedReader, version: int, segment: Segment
) -> tuple[NDArray[np.int64], NDArray[np.uint32] | None]:
    """Map the ids of a file that begins like a segment, and the checks that it has."""
    if version != _VERSION:
        return np.arange(segment.first_id, segment.first_id + segment.count, dtype=np.int64), None
    ids = np.memmap(file, "<i8", "r", HEADER.size, (segment.count,))
    return ids, np.memmap(file, "<u4", "r", HEADER.size + ID_BYTES * segment.count, (segment.count,))


def mapped_body(file: BufferedReader, name: str, segment: Segment, dim: int) -> MappedBody:
    """Map the vectors of a file."""
    start = os.fstat(file.fileno()).st_size - 2 * dim * segment.count
    rows = np.memmap(file, "<f2", "r", start, (segment.count, dim))
    return MappedBody(name=name, rows=rows, half=Fp16Rows(rows), opened=_Opened(file), start=start)


def rows_at(count: int) -> int:
    """Return where the vectors begin."""
    end = HEADER.size + (ID_BYTES + CHECK_BYTES) * count
    return -(-end // _ALIGN) * _ALIGN


def row_check(tile_id: int, row: NDArray[np.float16]) -> int:
    """Return the check of a row: the CRC-32 of its id and its vector."""
    return zlib.crc32(np.ascontiguousarray(row).data, zlib.crc32(tile_id.to_bytes(ID_BYTES, "little", signed=True)))


def _way_out(folder: Path) -> str:
    return f"restore it from a backup, or run: bandsight repair --archive {folder.parent}"
