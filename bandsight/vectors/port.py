"""The port: what an archive asks of whatever keeps its vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.filters import Filter
from bandsight.vectors.scores import Ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of vectors written in one go: the receipt that the catalog's commit makes valid."""

    name: str
    """Name of the file, without folder or suffix."""
    first_id: int
    """Tile id of its first row; the others ascend."""
    last_id: int
    """Tile id of its last row; no other segment has a row between the two."""
    count: int
    """Rows."""
    sha256: str
    """Checksum of the rows, hex."""


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
    """The tiles that pass a filter, decided once for as many searches as are wanted, of one committed state."""

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

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns) -> Segment:
        """Write rows durably and return their receipt; ids ascend. Writing the same rows again is safe.

        Args:
            vectors: Unit vectors, shape (n, dim).
            columns: Their attributes, row for row.
        """

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state from now on; searches under way keep the one they began with."""

    def search(self, queries: NDArray[np.float32], k: int, wanted: Filter, *, exact: bool = False) -> list[Ranked]:
        """Return the min(k, matching) nearest tiles of each query, scored on the raw vectors.

        Args:
            queries: Unit vectors, shape (q, dim).
            k: Most hits for each.
            wanted: Which tiles count.
            exact: Look at every row, whatever index there is.

        Raises:
            QueryError: The filter asks what cannot be known of these tiles.
        """

    def choose(self, wanted: Filter) -> Choice:
        """Decide which tiles pass a filter, to be counted and searched.

        Raises:
            QueryError: The filter asks what cannot be known of these tiles.
        """

    def select(self, wanted: Filter) -> Selection:
        """Return all tiles that pass a filter.

        Raises:
            QueryError: The filter asks what cannot be known of these tiles.
        """

    def similarities(self, vectors: NDArray[np.float32], wanted: Filter) -> Similarities:
        """Return the cosine of every tile that passes a filter with each of some vectors, shape (q, dim).

        Raises:
            QueryError: The filter asks what cannot be known of these tiles.
        """

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of tiles, shape (n, dim), in the order asked.

        Raises:
            NotFoundError: A tile that the snapshot does not hold.
        """

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Return which of some tiles the snapshot does not hold, ascending."""

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int = ...) -> dict[str, Any]:
        """Build whatever makes searches faster and return its measured figures once it is served.

        Args:
            texts: Vectors of sentences to measure with, shape (n, dim); they lie off the images' distribution.
            budget_bytes: Memory for each vector.
        """

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes."""

    def verify(self, *, full: bool) -> list[str]:
        """Return what is wrong with the stored vectors, one sentence each; `full` reads every row."""
