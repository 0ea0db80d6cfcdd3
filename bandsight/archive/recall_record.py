"""What servers found when they repeated searches exactly, kept beside the index for `bandsight status`.

It is a note, not part of the archive: a server that may not write there keeps none, and a damaged one counts as none.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_FILE = "recall-check.json"


def keep_recall(folder: Path, found: dict[str, Any]) -> None:
    """Replace an archive's note; of several servers, the last one's counts.

    Args:
        folder: The archive's folder.
        found: The figures, as JSON.
    """
    place = folder / "index"
    temporary = place / f".{_FILE}.{os.getpid()}.tmp"
    with suppress(OSError):
        place.mkdir(exist_ok=True)
        temporary.write_text(json.dumps(found))
        temporary.replace(place / _FILE)


def kept_recall(folder: Path) -> dict[str, Any] | None:
    """Return an archive's note, None where no server has left one.

    Args:
        folder: The archive's folder.
    """
    try:
        found = json.loads((folder / "index" / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "queries" in found else None
