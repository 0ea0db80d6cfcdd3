"""What an archive knows of its collection in Milvus: one small file beside the segments, replaced as a whole.

Readers follow it. Another collection takes the place of the one before at the moment when the file is replaced.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bandsight.vectors.atomic_io import write_durably

_FILE, _VERSION = "milvus.json", 1
INDEX_FILES = (_FILE,)
"""The files of an index in Milvus, beside the segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """How far a search must look to reach the target."""

    share: float
    """For filters that let at least this share of the tiles pass, 0..1."""
    k: int
    """For up to so many hits."""
    ef: int
    """Rows that the search keeps in sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A collection, and what is known of it."""

    collection: str
    """Its name in Milvus."""
    first_id: int
    """The lowest tile id that it may hold."""
    up_to: int
    """It holds every tile up to this id that lived when it was settled; newer ones are scanned in the segments."""
    rows: int
    """How many rows it was settled with."""
    widths: tuple[Width, ...] = ()
    """Ascending by share, then by k. Below the first share only exact scans reach the target."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Kind, size and measured recall."""

    def width(self, share: float, k: int) -> Width | None:
        """Return how far to look for k hits when a share of the tiles passes; None when only an exact scan will do."""
        fitting = [width for width in self.widths if width.share <= share]
        if not fitting:
            return None
        nearest = [width for width in fitting if width.share == fitting[-1].share]
        chosen = next((width for width in nearest if width.k >= k), nearest[-1])
        # For more than was measured, in proportion.
        return chosen if chosen.k >= k else Width(share=chosen.share, k=k, ef=-(-chosen.ef * k // chosen.k))


def save_facts(folder: Path, facts: Facts) -> None:
    """Replace the file, durably.

    Raises:
        ArchiveError: The disk is full or refuses the write.
    """
    text = json.dumps({"format_version": _VERSION, **asdict(facts)}, indent=1)
    write_durably(folder / _FILE, [text.encode()])


def load_facts(folder: Path) -> Facts | None:
    """Return what was saved, None where there is nothing that this version can read."""
    try:
        kept = json.loads((folder / _FILE).read_text())
        if kept.pop("format_version") != _VERSION:
            return None
        widths = tuple(Width(**width) for width in kept.pop("widths"))
        return Facts(**kept, widths=widths)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def facts_stamp(folder: Path) -> tuple[int, int] | None:
    """Return what changes when the file is replaced, None when there is none."""
    try:
        found = (folder / _FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def drop_facts(folder: Path) -> None:
    """Forget the collection."""
    (folder / _FILE).unlink(missing_ok=True)
