"""The search index on disk: FAISS's file, and the facts that make it valid; derived, so it may be lost."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bandsight.errors import ArchiveError
from bandsight.vectors.durable import cannot_write, name_durably, write_durably
from bandsight.vectors.ivf import IvfIndex, Width

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
_FILE, _FACTS = "ivf.faiss", "ivf.json"
_VERSION = 3


def save_index(folder: Path, index: IvfIndex) -> None:
    """Write an index and then the facts that make it valid: its checksum, and their own.

    Raises:
        ArchiveError: The disk is full, or does not let us.
    """
    path = folder / _FILE
    temporary = folder / f".{_FILE}.tmp"
    try:
        _faiss.write_index(index.faiss_index, str(temporary))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        facts = {
            "format_version": _VERSION,
            "sha256": _sha256(temporary),
            "up_to": index.up_to,
            "widths": [asdict(width) for width in index.widths],
            "figures": index.figures,
            "slope": index.slope,
            "reach": [round(value, 6) for value in index.reach.tolist()],
            "scan_us": index.scan_us,
        }
        (folder / _FACTS).unlink(missing_ok=True)
        name_durably(temporary, path)
    except RuntimeError as error:
        raise ArchiveError(f"{path}: cannot be written ({error}); the archive works without it, make room") from error
    except OSError as error:
        raise cannot_write(path, error) from error
    write_durably(folder / _FACTS, [json.dumps({"checksum": _facts_checksum(facts), **facts}, indent=1).encode()])


def load_index(folder: Path, newest: int, *, writable: bool = False) -> IvfIndex | None:
    """Open the saved index, or None when there is none, it is damaged, or it holds tiles newer than the newest.

    Args:
        folder: Where it lies.
        newest: Id of the newest tile.
        writable: Read it all, so that rows can be added; otherwise it is memory-mapped.
    """
    problem, facts = index_problem(folder)
    if facts is None or problem or facts["up_to"] > newest:
        return None
    index = _faiss.read_index(str(folder / _FILE), 0 if writable else _faiss.IO_FLAG_MMAP_IFC)
    return IvfIndex(
        index,
        facts["up_to"],
        np.array(facts["reach"], np.float32),
        facts["slope"],
        tuple(Width(**width) for width in facts["widths"]),
        facts["figures"],
        facts["scan_us"],
    )


def index_stamp(folder: Path) -> tuple[int, int] | None:
    """Return what changes when another index is saved, None when there is none."""
    try:
        found = (folder / _FACTS).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def index_problem(folder: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Return what is wrong with the saved index, and its facts; neither when there is none.

    The facts come last: an index without them is what a writer left that died.
    """
    if not (folder / _FACTS).exists():
        return None, None
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
        checksum = facts.pop("checksum")
        if checksum != _facts_checksum(facts):
            return f"index/{_FACTS}: does not match its checksum; run: bandsight repair, then optimize", None
        if facts["format_version"] != _VERSION:
            return f"index/{_FACTS}: format version {facts['format_version']}; run: bandsight optimize", None
        if facts["sha256"] != _sha256(folder / _FILE):
            return f"index/{_FILE}: does not match its checksum; run: bandsight repair, then optimize", None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"index/{_FACTS}: cannot be read ({error}); run: bandsight repair, then optimize", None
    return None, facts


def drop_foreign(folder: Path, newest: int) -> None:
    """Delete an index whose writer died before its facts were there, and one of tiles that the catalog never had.

    The latter is left behind where an older catalog was put back; its ids will come to mean other tiles.
    """
    if not (folder / _FACTS).exists():
        (folder / _FILE).unlink(missing_ok=True)
        return
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads((folder / _FACTS).read_text())["up_to"] > newest:
            drop_index(folder)


def drop_index(folder: Path) -> None:
    """Delete the saved index."""
    for name in (_FACTS, _FILE):
        (folder / name).unlink(missing_ok=True)


def copy_index(folder: Path, target: Path) -> None:
    """Copy the saved index if it is whole, also when another takes its place meanwhile."""
    target.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        for name in (_FILE, _FACTS):
            shutil.copyfile(folder / name, target / name)
    if index_problem(target)[1] is None:
        drop_index(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts_checksum(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
