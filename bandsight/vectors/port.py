"""The vector store port: what an archive needs of the engine that keeps its vectors."""

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
    """One committed state of an archive, as a store needs to know it."""

    generation: int
    """Number of the commit."""
    segments: tuple[Segment, ...]
    """What is committed, ascending by first id."""
    newest: int
    """Id of the newest tile there ever was."""
    scenes: SceneColumns
    """The scenes that exist; tiles of others are deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tiles that pass a filter, of one committed state."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    scene_at: NDArray[np.intp]
    """Row of each tile's scene among the scenes, shape (n,)."""
    scenes: SceneColumns
    """The scenes of that state."""
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """The requested fields, by name, NaN where unknown, each of shape (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """How alike the tiles that pass a filter are to some vectors, of one committed state."""

    selection: Selection
    """The tiles."""
    boxes: NDArray[np.float64]
    """(west, south, east, north) of each tile, degrees, shape (n, 2, 4); the second is NaN unless there are two."""
    scores: NDArray[np.float32]
    """Cosine of each vector with each tile, summed in float32, shape (vectors, n)."""


class Choice(Protocol):
    """The tiles that pass a filter, decided once for any number of searches of one committed state."""

    @property
    def count(self) -> int:
        """How many there are."""

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Return the min(k, count) nearest of them; see `VectorStore.search`."""


class VectorStore(Protocol):
    """Keeps unit vectors by tile id and finds the nearest under a filter.

    Rows handed to `upsert` count only once a snapshot shows their segment, so that the catalog's transaction stays
    the only commit point. Deletion is a snapshot without the scene.
    """

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns, cells: CellCodes | None = None) -> Segment:
        """Write rows durably and return their receipt; ids ascend. Writing the same rows again is safe.

        Args:
            vectors: Unit vectors, shape (n, dim).
            columns: Their attributes, row for row.
            cells: Their cells, row for row; None where they have none.

        Raises:
            ArchiveError: The vectors have another shape, are not finite, or cannot be written.
        """

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state from now on; searches under way keep the one they began with.

        Raises:
            ArchiveError: A segment's data is missing or damaged.
        """

    def ping(self) -> None:
        """Ask the engine for a sign of life, if it is a server.

        Raises:
            EngineUnavailableError: It does not answer.
        """

    # Searching

    def search(self, queries: NDArray[np.float32], k: int, where: Filter, *, exact: bool = False) -> list[Ranked]:
        """Return the min(k, matching) nearest tiles of each query, scored on the raw vectors.

        Args:
            queries: Unit vectors, shape (q, dim).
            k: Most hits for each.
            where: Which tiles count.
            exact: Compare every row, without the index.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def choose(self, where: Filter) -> Choice:
        """Decide which tiles pass a filter, to count and search them.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def select(self, where: Filter, fields: Sequence[str] = ()) -> Selection:
        """Return all tiles that pass a filter.

        Args:
            where: Which tiles.
            fields: Names of registered fields whose values are needed.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Return the cosine of every tile that passes a filter with each of some vectors, shape (q, dim).

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of tiles, shape (n, dim), in the order of the ids.

        Raises:
            NotFoundError: A tile that the snapshot does not hold.
        """

    def cells(self, ids: Sequence[int]) -> list[tuple[NDArray[np.intp], CellCodes]]:
        """Return the cells of tiles: where those that have as many a tile stand in `ids`, and their cells.

        Tiles without cells are left out.

        Raises:
            NotFoundError: A tile that the snapshot does not hold.
            ArchiveError: The cells of one are damaged.
        """

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Return which of some tiles the snapshot does not hold, ascending."""

    # The index, derived from the vectors

    @property
    def worth_an_index(self) -> bool:
        """Whether `optimize` would build an index for what is shown."""

    @property
    def index_figures(self) -> dict[str, Any]:
        """The index's kind (`index`, "none" without one), size, and measured recall."""

    @property
    def unindexed(self) -> int:
        """How many rows are scanned because they are newer than the index; 0 without an index."""

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int | None = None) -> dict[str, Any]:
        """Build or extend the index, serve it, and return its measured figures.

        Args:
            texts: Vectors of sentences to measure with, shape (n, dim); they lie off the images' distribution.
            budget_bytes: Memory for each vector; the engine's own default when None.
        """

    def extend(self) -> bool:
        """Add to the saved index the rows that it lacks, and return whether there is an index to serve next."""

    # Maintenance

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes: `vectors`, `deleted_vectors`, `segments`, `vector_bytes`, `cell_bytes`, `index`."""

    def living(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """Return each segment shown, and the ids of its tiles whose scene exists, ascending."""

    def merge(self) -> tuple[list[Segment], list[Segment]]:
        """Write segments without deleted rows, small ones together; a commit makes that valid.

        Returns:
            The segments to drop, and those that replace them; both empty where there is nothing to gain.
        """

    def remove_unnamed(self, named: set[str], newest: int) -> None:
        """Delete what no commit names: a writer ended before its commit, or a compaction is done.

        Args:
            named: Segments that a commit names.
            newest: Id of the newest tile; an index beyond it was not made from this catalog.
        """

    def verify(self, *, full: bool) -> list[str]:
        """Return what is wrong with the stored vectors, one sentence each; `full` reads every row."""

    def damage(self, segment: Segment, cells: int = 0) -> str | None:
        """Return what is wrong with a segment, in one sentence, None when every row is intact.

        Args:
            segment: The segment.
            cells: Cells along a side of its tiles; 0 where they need not have any.
        """

    def salvage(self, segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.float32], CellCodes | None]:
        """Keep a copy of a damaged segment aside; return ids, vectors and cells of its rows that are intact."""

    def repair_derived(self) -> list[str]:
        """Delete damaged derived data, which is built again on use, and return what was done, one sentence each."""

    # Moving

    def copy_to(self, folder: Path, segments: Sequence[Segment], files: CachedObjects | None = None) -> bool:
        """Copy segments, checked, and the index into a backup's folder; False where one has just been removed.

        Args:
            folder: The folder of the other archive.
            segments: Which ones.
            files: Object storage that shall keep the segments instead; then the index is not copied.

        Raises:
            ArchiveError: A segment is damaged.
            OSError: The folder cannot be written.
        """

    def adopt(self, beside: Self, segments: Sequence[Segment]) -> None:
        """Take over the segments and the index of another store of the same kind, durably.

        A commit makes the segments valid. The index is replaced at once; without that commit it is ignored.

        Raises:
            ArchiveError: The disk is full or refuses the write.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContext:
    """What a store may ask of the catalog, and how long its vectors are."""

    dim: int
    """Length of a vector."""
    columns_of: Callable[[NDArray[np.int64]], TileColumns]
    """Reads the attributes of tiles by id."""
    footprints: Footprints
    """Reads the footprints of tiles by id."""
    folder: Path | None = None
    """The archive's folder, for an engine that keeps files there and something else elsewhere."""
    files: CachedObjects | None = None
    """Object storage that keeps the archive's files; None for the folder."""


OpenStore = Callable[[str, StoreContext], VectorStore]
"""Opens the vectors at a URL; an engine is one of these."""
