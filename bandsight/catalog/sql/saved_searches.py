"""SQL statements for saved searches."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from bandsight.catalog.saved_searches import SavedHits, SavedSearch, Status
from bandsight.catalog.sql.tables import SavedSearchHitsRow, SavedSearchRow

# Hits per row, so that a page reads only a few rows.
_CHUNK = 256


class SqlSavedSearches:
    """Saved searches within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def count(self) -> int:
        """Return the number of saved searches."""
        return int(self._db.execute(select(func.count()).select_from(SavedSearchRow)).scalar_one())

    def add(self, search: SavedSearch, hits: SavedHits) -> None:
        """Insert a search with its hits; see `SavedSearchRows`."""
        values = {
            "id": search.id,
            "title": search.title,
            "request": dict(search.request),
            "created": search.created.astimezone(UTC).replace(tzinfo=None),
            "max_hits": search.max_hits,
            "status": search.status,
            "hits": len(hits.ids),
            "generation": search.generation,
            "model_digest": search.model_digest,
        }
        key = self._db.execute(insert(SavedSearchRow).values(**values)).inserted_primary_key
        assert key is not None
        self._insert_hits(int(key[0]), hits)

    def set_hits(self, search_id: str, hits: SavedHits, *, status: Status, generation: int, model_digest: str) -> bool:
        """Replace the hits of a search; see `SavedSearchRows`."""
        number = self._number(search_id)
        if number is None:
            return False
        values = {"status": status, "hits": len(hits.ids), "generation": generation, "model_digest": model_digest}
        self._db.execute(update(SavedSearchRow).where(SavedSearchRow.number == number).values(**values))
        self._db.execute(delete(SavedSearchHitsRow).where(SavedSearchHitsRow.search == number))
        self._insert_hits(number, hits)
        return True

    def get(self, search_id: str) -> SavedSearch | None:
        """Return a search; see `SavedSearchRows`."""
        row = self._db.execute(select(SavedSearchRow.__table__).where(SavedSearchRow.id == search_id)).mappings()
        return next(map(_search, row), None)

    def newest(self, limit: int, before: str | None = None) -> list[SavedSearch]:
        """Return searches, newest first; see `SavedSearchRows`."""
        chosen = select(SavedSearchRow.__table__).order_by(SavedSearchRow.number.desc()).limit(limit)
        if before is not None:
            last = select(SavedSearchRow.number).where(SavedSearchRow.id == before).scalar_subquery()
            chosen = chosen.where(SavedSearchRow.number < last)
        return [_search(row) for row in self._db.execute(chosen).mappings()]

    def hits(self, search_id: str, start: int, stop: int) -> SavedHits:
        """Return the hits of a range of ranks; see `SavedSearchRows`."""
        number = self._number(search_id)
        if number is None or stop <= start:
            return SavedHits()
        first = start // _CHUNK
        rows = self._db.execute(
            select(SavedSearchHitsRow.ids, SavedSearchHitsRow.scores)
            .where(
                SavedSearchHitsRow.search == number,
                SavedSearchHitsRow.chunk.between(first, (stop - 1) // _CHUNK),
            )
            .order_by(SavedSearchHitsRow.chunk)
        ).all()
        part = slice(start - first * _CHUNK, stop - first * _CHUNK)
        return SavedHits(
            ids=np.frombuffer(b"".join(row.ids for row in rows), "<i8")[part].astype(np.int64),
            scores=np.frombuffer(b"".join(row.scores for row in rows), "<f4")[part].astype(np.float32),
        )

    def delete(self, search_id: str) -> bool:
        """Delete a search with its hits; see `SavedSearchRows`."""
        return bool(self._db.execute(delete(SavedSearchRow).where(SavedSearchRow.id == search_id)).rowcount)

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these ids exist; see `SavedSearchRows`."""
        return {one for one in ids if self._number(one) is not None}

    def _number(self, search_id: str) -> int | None:
        found = self._db.execute(select(SavedSearchRow.number).where(SavedSearchRow.id == search_id)).scalar()
        return None if found is None else int(found)

    def _insert_hits(self, number: int, hits: SavedHits) -> None:
        rows = [
            {
                "search": number,
                "chunk": start // _CHUNK,
                "ids": hits.ids[start : start + _CHUNK].astype("<i8").tobytes(),
                "scores": hits.scores[start : start + _CHUNK].astype("<f4").tobytes(),
            }
            for start in range(0, len(hits.ids), _CHUNK)
        ]
        if rows:
            self._db.execute(insert(SavedSearchHitsRow), rows)


def _search(row: Any) -> SavedSearch:
    values = {name: row[name] for name in SavedSearch.__dataclass_fields__}
    return replace(SavedSearch(**values), created=row["created"].replace(tzinfo=UTC))
