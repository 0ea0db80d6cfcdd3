"""Saved searches, as plain values: what was searched for, and the hits that it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Status = Literal["ready", "unscored", "pending"]
"""`ready`: its hits have scores. `unscored`: an older version has saved its hits without scores. `pending`: it has not
been run yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A search that is kept under an id."""

    id: str
    """Sixteen hexadecimal digits."""
    title: str
    """For people."""
    request: Mapping[str, Any]
    """The request, as JSON."""
    created: datetime
    """UTC."""
    max_hits: int
    """Most hits that it may have."""
    status: Status = "pending"
    """What is known of its hits."""
    hits: int = 0
    """How many hits it had when it was run."""
    generation: int | None = None
    """Commit that was searched; None while it is pending."""
    model_digest: str | None = None
    """Model whose vectors were searched; None while it is pending, or where an older version has saved it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedHits:
    """Hits in the order of their rank."""

    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Tile ids, shape (n,)."""
    scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """Cosine of each with the query, NaN where an older version did not keep it, shape (n,)."""

    def __post_init__(self) -> None:
        if self.ids.shape != self.scores.shape or self.ids.ndim != 1:
            raise ValueError(f"hits: {self.ids.shape} ids and {self.scores.shape} scores; need one score for each id")


class SavedSearchRows(Protocol):
    """Saved searches within one transaction."""

    def count(self) -> int:
        """Return how many there are."""

    def add(self, search: SavedSearch, hits: SavedHits) -> None:
        """Insert a search with its hits."""

    def set_hits(self, search_id: str, hits: SavedHits, *, status: Status, generation: int, model_digest: str) -> bool:
        """Replace the hits of a search; False where there is no search with this id."""

    def get(self, search_id: str) -> SavedSearch | None:
        """Return a search, None where there is none with this id."""

    def newest(self, limit: int, before: str | None = None) -> list[SavedSearch]:
        """Return searches, newest first; only those saved before the one with the id `before`."""

    def hits(self, search_id: str, start: int, stop: int) -> SavedHits:
        """Return the hits of the ranks from `start` (0 is best) up to `stop`; it costs what these hits cost."""

    def delete(self, search_id: str) -> bool:
        """Delete a search with its hits; False where there is none with this id."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of some ids are taken."""
