"""Immutable files of the cells of tiles, one next to each segment whose tiles have cells.

Layout, little-endian: a header of 64 bytes (8 bytes `BSCELLS` and a zero, uint32 version, uint32 size of a record in
bytes, uint32 records per tile, uint32 zero, uint64 number of tiles, SHA-256 of everything that follows), a uint32 check
for each tile, zeros up to a multiple of 64 bytes, then the records (`bandsight.vectors.cells`) of each tile in the
order of the segment's rows. The check is the CRC-32 of the tile's id and records.
"""

import hashlib
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.durable import copy_file, link_or_copy
from bandsight.errors import ArchiveError
from bandsight.vectors.atomic_io import write_durably
from bandsight.vectors.cells import CellCodes, record_bytes

SUFFIX = ".cells"
_MAGIC = b"BSCELLS\0"
_VERSION = 1
_HEADER = struct.Struct("<8sIIIIQ32s")
_CHECK_BYTES, _ALIGN, _PART = 4, 64, 1 << 24


@dataclass(frozen=True, slots=True)
class CellFile:
    """The cells of a segment, memory-mapped."""

    name: str
    """Name of the file, for messages."""
    ids: NDArray[np.int64]
    """Tile ids, shape (n,)."""
    codes: CellCodes
    """The cells, shape (n, side × side, bytes)."""
    checks: NDArray[np.uint32]
    """Check of each tile, shape (n,)."""

    def sound(self, rows: NDArray[np.intp]) -> CellCodes:
        """Return the cells of some rows after verifying their checks.

        Raises:
            ArchiveError: A tile's cells do not match their check.
        """
        taken = self.codes.take(rows)
        for row, records in zip(rows.tolist(), taken.records, strict=True):
            tile_id = int(self.ids[row])
            if _check(tile_id, records) != self.checks[row]:
                raise ArchiveError(
                    f"{self.name}: the cells of tile {tile_id} do not match their checksum; run: bandsight repair"
                )
        return taken

    def intact(self) -> NDArray[np.bool_]:
        """Return which tiles' cells match their checks, shape (n,)."""
        pairs = zip(self.ids.tolist(), self.codes.records, self.checks, strict=True)
        return np.array([_check(tile_id, records) == check for tile_id, records, check in pairs], bool)


