"""Walks all pages of an answer, so that no more than one of them is held."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.errors import NotFoundError
from bandsight.search.items import ItemQuery, ResultPage, answer
from bandsight.search.question_ranking import Ranking
from bandsight.stac.items import item_of
from bandsight.stac.links import Root

PAGE = 1000
"""Most items of a page."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of the items of an answer."""

    items: list[dict[str, Any]]
    """As STAC shows them."""
    vectors: list[NDArray[np.float32] | None] | None
    """The tile's vector for each item (None for a scene), where they were asked for."""


class Walk:
    """An answer of any length; its first page is read at once, so that what cannot be answered is said at once."""

    def __init__(
        self, archive: Archive, query: ItemQuery, ranking: Ranking | None, root: Root, *, most: int, vectors: bool
    ) -> None:
        """Read the first page.

        Args:
            archive: What is asked.
            query: Which items; its limit and token are not used.
            ranking: Their order by meaning.
            root: The API that they are items of.
            most: So many items at most.
            vectors: Read the vectors of tiles, too.

        Raises:
            QueryError: The query cannot be answered as asked.
        """
        self._archive, self._ranking, self._root, self._vectors = archive, ranking, root, vectors
        self._query, self._most = replace(query, limit=min(PAGE, most), token=None), most
        self._first = answer(archive, self._query, ranking)
        self.generation = self._first.generation
        """The commit that the first page is of."""
        self.matched = self._first.matched
        """How many items there were, whether or not they are asked for."""
        self.nothing_matches = self._first.nothing_matches
        """Whether no hit is likely to be right; None for lists."""

    def __iter__(self) -> Iterator[Rows]:
        """Yield the items page by page."""
        page, left = self._first, self._most
        while True:
            yield self._rows(page)
            left -= len(page.rows)
            if page.next is None or left <= 0:
                return
            self._query = replace(self._query, limit=min(PAGE, left), token=page.next)
            page = answer(self._archive, self._query, self._ranking)

    def _rows(self, page: ResultPage) -> Rows:
        items = [item_of(row, self._root, self._archive.model, page.generation) for row in page.rows]
        if not self._vectors:
            return Rows(items, None)
        tiles = [row.tile if isinstance(row, Hit) else row[0] for row in page.rows]
        found = self._vectors_of([tile.id for tile in tiles if tile is not None])
        return Rows(items, [None if tile is None else found.get(tile.id) for tile in tiles])

    def _vectors_of(self, ids: list[int]) -> dict[int, NDArray[np.float32]]:
        """Return the vectors of tiles; without those that were removed since the page was read."""
        try:
            return dict(zip(ids, self._archive.vectors(ids), strict=True)) if ids else {}
        except NotFoundError:
            there = set(self._archive.tile_ids(~Filter(exclude=tuple(ids))).tolist())
            return self._vectors_of([one for one in ids if one in there])
