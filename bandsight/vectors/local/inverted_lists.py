"""The inverted lists of an index, in a memory-mapped file.

FAISS itself reads fast-scan lists into memory, in tables rounded up to powers of two, which takes 1.5 times their size.
Layout, little-endian: 8 bytes `BSVLISTS`, uint32 version, uint32 number of lists, uint64 size of a block of 32 codes in
bytes, zeros up to 64 bytes; the number of rows of each list (int64), zeros up to a multiple of 64 bytes; the blocks of
all lists; the tile ids of all lists (int64).
"""

import struct
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bandsight.errors import ArchiveError
from bandsight.vectors.atomic_io import drop_page_cache

# Its type hints lack the constructors that the Python wrapper adds.
_faiss: Any = faiss
_MAGIC, _VERSION = b"BSVLISTS", 1
_HEADER = struct.Struct("<8sIIQ")
_ALIGN, _ROWS_A_BLOCK = 64, 32
# FAISS's code size for lists whose codes are not contiguous (InvertedLists::INVALID_CODE_SIZE).
_BLOCKS = 2**64 - 1


def write_lists(path: Path, ivf: Any) -> None:
    """Write the lists of an index; the caller flushes and renames the file."""
    lists, block = ivf.invlists, ivf.get_block_stride()
    sizes = np.array([lists.list_size(number) for number in range(ivf.nlist)], "<i8")
    filled = np.flatnonzero(sizes).tolist()
    with path.open("wb") as file:
        file.write(_HEADER.pack(_MAGIC, _VERSION, ivf.nlist, block).ljust(_ALIGN, b"\0"))
        file.write(sizes.tobytes().ljust(_padded(sizes.nbytes), b"\0"))
        for number in filled:
            file.write(_faiss.rev_swig_ptr(lists.get_codes(number), _blocks(int(sizes[number])) * block).data)
        for number in filled:
            file.write(_faiss.rev_swig_ptr(lists.get_ids(number), int(sizes[number])).astype("<i8").data)


def without_lists(ivf: Any, write: Any) -> None:
    """Call a function that writes an index while the index has no lists."""
    lists = ivf.invlists
    empty = _faiss.ArrayInvertedLists(ivf.nlist, ivf.code_size)
    ivf.own_invlists, ivf.invlists = False, empty
    try:
        write()
    finally:
        ivf.invlists = lists
        lists.this.disown()
        ivf.own_invlists = True


def attach_lists(path: Path, ivf: Any, *, writable: bool) -> Any:
    """Attach the lists in a file to an index without lists; return an object that must live as long as the index.

    Args:
        path: The file.
        ivf: The index.
        writable: Copy them to memory, so that rows can be added; otherwise codes are memory-mapped.

    Raises:
        ArchiveError: The file does not belong to this index.
    """
    raw = np.memmap(path, np.uint8, "r")
    magic, version, count, block = _HEADER.unpack_from(raw[:_ALIGN].tobytes())
    if (magic, version, count, block) != (_MAGIC, _VERSION, ivf.nlist, ivf.get_block_stride()):
        raise ArchiveError(f"{path}: not the lists of this index; run: bandsight optimize")
    sizes = raw[_ALIGN : _ALIGN + 8 * count].view("<i8").copy()
    starts = _ALIGN + _padded(8 * count) + np.concatenate([[0], np.cumsum(_blocks(sizes) * block)])
    ids = raw[starts[-1] :].view("<i8")
    lists = (_copied if writable else _viewed)(raw, sizes, starts, ids, block)
    ivf.replace_invlists(lists, True)
    lists.this.disown()
    # Release the pages of what was copied.
    drop_page_cache(raw)
    return raw


def _viewed(raw: Any, sizes: Any, starts: Any, ids: Any, _: int) -> Any:
    """Return lists with memory-mapped codes; only the ids are copied."""
    lists = _faiss.ArrayInvertedLists(len(sizes), 0)
    views, first = [], 0
    for number, size in enumerate(sizes.tolist()):
        view = _faiss.MaybeOwnedVectorUInt8()
        if size:
            address = _faiss.swig_ptr(raw[starts[number] : starts[number + 1]])
            # A code size of 0 copies only the ids; codes are used in place (see `Fp16Rows`).
            lists.add_entries(number, size, _faiss.swig_ptr(ids[first : first + size]), address)
            first += size
            view.is_owned = False
            view.view_data = view.c_ptr = address
            view.view_size = view.c_size = int(starts[number + 1] - starts[number])
        views.append(view)
    lists.codes.clear()
    for view in views:
        lists.codes.push_back(view)
    lists.code_size = _BLOCKS
    return lists


def _copied(raw: Any, sizes: Any, starts: Any, ids: Any, block: int) -> Any:
    """Return lists in memory, converted to FAISS's own format (faiss/impl/index_write.cpp, `ilbl`)."""
    parts, first = [b"ilbl", struct.pack("<QQQQ", len(sizes), _BLOCKS, _ROWS_A_BLOCK, block)], 0
    for number, size in enumerate(sizes.tolist()):
        codes = raw[starts[number] : starts[number + 1]]
        parts += [struct.pack("<Q", size), ids[first : first + size].tobytes()]
        parts += [struct.pack("<Q", len(codes)), codes.tobytes()]
        first += size
    reader = _faiss.VectorIOReader()
    _faiss.copy_array_to_vector(np.frombuffer(b"".join(parts), np.uint8), reader.data)
    return _faiss.read_InvertedLists(reader)


def _blocks(rows: Any) -> Any:
    return -(-rows // _ROWS_A_BLOCK)


def _padded(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
