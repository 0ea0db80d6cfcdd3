"""Recall that servers measured by repeating searches exactly, stored beside the index for `bandsight status`.

It is not part of the archive: a server without write access stores nothing, and a damaged file is ignored.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_FILE = "recall-check.json"


def keep_recall(folder: Path, found: dict[str, Any]) -> None:
    """Store measured recall; the last of several servers wins.

    Args:
        folder: The archive's folder.
        found: The figures, as JSON values.
    """
    place = folder / "index"
    temporary = place / f".{_FILE}.{os.getpid()}.tmp"
    with suppress(OSError):
        place.mkdir(exist_ok=True)
        temporary.write_text(json.dumps(found))
        temporary.replace(place / _FILE)


def kept_recall(folder: Path) -> dict[str, Any] | None:
    """Return the stored recall, or None if no server has stored any.

    Args:
        folder: The archive's folder.
    """
    try:
        found = json.loads((folder / "index" / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "queries" in found else None
