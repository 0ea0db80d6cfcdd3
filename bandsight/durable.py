"""Durable file operations. A new file survives a power cut only after its parent folder has been flushed, too."""

import os
import shutil
from pathlib import Path


def flush(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to disk.

    Raises:
        OSError: The file or folder cannot be opened or flushed.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents durably. Does nothing if it exists.

    Raises:
        OSError: The folder cannot be created.
    """
    new = [folder, *folder.parents]
    missing = [one for one in new if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        flush(one.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically, through a flushed temporary file. The caller flushes the folder.

    Raises:
        OSError: The source cannot be read or the target not written; no partial copy is left.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, temporary)
        flush(temporary)
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link an immutable file, or copy it if the file system has no hard links. Keeps an existing target.

    Raises:
        OSError: The source cannot be read, or the target cannot be written.
    """
    if target.exists():
        return
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        copy_file(source, target)
