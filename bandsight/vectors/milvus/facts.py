"""Metadata of an archive's collection in Milvus: one small file next to the segments, replaced atomically.

Readers follow it: replacing the file switches them to another collection.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bandsight.vectors.atomic_io import write_durably

# Collections of version 1 had rows in the wrong partitions.
_FILE, _VERSION = "milvus.json", 2
INDEX_FILES = (_FILE,)
"""The files of an index in Milvus, next to the segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """Search width that reaches the target recall."""

    share: float
    """Valid for filters that pass at least this share of the tiles, 0..1."""
    k: int
    """Maximum number of hits it is valid for."""
    ef: int
    """Size of the candidate list of the search (Milvus's `ef`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A collection and its metadata."""

    collection: str
    """Its name in Milvus."""
    first_id: int
    """The lowest tile id that it may contain."""
    up_to: int
    """It contains every tile up to this id that existed when it was completed; newer ones are scanned in the
    segments."""
    rows: int
    """Number of rows when it was completed."""
    widths: tuple[Width, ...] = ()
    """Ascending by share, then by k. Below the first share, only exact scans reach the target."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Kind, size and measured recall."""

    def width(self, share: float, k: int) -> Width | None:
        """Return the width for k hits if a share of the tiles passes; None if only an exact scan reaches the target."""
        fitting = [width for width in self.widths if width.share <= share]
        if not fitting:
            return None
        nearest = [width for width in fitting if width.share == fitting[-1].share]
        chosen = next((width for width in nearest if width.k >= k), nearest[-1])
        # For larger k than measured, in proportion.
        return chosen if chosen.k >= k else Width(share=chosen.share, k=k, ef=-(-chosen.ef * k // chosen.k))


def save_facts(folder: Path, facts: Facts) -> None:
    """Replace the file durably.

    Raises:
        ArchiveError: The disk is full, or the write fails.
    """
    text = json.dumps({"format_version": _VERSION, **asdict(facts)}, indent=1)
    write_durably(folder / _FILE, [text.encode()])


def load_facts(folder: Path) -> Facts | None:
    """Return the saved metadata; None if there is none that this version can read."""
    try:
        kept = json.loads((folder / _FILE).read_text())
        if kept.pop("format_version") != _VERSION:
            return None
        widths = tuple(Width(**width) for width in kept.pop("widths"))
        return Facts(**kept, widths=widths)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def facts_stamp(folder: Path) -> tuple[int, int] | None:
    """Return a stamp that changes when the file is replaced; None if there is no file."""
    try:
        found = (folder / _FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def drop_facts(folder: Path) -> None:
    """Delete the file."""
    (folder / _FILE).unlink(missing_ok=True)
