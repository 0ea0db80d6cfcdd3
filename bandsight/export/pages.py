"""Results of any length as pages of STAC Items, one page in memory at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.errors import NotFoundError
from bandsight.export.item_page import ItemPage
from bandsight.progress import report
from bandsight.search.items import ItemQuery, ResultPage, answer
from bandsight.search.ranking import Ranking
from bandsight.stac.items import Root, item_collection, item_of, page_facts, server_facts

PAGE = 1000
"""Maximum number of items per page."""


class SinglePage:
    """A single page of results that is already in memory, for the command line."""

    vector_dim: int | None = None
    """Vectors are not supported."""

    def __init__(self, archive: Archive, page: ResultPage) -> None:
        self._archive, self._page = archive, page
        self.generation = page.generation

    @property
    def property_names(self) -> Iterable[str]:
        """Names of the scene properties in the archive."""
        return self._archive.scene_columns().types()

    def summary(self) -> dict[str, Any]:
        """Return metadata of the whole result, with the token of the next page."""
        document = item_collection(replace(self._page, rows=()), self._archive.model, None)
        del document["type"], document["features"], document["numberReturned"]
        return document | ({} if self._page.next is None else {"token": self._page.next})

    def __iter__(self) -> Iterator[ItemPage]:
        """Yield the page."""
        yield ItemPage(
            [item_of(row, None, self._archive.model, self._page.generation) for row in self._page.rows], None
        )


class ResultPages:
    """The pages of a search. The first page is read immediately, so that invalid queries fail early."""

    def __init__(
        self,
        archive: Archive,
        query: ItemQuery,
        ranking: Ranking | None,
        root: Root | None,
        *,
        most: int,
        vectors: bool,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the first page.

        Args:
            archive: The archive to search.
            query: The filter and order; its limit and token are ignored.
            ranking: The ranking by meaning; None for a listing.
            root: The API that the items belong to; None without a server.
            most: Maximum number of items.
            vectors: Whether to read the vectors of tiles.
            facts: Additional members of `summary`.

        Raises:
            QueryError: The query is invalid.
        """
        self._archive, self._ranking, self._root, self._vectors = archive, ranking, root, vectors
        self._query, self._most = replace(query, limit=min(PAGE, most), token=None), most
        self._extra = dict(facts or {})
        self._first = answer(archive, self._query, ranking)
        self.generation = self._first.generation
        """The commit that the first page was read from."""

    @property
    def vector_dim(self) -> int | None:
        """Length of a vector; None if no vectors were requested."""
        return self._archive.model.dim if self._vectors else None

    @property
    def property_names(self) -> Iterable[str]:
        """Names of the scene properties in the archive."""
        return self._archive.scene_columns().types()

    def summary(self) -> dict[str, Any]:
        """Return metadata of the whole result: counts, model, generation."""
        matched = {} if self._first.matched is None else {"numberMatched": self._first.matched}
        return {
            **matched,
            **server_facts(self._archive.model, self.generation),
            **page_facts(self._first.nothing_matches),
            **self._extra,
        }

    def __iter__(self) -> Iterator[ItemPage]:
        """Yield the pages."""
        page, left = self._first, self._most
        matched = self._first.matched
        expected = self._most if matched is None else min(self._most, matched)
        while True:
            yield self._items(page)
            left -= len(page.rows)
            report((self._most - left) / max(expected, 1))
            if page.next is None or left <= 0:
                return
            self._query = replace(self._query, limit=min(PAGE, left), token=page.next)
            page = answer(self._archive, self._query, self._ranking)

    def _items(self, page: ResultPage) -> ItemPage:
        items = [item_of(row, self._root, self._archive.model, page.generation) for row in page.rows]
        if not self._vectors:
            return ItemPage(items, None)
        tiles = [row.tile if isinstance(row, Hit) else row[0] for row in page.rows]
        found = self._vectors_of([tile.id for tile in tiles if tile is not None])
        return ItemPage(items, [None if tile is None else found.get(tile.id) for tile in tiles])

    def _vectors_of(self, ids: list[int]) -> dict[int, NDArray[np.float32]]:
        """Return the vectors of tiles, except those removed since the page was read."""
        try:
            return dict(zip(ids, self._archive.vectors(ids), strict=True)) if ids else {}
        except NotFoundError:
            there = set(self._archive.tile_ids(~Filter(exclude=tuple(ids))).tolist())
            return self._vectors_of([one for one in ids if one in there])