class CellFolder:
    """The files of cells in the folder of segments, by the name of their segment."""

    def __init__(self, folder: Path, dim: int) -> None:
        """Initialize with the folder and the length of a vector."""
        self._folder, self._dim = folder, dim

    def path_of(self, name: str) -> Path:
        """Return the path of a segment's file, which may not exist."""
        return self._folder / f"{name}{SUFFIX}"

    def has(self, name: str) -> bool:
        """Return whether there is a file."""
        return self.path_of(name).exists()

    def write(self, name: str, ids: NDArray[np.int64], cells: CellCodes) -> None:
        """Write a file; see `write_cells`."""
        write_cells(self._folder, name, ids, cells)

    def open(self, name: str, ids: NDArray[np.int64]) -> CellFile | None:
        """Map a file; see `open_cells`."""
        return open_cells(self._folder, name, ids, self._dim)

    def damage(self, name: str, ids: NDArray[np.int64], *, full: bool, side: int) -> str | None:
        """Describe the damage of a file; None if it is intact.

        Args:
            name: Name of the segment.
            ids: Tile ids of the segment.
            full: Read every row.
            side: Expected number of cells along each side of its tiles; 0 if they may have none.

        Raises:
            ArchiveError: It cannot be opened.
        """
        cells = self.open(name, ids)
        if side and (cells is None or cells.codes.side != side):
            found = "are missing" if cells is None else f"are {cells.codes.side} × {cells.codes.side}"
            return f"vectors/{name}{SUFFIX}: the {side} × {side} cells {found}; run: bandsight repair"
        if cells is None or not full or fits_digest(self.path_of(name)):
            return None
        bad = np.asarray(ids)[~cells.intact()].tolist()
        which = f"the cells of tiles {bad[:5]}{' and more' if len(bad) > 5 else ''} do" if bad else "it does"  # noqa: PLR2004
        return f"vectors/{cells.name}: {which} not match the checksum; run: bandsight repair"

    def salvage(
        self, name: str, known: NDArray[np.int64], ids: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], CellCodes | None]:
        """Return which tiles have intact cells, and these cells; `known` are all tiles of the file."""
        try:
            cells = self.open(name, known)
        except ArchiveError:
            cells = None
        if cells is None or not np.isin(ids, known).all():
            return np.empty(0, np.intp), None
        at = np.searchsorted(known, ids)
        good = np.flatnonzero(cells.intact()[at])
        return good, cells.codes.take(at[good])

    def copy(self, name: str, target: Path) -> None:
        """Verify and copy a file if it exists; the caller flushes the folder.

        Raises:
            ArchiveError: It is damaged.
            OSError: The copy cannot be written.
        """
        source, copy = self.path_of(name), target / f"{name}{SUFFIX}"
        if not source.exists() or (copy.exists() and _header(copy) == _header(source) and fits_digest(copy)):
            return
        with suppress(FileNotFoundError):
            copy_file(source, copy)
            if not fits_digest(copy):
                raise ArchiveError(f"{source}: does not match its checksum; run: bandsight repair, then back up again")

    def take(self, name: str, folder: Path) -> None:
        """Hard-link a file of another folder here; the caller flushes the folder."""
        link_or_copy(folder / f"{name}{SUFFIX}", self.path_of(name))

    def set_aside(self, name: str, quarantine: Path) -> None:
        """Copy a file to quarantine if it exists; the caller flushes that folder."""
        if self.has(name):
            copy_file(self.path_of(name), quarantine / f"{name}{SUFFIX}")

    def remove_unnamed(self, named: set[str]) -> None:
        """Delete files whose segment no commit names."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path.stem not in named:
                path.unlink(missing_ok=True)


def write_cells(folder: Path, name: str, ids: NDArray[np.int64], cells: CellCodes) -> None:
    """Write the cells of a segment durably.

    Args:
        folder: Folder of the segments.
        name: Name of the segment.
        ids: Tile id of each row, shape (n,).
        cells: Cells of each row.
    """
    records = np.ascontiguousarray(cells.records)
    checks = np.array([_check(int(i), one) for i, one in zip(ids, records, strict=True)], "<u4").tobytes()
    before = checks + bytes(_records_at(len(ids)) - _HEADER.size - len(checks))
    digest = hashlib.sha256(before)
    digest.update(records.data)
    count, a_tile, size = records.shape
    header = _HEADER.pack(_MAGIC, _VERSION, size, a_tile, 0, count, digest.digest())
    write_durably(folder / f"{name}{SUFFIX}", (header, before, records.data))


def open_cells(folder: Path, name: str, ids: NDArray[np.int64], dim: int) -> CellFile | None:
    """Map the cells of a segment; None if it has none.

    Raises:
        ArchiveError: The file is damaged, or belongs to another segment.
    """
    path = folder / f"{name}{SUFFIX}"
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or header[:8] != _MAGIC:
                raise ArchiveError(f"{path}: not a file of cells; {_WAY_OUT}")
            _, version, size, a_tile, _, count, _ = _HEADER.unpack(header)
            if version > _VERSION:
                raise ArchiveError(
                    f"{path}: format version {version}, this Bandsight reads up to {_VERSION}; update Bandsight"
                )
            start = _records_at(count)
            whole = start + count * a_tile * size
            if (size, count) != (record_bytes(dim), len(ids)) or path.stat().st_size != whole or not a_tile:
                raise ArchiveError(
                    f"{path}: holds {count} tiles, {size} bytes for each cell; the vector file has {len(ids)} tiles "
                    f"and needs {record_bytes(dim)} bytes; {_WAY_OUT}"
                )
            records = np.memmap(file, np.uint8, "r", start, (count, a_tile, size))
            checks = np.memmap(file, "<u4", "r", _HEADER.size, (count,))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read ({error.strerror}); {_WAY_OUT}") from error
    return CellFile(path.name, ids, CellCodes(records), checks)


def _header(path: Path) -> bytes:
    """Return the header of a file, which identifies its contents."""
    with path.open("rb") as file:
        return file.read(_HEADER.size)


def fits_digest(path: Path) -> bool:
    """Return whether a file of cells matches the SHA-256 in its header."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        digest = hashlib.sha256()
        while part := file.read(_PART):
            digest.update(part)
    return bool(_HEADER.unpack(header)[-1] == digest.digest())


_WAY_OUT = "restore it from a backup, or run: bandsight repair"


def _records_at(count: int) -> int:
    return -(-(_HEADER.size + _CHECK_BYTES * count) // _ALIGN) * _ALIGN


def _check(tile_id: int, records: NDArray[np.uint8]) -> int:
    return zlib.crc32(np.ascontiguousarray(records).data, zlib.crc32(tile_id.to_bytes(8, "little", signed=True)))
