"""Files that are complete or absent, even after a crash during a write; memory of mapped files."""

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
    """Write a file under a temporary name, flush it to disk, give it its name, and flush the folder.

    Raises:
        ArchiveError: The disk is full or refuses the write.
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
        # On a full disk, what was written would take room from the next attempt.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def name_durably(temporary: Path, path: Path) -> None:
    """Give a finished and flushed file its name, for good."""
    temporary.replace(path)
    flush(path.parent)


def drop_page_cache(values: NDArray[Any]) -> None:
    """Give back the memory of a memory-mapped array; it is read from the file again when it is needed."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def cannot_write(path: Path, error: OSError) -> ArchiveError:
    """Return the error, with the way out."""
    return ArchiveError(
        f"{path}: cannot be written ({error.strerror}); nothing is lost, make room or check its permissions and "
        "run the command again"
    )
