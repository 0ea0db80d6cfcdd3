"""Atomic writes: after a crash, a file is either complete or absent. Also releases the memory of mapped files."""

import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.durable import flush
from bandsight.errors import ArchiveError


def write_durably(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file under a temporary name, flush it to disk, rename it, and flush the folder.

    Raises:
        ArchiveError: The disk is full, or the write fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        name_durably(temporary, path)
    except OSError as error:
        # On a full disk, the partial file would take space from the next attempt.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def name_durably(temporary: Path, path: Path) -> None:
    """Rename a complete, flushed file durably."""
    temporary.replace(path)
    flush(path.parent)


def drop_page_cache(values: NDArray[Any]) -> None:
    """Release the memory of a memory-mapped array; it is read from the file again when needed."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def cannot_write(path: Path, error: OSError) -> ArchiveError:
    """Return the error for a failed write, with advice."""
    return ArchiveError(
        f"{path}: cannot be written ({error.strerror}); nothing is lost, make room or check its permissions and "
        "run the command again"
    )
