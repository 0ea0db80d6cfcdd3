"""The vector store port: the interface of the engines that store an archive's vectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import Footprints
from bandsight.attributes.segments import Segment
from bandsight.objects.cached import CachedObjects
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.scores import Ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One committed state of an archive."""

    generation: int
    """Number of the commit."""
    segments: tuple[Segment, ...]
    """The committed segments, ascending by first id."""
    newest: int
    """Id of the newest tile ever added."""
    scenes: SceneColumns
    """The existing scenes; tiles of other scenes count as deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tiles that pass a filter, in one committed state."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    scene_at: NDArray[np.intp]
    """Row of each tile's scene among the scenes, shape (n,)."""
    scenes: SceneColumns
    """All scenes of that state."""
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """The requested fields, by name, NaN where unknown, each of shape (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """Cosines of the tiles that pass a filter with some vectors, in one committed state."""

    selection: Selection
    """The tiles."""
    boxes: NDArray[np.float64]
    """(west, south, east, north) of each tile, degrees, shape (n, 2, 4); the second is NaN unless there are two."""
    scores: NDArray[np.float32]
    """Cosine of each vector with each tile, computed in float32, shape (vectors, n)."""


class Choice(Protocol):
    """The tiles that pass a filter, evaluated once for any number of searches of one committed state."""

    @property
    def count(self) -> int:
        """Number of tiles."""

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Return the min(k, count) nearest tiles; see `VectorStore.search`."""


class VectorStore(Protocol):
    """Stores unit vectors by tile id and finds the nearest ones that pass a filter.

    Rows passed to `upsert` become visible when a snapshot contains their segment, so the catalog's transaction is the
    only commit point. Rows are deleted by a snapshot without their scene.
    """

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns, cells: CellCodes | None = None) -> Segment:
        """Write rows durably and return their segment; ids must ascend. Writing the same rows again is safe.

        Args:
            vectors: Unit vectors, shape (n, dim).
            columns: Attributes of each row.
            cells: Cells of each row; None if they have none.

        Raises:
            ArchiveError: The vectors have another shape, are not finite, or cannot be written.
        """

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state from now on; running searches keep the one they started with.

        Raises:
            ArchiveError: A segment's data is missing or damaged.
        """

    def ping(self) -> None:
        """Check that the engine answers, if it is a server.

        Raises:
            EngineUnavailableError: It does not answer.
        """

    # Searching

    def search(self, queries: NDArray[np.float32], k: int, where: Filter, *, exact: bool = False) -> list[Ranked]:
        """Return the min(k, matching) nearest tiles of each query, scored on the raw vectors.

        Args:
            queries: Unit vectors, shape (q, dim).
            k: Maximum number of hits for each.
            where: Filter for the tiles.
            exact: Compare every row, without the index.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def choose(self, where: Filter) -> Choice:
        """Select the tiles that pass a filter, to count and search them.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def select(self, where: Filter, fields: Sequence[str] = ()) -> Selection:
        """Return all tiles that pass a filter.

        Args:
            where: The filter.
            fields: Names of registered fields whose values are needed.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Return the cosine of every tile that passes a filter with each vector, shape (q, dim).

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of tiles, shape (n, dim), in the order of the ids.

        Raises:
            NotFoundError: A tile is not in the snapshot.
        """

    def cells(self, ids: Sequence[int]) -> list[tuple[NDArray[np.intp], CellCodes]]:
        """Return the cells of tiles, grouped by the number of cells per tile: positions in `ids`, and the cells there.

        Tiles without cells are left out.

        Raises:
            NotFoundError: A tile is not in the snapshot.
            ArchiveError: The cells of a tile are damaged.
        """

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Return the ids that are not in the snapshot, ascending."""

    # The index, derived from the vectors

    @property
    def worth_an_index(self) -> bool:
        """Whether `optimize` would build an index for this snapshot."""

    @property
    def index_figures(self) -> dict[str, Any]:
        """Kind of the index (`index`; "none" without one), size, and measured recall."""

    @property
    def unindexed(self) -> int:
        """Number of rows newer than the index, which are scanned; 0 without an index."""

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int | None = None) -> dict[str, Any]:
        """Build or extend the index, serve it, and return its measured figures.

        Args:
            texts: Vectors of sentences to measure with, shape (n, dim); their distribution differs from that of images.
            budget_bytes: Memory for each vector; None for the engine's default.
        """

    def extend(self) -> bool:
        """Add missing rows to the saved index, and return whether there is an index."""

    # Maintenance

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes: `vectors`, `deleted_vectors`, `segments`, `vector_bytes`, `cell_bytes`, `index`."""

    def living(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """Return each segment of the snapshot, and the ids of its tiles whose scene exists, ascending."""

    def merge(self) -> tuple[list[Segment], list[Segment]]:
        """Rewrite segments without deleted rows, and merge small ones; a commit makes them valid.

        Returns:
            The segments to drop, and those that replace them; both empty if there is nothing to gain.
        """

    def remove_unnamed(self, named: set[str], newest: int) -> None:
        """Delete files that no commit names: from a writer that stopped before its commit, or replaced by a compaction.

        Args:
            named: Segments that a commit names.
            newest: Id of the newest tile; an index with newer ones was not built from this catalog.
        """

    def verify(self, *, full: bool) -> list[str]:
        """Return problems of the stored vectors, one sentence each; `full` reads every row."""

    def damage(self, segment: Segment, cells: int = 0) -> str | None:
        """Describe the damage of a segment in one sentence; None if every row is intact.

        Args:
            segment: The segment.
            cells: Expected number of cells along each side of its tiles; 0 if they may have none.
        """

    def salvage(self, segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.float32], CellCodes | None]:
        """Quarantine a copy of a damaged segment; return ids, vectors and cells of its intact rows."""

    def repair_derived(self) -> list[str]:
        """Delete damaged derived data, which is rebuilt on use, and return what was done, one sentence each."""

    # Moving

    def copy_to(self, folder: Path, segments: Sequence[Segment], files: CachedObjects | None = None) -> bool:
        """Copy verified segments and the index to a backup; False if a segment has just been removed.

        Args:
            folder: The folder of the other archive.
            segments: The segments to copy.
            files: Object storage to copy the segments to instead of the folder; then the index is not copied.

        Raises:
            ArchiveError: A segment is damaged.
            OSError: The folder cannot be written.
        """

    def adopt(self, beside: Self, segments: Sequence[Segment]) -> None:
        """Move the segments and the index of another store of the same kind here, durably.

        A commit makes the segments valid. The index is replaced immediately, but ignored until that commit.

        Raises:
            ArchiveError: The disk is full, or the write fails.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContext:
    """Length of the vectors, access to the catalog, and places for files."""

    dim: int
    """Length of a vector."""
    columns_of: Callable[[NDArray[np.int64]], TileColumns]
    """Reads the attributes of tiles by id."""
    footprints: Footprints
    """Reads the footprints of tiles by id."""
    folder: Path | None = None
    """The archive's folder, for engines that store some of their data there."""
    files: CachedObjects | None = None
    """Object storage with the archive's files; None if they are in the folder."""
    archive_id: str = ""
    """Id of the archive, for engines that several archives share."""


OpenStore = Callable[[str, StoreContext], VectorStore]
"""Opens the vectors at a URL; each engine provides one."""
