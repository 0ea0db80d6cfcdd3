"""Imports saved searches that versions before catalog schema 0007 stored as files in the archive's folder."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.catalog.port import CatalogDatabase
from bandsight.catalog.saved_searches import SavedHits, SavedSearch
from bandsight.errors import ArchiveError

_FOLDER, _HITS = "searches", ".hits"
_ID = re.compile(r"[0-9a-f]{16}")


def import_search_files(folder: Path, database: CatalogDatabase) -> int:
    """Move saved searches from files into the catalog and return their number; safe to repeat after a crash.

    Unreadable files stay in place.

    Args:
        folder: The archive's folder.
        database: Its catalog, with this version's schema.

    Raises:
        ArchiveError: The catalog cannot be written.
    """
    place = folder / _FOLDER
    if not place.is_dir():
        return 0
    found = [one for path in sorted(place.glob("*.json")) if (one := _read(path)) is not None]
    # Oldest first, the order in which they were saved.
    found.sort(key=lambda one: (one[0].created, one[0].id))
    with database.writing() as catalog:
        taken = catalog.saved_searches.known([search.id for search, _ in found])
        fresh = [(search, hits) for search, hits in found if search.id not in taken]
        for search, hits in fresh:
            catalog.saved_searches.add(search, hits)
    try:
        for search, _ in found:
            (place / f"{search.id}{_HITS}").unlink(missing_ok=True)
            (place / f"{search.id}.json").unlink()
        if not any(place.iterdir()):
            place.rmdir()
    except OSError as error:
        raise ArchiveError(
            f"{place}: its searches were imported, but the files cannot be deleted ({error.strerror}); delete "
            "the folder"
        ) from error
    return len(fresh)


def _read(path: Path) -> tuple[SavedSearch, SavedHits] | None:
    """Return the search in a file with its hits, or None if the file cannot be read."""
    if not _ID.fullmatch(path.stem):
        return None
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        generation, hits = _read_hits(path.with_suffix(_HITS))
        search = SavedSearch(
            id=path.stem,
            title=str(kept["title"]),
            request=dict(kept["body"]),
            created=datetime.fromisoformat(kept["created"]),
            max_hits=int(kept["hits"]),
            status="pending" if generation is None else "unscored",
            hits=len(hits.ids),
            generation=generation,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return search, hits


def _read_hits(path: Path) -> tuple[int | None, SavedHits]:
    """Return the generation searched and the hits; empty if the file is missing or damaged."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        ids = np.array([int(one) for one in kept["ids"]], np.int64)
        return int(kept["generation"]), SavedHits(ids=ids, scores=np.full(len(ids), np.nan, np.float32))
    except (OSError, ValueError, TypeError, KeyError):
        return None, SavedHits()
