"""What makes files and folders survive a power cut: a name is safe only once the folder that holds it was flushed."""

import os
import shutil
from pathlib import Path


def flush(path: Path) -> None:
    """Write a file's bytes, or a folder's names, to the disk.

    Raises:
        OSError: The disk fails.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that their names survive; one that exists is left unchanged.

    Raises:
        OSError: It cannot be made.
    """
    new = [folder, *folder.parents]
    missing = [one for one in new if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        flush(one.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file under a temporary name, flush it, and name it; the caller flushes the folder.

    Raises:
        OSError: It cannot be read or written; then there is no copy.
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
    """Give a file that never changes a second name, or copy it where there are no links; one that is there stays.

    Raises:
        OSError: It cannot be read or written.
    """
    if target.exists():
        return
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        copy_file(source, target)
