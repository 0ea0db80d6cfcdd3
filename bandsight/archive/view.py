"""A committed state of the archive, consistent between vectors and rows."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.archive.tile_columns import fresh_columns
from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import AttributeView, Footprints, matching
from bandsight.catalog.port import Catalog
from bandsight.catalog.records import Hit, Scene, Tile
from bandsight.errors import QueryError
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.port import Choice, Selection, Similarities, VectorStore
from bandsight.vectors.scores import Ranked
from bandsight.work import stage

# Number of cached scenes, about 5 kB each.
_MOST_SCENES = 8192


class CommitIntervenedError(Exception):
    """A commit intervened between reading vectors and rows; the result must be recomputed."""


class SceneCache:
    """A cache of the scenes of recent hits, cleared on commit; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Scene] = OrderedDict()
        self._generation = -1

    def of(self, catalog: Catalog, ids: AbstractSet[int]) -> dict[int, Scene]:
        """Return scenes by id; unknown ids are omitted.

        Raises:
            ArchiveError: A row is damaged.
        """
        generation = catalog.generation()
        with self._lock:
            if generation != self._generation:
                # A commit may have relocated scenes.
                self._known.clear()
                self._generation = generation
            found = {one: self._known[one] for one in ids if one in self._known}
            for one in found:
                self._known.move_to_end(one)
        missing = sorted(ids - found.keys())
        if missing:
            fresh = catalog.scenes(missing)
            found |= fresh
            with self._lock:
                self._known |= fresh
                while len(self._known) > _MOST_SCENES:
                    self._known.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One committed state of an archive, valid during one `Archive.read`."""

    catalog: Catalog
    """The rows, in one transaction."""
    store: VectorStore
    """The vectors of the same state."""
    scene_cache: SceneCache
    """Recently read scenes."""
    tile_footprints: Footprints
    """Reads footprints of tiles by id."""
    scene_footprints: Footprints
    """Reads footprints of scenes by id."""
    scene_columns: SceneColumns
    """Attributes of all scenes."""
    dim: int
    """Length of a vector."""

    @property
    def generation(self) -> int:
        """Generation of the state."""
        return self.catalog.generation()

    @property
    def newest(self) -> tuple[int, int]:
        """Ids of the newest tile ever added and of the newest scene."""
        return self.catalog.state()[1], self.catalog.newest_scene_id()

    def choose(self, where: Filter) -> Choice:
        """Select the tiles that pass a filter, to count or search them.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """
        with stage("filter"):
            return self.store.choose(where)

    def select(self, where: Filter, fields: Sequence[str] = ()) -> Selection:
        """Return all tiles that pass a filter.

        Args:
            where: The filter.
            fields: Names of the registered fields whose values are needed.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """
        with stage("filter"):
            return self.store.select(where, fields)

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Return the cosine of each tile that passes a filter with each vector, shape (q, dim).

        Raises:
            QueryError: The filter or the vectors are invalid.
        """
        with stage("search"):
            return self.store.similarities(self.checked(vectors), where)

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of tiles, shape (n, dim), in the order of the ids.

        Raises:
            NotFoundError: A tile is not in the archive.
        """
        return self.store.get(ids)

    def cells(self, ids: Sequence[int]) -> list[tuple[NDArray[np.intp], CellCodes]]:
        """Return the cells of tiles by id; see `VectorStore.cells`."""
        return self.store.cells(ids)

    def passing(self, tiles: Sequence[Tile], where: Filter) -> set[int]:
        """Return the ids of the given tiles that pass a filter; the cost depends on these tiles only.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """
        ordered = sorted(tiles, key=lambda tile: tile.id)
        columns = fresh_columns([(tile.id, tile.scene_id, tile) for tile in ordered])
        mask = matching(AttributeView(columns, self.scene_columns), where, self.tile_footprints)
        return set(columns.ids[mask].tolist())

    def tiles(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; ids without a tile are omitted."""
        return self.catalog.tiles(ids)

    def scenes(self, ids: AbstractSet[int]) -> dict[int, Scene]:
        """Return scenes by id; ids without a scene are omitted."""
        return self.scene_cache.of(self.catalog, ids)

    def hits(self, ranked: Sequence[Ranked]) -> list[list[Hit]]:
        """Return the hits of ranked tiles.

        Raises:
            CommitIntervenedError: A tile was removed.
        """
        ids = sorted({int(tile_id) for found, _ in ranked for tile_id in found})
        tiles = self.catalog.tiles(ids)
        if len(tiles) < len(ids):
            raise CommitIntervenedError
        scenes = self.scenes({tile.scene_id for tile in tiles.values()})
        return [
            [
                Hit(tile=tiles[int(i)], scene=scenes[tiles[int(i)].scene_id], score=float(score), rank=rank)
                for rank, (i, score) in enumerate(zip(found, scores, strict=True), 1)
            ]
            for found, scores in ranked
        ]

    def checked(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return query vectors as float32 of shape (q, dim).

        Raises:
            QueryError: Their length differs or they are not finite.
        """
        rows = np.atleast_2d(np.asarray(vectors, np.float32))
        if rows.shape[1:] != (self.dim,) or not np.isfinite(rows).all():
            raise QueryError(
                f"query vectors: found shape {rows.shape}; need finite numbers of shape (queries, {self.dim})"
            )
        return rows
