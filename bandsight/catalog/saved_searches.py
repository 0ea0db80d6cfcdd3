"""Saved searches and their hits, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Status = Literal["ready", "unscored", "pending"]
"""`ready`: hits have scores. `unscored`: an older version saved hits without scores. `pending`: not run yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A saved search."""

    id: str
    """Sixteen hexadecimal digits."""
    title: str
    """Human-readable title."""
    request: Mapping[str, Any]
    """The request body, as JSON."""
    created: datetime
    """Creation time, UTC."""
    max_hits: int
    """Maximum number of hits."""
    status: Status = "pending"
    """State of its hits."""
    hits: int = 0
    """Number of hits."""
    generation: int | None = None
    """Commit that was searched; None while pending."""
    model_digest: str | None = None
    """Digest of the model; None while pending, or if an older version saved it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedHits:
    """Hits in order of rank."""

    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Tile ids, shape (n,)."""
    scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """Cosine of each with the query, NaN if an older version did not store it, shape (n,)."""

    def __post_init__(self) -> None:
        if self.ids.shape != self.scores.shape or self.ids.ndim != 1:
            raise ValueError(f"hits: {self.ids.shape} ids and {self.scores.shape} scores; need one score for each id")


class SavedSearchRows(Protocol):
    """Saved searches within one transaction."""

    def count(self) -> int:
        """Return the number of saved searches."""

    def add(self, search: SavedSearch, hits: SavedHits) -> None:
        """Insert a search with its hits."""

    def set_hits(self, search_id: str, hits: SavedHits, *, status: Status, generation: int, model_digest: str) -> bool:
        """Replace the hits of a search. Returns False if there is no search with this id."""

    def get(self, search_id: str) -> SavedSearch | None:
        """Return a search, or None if there is none with this id."""

    def newest(self, limit: int, before: str | None = None) -> list[SavedSearch]:
        """Return searches, newest first, optionally only those saved before the search `before`."""

    def hits(self, search_id: str, start: int, stop: int) -> SavedHits:
        """Return the hits with ranks from `start` (0 is best) to `stop`, in time proportional to their number."""

    def delete(self, search_id: str) -> bool:
        """Delete a search with its hits. Returns False if there is none with this id."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these ids exist."""
