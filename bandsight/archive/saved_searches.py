"""Saved searches of an archive; any process may write them, not only the archive's writer."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bandsight.catalog.port import Catalog, CatalogDatabase
from bandsight.catalog.saved_searches import SavedHits, SavedSearch
from bandsight.errors import ArchiveError, NotFoundError, QueryError

MAX_SEARCHES = 10_000
"""Maximum number of saved searches in an archive."""
MAX_REQUEST_BYTES = 2**20
"""Maximum size of a request as JSON, bytes."""
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HitsPage:
    """A page of a saved search's hits."""

    search: SavedSearch
    """The search."""
    start: int
    """Number of hits before this page."""
    hits: SavedHits
    """Hits whose tiles still exist."""
    removed: int
    """Number of hits omitted from this page because their tiles were removed."""
    next: int | None
    """`start` of the next page, or None on the last page."""


class SavedSearches:
    """Short transactions on the catalog; SQLite lets one process write at a time and makes others wait for seconds."""

    def __init__(self, database: CatalogDatabase, model_digest: str) -> None:
        """Open the saved searches in a catalog.

        Args:
            database: The catalog.
            model_digest: Digest of the archive's model.
        """
        self._database, self._model_digest = database, model_digest

    def add(
        self,
        title: str,
        request: Mapping[str, Any],
        *,
        max_hits: int,
        hits: SavedHits | None = None,
        generation: int | None = None,
    ) -> SavedSearch:
        """Save a search, with its hits if it has been run, and return it.

        Args:
            title: Display title.
            request: The request, as JSON values.
            max_hits: Maximum number of hits.
            hits: Its hits, best first, or None to run it later (`set_hits`).
            generation: Generation searched; required with hits.

        Raises:
            QueryError: There are too many saved searches, or the request is too large.
            ArchiveError: The catalog cannot be written.
            BusyError: Another process holds the catalog for too long.
        """
        size = len(json.dumps(dict(request), ensure_ascii=False).encode())
        if size > MAX_REQUEST_BYTES:
            raise QueryError(f"search: its request has {size:,} bytes, the limit is {MAX_REQUEST_BYTES:,}; simplify it")
        made = SavedSearch(
            id=secrets.token_hex(8),
            title=title,
            request=request,
            created=datetime.now(UTC).replace(microsecond=0),
            max_hits=max_hits,
            status="pending" if hits is None else "ready",
            hits=0 if hits is None else len(hits.ids),
            generation=None if hits is None else generation,
            model_digest=None if hits is None else self._model_digest,
        )
        with self._database.writing() as catalog:
            # Counted in the transaction that adds it, so that concurrent processes stay within the limit.
            if catalog.saved_searches.count() >= MAX_SEARCHES:
                raise QueryError(f"searches: the limit of {MAX_SEARCHES:,} is reached; delete some")
            catalog.saved_searches.add(made, hits or SavedHits())
        return made

    def set_hits(self, search_id: str, hits: SavedHits, *, generation: int) -> SavedSearch:
        """Replace the hits of a search with those of a new run.

        Raises:
            NotFoundError: There is no search with this id.
        """
        with self._database.writing() as catalog:
            found = catalog.saved_searches.set_hits(
                search_id, hits, status="ready", generation=generation, model_digest=self._model_digest
            )
        if not found:
            raise _missing(search_id)
        return self.get(search_id)

    def get(self, search_id: str) -> SavedSearch:
        """Return a search.

        Raises:
            NotFoundError: There is no search with this id.
        """
        found = None
        if _ID.fullmatch(search_id):
            with self._database.reading() as catalog:
                found = catalog.saved_searches.get(search_id)
        if found is None:
            raise _missing(search_id)
        return found

    def newest(self, limit: int = 100, before: str | None = None) -> list[SavedSearch]:
        """Return searches, newest first.

        Args:
            limit: Maximum number.
            before: Id of the last search on the previous page.
        """
        with self._database.reading() as catalog:
            return catalog.saved_searches.newest(limit, before)

    def delete(self, search_id: str) -> None:
        """Delete a search with its hits.

        Raises:
            NotFoundError: There is no search with this id.
        """
        with self._database.writing() as catalog:
            found = catalog.saved_searches.delete(search_id)
        if not found:
            raise _missing(search_id)

    def all_hits(self, search_id: str) -> SavedHits:
        """Return all hits of a search, including those whose tiles are gone.

        Raises:
            NotFoundError: There is no search with this id.
        """
        search = self.get(search_id)
        with self._database.reading() as catalog:
            return catalog.saved_searches.hits(search_id, 0, search.hits)

    def page(self, search_id: str, start: int = 0, limit: int = 100) -> HitsPage:
        """Return a page of hits whose tiles still exist; the cost depends on the page only.

        Args:
            search_id: The search.
            start: Number of hits to skip.
            limit: Maximum number of hits.

        Raises:
            NotFoundError: There is no search with this id.
            ArchiveError: The archive has been reindexed with another model, or all tiles of the search are gone.
        """
        with self._database.reading() as catalog:
            search = catalog.saved_searches.get(search_id)
            if search is None:
                raise _missing(search_id)
            if search.model_digest not in {None, self._model_digest}:
                raise ArchiveError(
                    f"search {search.id}: its hits date from before `bandsight reindex` changed the model; "
                    "run it again, or delete it"
                )
            hits = catalog.saved_searches.hits(search_id, start, start + limit)
            there = catalog.existing_tiles(hits.ids.tolist())
            kept = np.isin(hits.ids, np.array(sorted(there), np.int64))
            if len(hits.ids) and not kept.any() and not self._any_left(catalog, search):
                raise ArchiveError(
                    f"search {search.id}: all its {search.hits} tiles have been removed since generation "
                    f"{search.generation}; run it again, or delete it"
                )
        end = start + len(hits.ids)
        return HitsPage(
            search=search,
            start=start,
            hits=SavedHits(ids=hits.ids[kept], scores=hits.scores[kept]),
            removed=int(len(kept) - kept.sum()),
            next=end if end < search.hits else None,
        )

    def _any_left(self, catalog: Catalog, search: SavedSearch) -> bool:
        every = catalog.saved_searches.hits(search.id, 0, search.hits).ids
        return bool(catalog.existing_tiles(every.tolist()))


def _missing(search_id: str) -> NotFoundError:
    return NotFoundError(f"search {search_id[:60]!r}: not saved here, or deleted; list them with GET /searches")
