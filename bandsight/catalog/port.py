"""The catalog port: what an archive needs of the database that names its scenes, tiles and segments.

A catalog's transaction is the only commit point of an archive. Vectors are durable before the transaction that names
their segment; a segment that no transaction names does not exist. An adapter reports a failure of its database as an
`ArchiveError` with a way out, or as a `BusyError` where the same request may succeed later.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.attributes.segments import Segment
from bandsight.catalog.alerts import AlertRows
from bandsight.catalog.changes import SceneChanges
from bandsight.catalog.jobs import JobRows
from bandsight.catalog.labels import LabelRows
from bandsight.catalog.records import ModelIdentity, Scene, SceneRecord, Tile, TileRecord
from bandsight.catalog.saved_searches import SavedSearchRows

SceneAttributes = tuple[Any, ...]
"""Of a scene: id, datetime, collection, sensor, boxes as (west, south, east, north), properties, then the registered
fields of scenes (`bandsight.attributes.fields`) in their order."""


class Catalog(Protocol):
    """One transaction's view of the catalog."""

    @property
    def jobs(self) -> JobRows:
        """Jobs."""

    @property
    def saved_searches(self) -> SavedSearchRows:
        """Saved searches."""

    @property
    def labels(self) -> LabelRows:
        """Labels and classifiers."""

    @property
    def alerts(self) -> AlertRows:
        """Subscriptions and alerts."""

    def model(self) -> ModelIdentity | None:
        """Return the archive's model, None where the catalog names none."""

    def archive_id(self) -> str:
        """Return what the archive is known by, 16 hex digits; copies of an archive have the same."""

    def generation(self) -> int:
        """Return the number of the last commit."""

    def state(self) -> tuple[int, int]:
        """Return the number of the last commit, and the newest tile id ever used."""

    def next_tile_id(self) -> int:
        """Return the id that the next tile gets."""

    def newest_scene_id(self) -> int:
        """Return the highest id of a scene, 0 when there is none."""

    def has_scene(self, key: str) -> bool:
        """Return whether a scene with this identity is present."""

    def scene_ids_of_identity(self, identity: str) -> list[int]:
        """Return ids of the scenes with an identity, ascending."""

    def segments(self) -> list[Segment]:
        """Return the committed segments, ascending by first id."""

    def scene_ids(self) -> list[int]:
        """Return the ids of all scenes, ascending."""

    def scene_attributes(self, after: int) -> Iterator[SceneAttributes]:
        """Yield what filters read of the scenes beyond an id, ascending."""

    def scene_ids_of(self, hrefs: Sequence[str]) -> dict[str, int]:
        """Return ids of scenes by href; unknown hrefs are left out."""

    def scenes_of(self, tile_ids: Sequence[int]) -> list[int]:
        """Return the ids of the scenes that some tiles belong to."""

    def hrefs(self, scene_ids: Sequence[int]) -> dict[int, str]:
        """Return hrefs of scenes by id, even where the rest of a row is damaged."""

    def scenes(self, ids: Sequence[int] | None = None) -> dict[int, Scene]:
        """Return scenes by id, all of them when no ids are given.

        Raises:
            ArchiveError: A row is damaged.
        """

    def tiles(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; unknown ids are left out.

        Raises:
            ArchiveError: A row is damaged.
        """

    def tile_ids(self, first_id: int, last_id: int) -> list[int]:
        """Return the ids of the tiles in a range of ids, ascending."""

    def narrow(self, where: Filter, scenes: SceneColumns, limit: int) -> NDArray[np.int64] | None:
        """Return ids of all tiles that may pass a filter, ascending, by the database's own indexes.

        Args:
            where: The filter.
            scenes: The scenes of this state.
            limit: Most tiles; the answer is None where there are more, and where the database has no such indexes.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """

    def existing_tiles(self, ids: Sequence[int]) -> set[int]:
        """Return which of some tiles exist."""

    def tile_attributes(self, first_id: int, last_id: int) -> list[tuple[Any, ...]]:
        """Return (id, scene id, the eight box sides, then the registered fields) of the tiles in a range of ids."""

    def footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of tiles as GeoJSON text; unknown ids are left out."""

    def scene_footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of scenes as GeoJSON text; unknown ids are left out."""

    def changes(self, since: int) -> SceneChanges:
        """Return which scenes have come and gone since a generation."""

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, when) of scenes that could not be indexed."""

    def counts(self) -> dict[str, int]:
        """Return the numbers of scenes, tiles and failures."""

    def summary(self) -> list[dict[str, Any]]:
        """Return scenes, tiles and times of each collection and sensor."""

    def check(self) -> list[str]:
        """Return what is inconsistent inside the catalog, one sentence each."""

    def structure(self, *, thorough: bool = False) -> list[str]:
        """Return what the database reports as broken, one sentence each; `thorough` compares its indexes too."""

    def damaged(self) -> tuple[list[int], list[int]]:
        """Return the ids of scenes and of tiles whose rows are not what was written."""


class CatalogWriter(Catalog, Protocol):
    """A transaction that writes; it commits as a whole or not at all."""

    def advance(self) -> int:
        """Begin the next generation and return its number."""

    def add_scene(self, scene: SceneRecord, generation: int) -> int:
        """Insert a scene, in place of those that it replaces, and return its id; `generation` is this commit's."""

    def update_scene(self, scene_id: int, scene: SceneRecord) -> None:
        """Rewrite where a scene lies; what filters read of it stays."""

    def add_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        """Insert a scene's tiles under consecutive ids."""

    def add_segment(self, segment: Segment, generation: int) -> None:
        """Name a segment: from the commit on, its rows exist."""

    def remove_segments(self, names: Sequence[str]) -> None:
        """Drop the names of segments: from the commit on, their data may be deleted."""

    def remove_scenes(self, ids: Sequence[int], generation: int) -> None:
        """Delete scenes with their tiles; `generation` is this commit's."""

    def remove_tiles(self, ids: Sequence[int]) -> None:
        """Delete tiles."""

    def record_failure(self, href: str, reason: str) -> None:
        """Record why a scene could not be indexed."""

    def reindex(self) -> None:
        """Rebuild the database's own indexes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCopy:
    """A copy of a catalog that is not an archive yet."""

    generation: int
    """Commit that was copied."""
    segments: tuple[Segment, ...]
    """Segments that this commit names."""
    publish: Callable[[], None]
    """Makes the copy the catalog of its folder, once the vectors are there."""


class Hold(Protocol):
    """The right to write, until it is released or its process ends."""

    def release(self) -> None:
        """Let others write."""


class Leases(Protocol):
    """Names that only one process works on at a time; a lease ends with its process. Safe to share between threads.

    Leases save work and decide nothing: the commit does.
    """

    def take(self, name: str) -> bool:
        """Lease a name, as often as one likes; return whether no other process has it.

        Raises:
            EngineUnavailableError: The database does not answer.
        """

    def give_back(self, name: str) -> None:
        """End a lease."""

    def close(self) -> None:
        """End all leases."""


class CatalogDatabase(Protocol):
    """The database of one catalog. Any number of transactions may read at once; one writes."""

    @property
    def url(self) -> str:
        """Where it is, for messages."""

    def exists(self) -> bool:
        """Return whether there is a catalog, of any version."""

    def create(
        self, model: ModelIdentity, *, archive_id: str | None = None, first_tile: int = 1, first_scene: int = 1
    ) -> None:
        """Create an empty catalog; a crash leaves none.

        Args:
            model: Model whose vectors the archive will hold.
            archive_id: What it will be known by; None for a new one.
            first_tile: Id of the first tile.
            first_scene: Id of the first scene.

        Raises:
            ArchiveError: There is one already, or it cannot be written.
        """

    def open(self) -> ModelIdentity:
        """Return the model of a catalog that this version can read.

        Raises:
            ArchiveError: There is none, it is damaged, or it is of another version.
        """

    def upgrade(self) -> str:
        """Migrate the schema to this version's and return the version.

        Raises:
            ArchiveError: There is no catalog, or it comes from a newer version.
        """

    def reading(self) -> AbstractContextManager[Catalog]:
        """Open a transaction that reads one committed state."""

    def writing(self) -> AbstractContextManager[CatalogWriter]:
        """Open a transaction that writes; leaving the block without an error commits it."""

    @property
    def shared(self) -> bool:
        """Whether several processes may have it open for writing; then `hold` and `leases` give something."""

    def hold(self, *, alone: bool, wait_s: float) -> Hold | None:
        """Take the right to write; None where a lock on the archive's folder gives it.

        Args:
            alone: Keep out all other writers; else only those that must be alone.
            wait_s: How long to wait for others, seconds.

        Raises:
            ArchiveLockedError: Another process has it.
        """

    def leases(self) -> Leases | None:
        """Return leases for the writers that share this catalog; None where there is one writer at a time."""

    def copy_to(self, folder: Path) -> CatalogCopy:
        """Copy one committed state into a folder, beside searches and commits.

        Raises:
            OSError: The folder cannot be written.
        """

    def swap_in(self, beside: Self) -> int:
        """Replace all scenes, tiles, segments and the model by another catalog's, in one commit.

        Jobs, saved searches and labels stay. The other catalog is of the same kind, or in a SQLite file.

        Returns:
            The generation that the commit makes.

        Raises:
            ArchiveError: Ids of the other catalog have been used here since it was created, or the disk is full.
        """

    def replace_by(self, beside: Self) -> int:
        """Replace every row by another catalog's, in one commit that is newer than those of both.

        New ids of tiles start after the highest of both, so that no id is used twice.

        Returns:
            The generation that the commit makes.

        Raises:
            ArchiveError: The catalog cannot do that, or the disk is full.
        """

    def take_over(
        self,
        source: "CatalogDatabase",
        before_completion: Callable[[], None],
        progress: Callable[[str, int], None],
    ) -> None:
        """Become a copy of another catalog, with the same ids; a stopped copy is resumed.

        Args:
            source: The other catalog, in any database; it must not change during the copy.
            before_completion: Runs when all rows are there and were compared, before the copy becomes an archive.
            progress: Is told the table and the number of rows of each part.

        Raises:
            ArchiveError: There is an archive here already, or the rows differ in the end.
        """

    def size_bytes(self) -> int:
        """Return how much space the catalog takes."""

    def close(self) -> None:
        """Release connections."""
