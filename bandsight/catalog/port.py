"""The catalog port: the interface to the database of scenes, tiles and segments.

A catalog's transaction is the only commit point of an archive. Vectors are durable before the transaction that
references their segment. A segment that is not referenced does not exist. Adapters report database failures as
`ArchiveError` with advice, or as `BusyError` if retrying may succeed.
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
"""Scene id, datetime, collection, sensor, boxes as (west, south, east, north), properties, then the registered scene
fields (`bandsight.attributes.fields`) in order."""


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
        """Return the archive's model, or None if the catalog has none."""

    def archive_id(self) -> str:
        """Return the archive's id, 16 hex digits; copies of an archive share it."""

    def generation(self) -> int:
        """Return the number of the last commit."""

    def state(self) -> tuple[int, int]:
        """Return the number of the last commit, and the newest tile id ever used."""

    def next_tile_id(self) -> int:
        """Return the id of the next tile."""

    def newest_scene_id(self) -> int:
        """Return the highest scene id, 0 if there are none."""

    def has_scene(self, key: str) -> bool:
        """Return whether a scene with this key exists."""

    def scene_ids_of_identity(self, identity: str) -> list[int]:
        """Return ids of the scenes with an identity, ascending."""

    def segments(self) -> list[Segment]:
        """Return the committed segments, ascending by first id."""

    def scene_ids(self) -> list[int]:
        """Return the ids of all scenes, ascending."""

    def scene_attributes(self, after: int) -> Iterator[SceneAttributes]:
        """Yield the filterable attributes of scenes with ids above `after`, ascending."""

    def scene_ids_of(self, hrefs: Sequence[str]) -> dict[str, int]:
        """Return ids of scenes by href; unknown hrefs are omitted."""

    def scenes_of(self, tile_ids: Sequence[int]) -> list[int]:
        """Return the ids of the scenes of tiles."""

    def hrefs(self, scene_ids: Sequence[int]) -> dict[int, str]:
        """Return hrefs of scenes by id, even where the rest of a row is damaged."""

    def scenes(self, ids: Sequence[int] | None = None) -> dict[int, Scene]:
        """Return scenes by id, all of them if `ids` is None.

        Raises:
            ArchiveError: A row is damaged.
        """

    def tiles(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; unknown ids are omitted.

        Raises:
            ArchiveError: A row is damaged.
        """

    def tile_ids(self, first_id: int, last_id: int) -> list[int]:
        """Return the ids of the tiles in a range of ids, ascending."""

    def narrow(self, where: Filter, scenes: SceneColumns, limit: int) -> NDArray[np.int64] | None:
        """Return the ids of all tiles that may match a filter, ascending, using the database's indexes.

        Args:
            where: The filter.
            scenes: The scenes at this state.
            limit: Maximum number of tiles. Returns None if there are more, or if the database has no such indexes.

        Raises:
            QueryError: The filter does not apply to these tiles.
        """

    def existing_tiles(self, ids: Sequence[int]) -> set[int]:
        """Return which of these tiles exist."""

    def tile_attributes(self, first_id: int, last_id: int) -> list[tuple[Any, ...]]:
        """Return (id, scene id, eight box sides, registered fields…) of the tiles in a range of ids."""

    def footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of tiles as GeoJSON text; unknown ids are omitted."""

    def scene_footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of scenes as GeoJSON text; unknown ids are omitted."""

    def changes(self, since: int) -> SceneChanges:
        """Return the scenes added and removed since a generation."""

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, when) of scenes that could not be indexed."""

    def counts(self) -> dict[str, int]:
        """Return the numbers of scenes, tiles and failures."""

    def summary(self) -> list[dict[str, Any]]:
        """Return scenes, tiles and times of each collection and sensor."""

    def check(self) -> list[str]:
        """Return inconsistencies in the catalog, one sentence each."""

    def structure(self, *, thorough: bool = False) -> list[str]:
        """Return damage reported by the database, one sentence each; `thorough` also checks indexes."""

    def damaged(self) -> tuple[list[int], list[int]]:
        """Return the ids of scenes and tiles whose rows do not match their checksums."""


class CatalogWriter(Catalog, Protocol):
    """An atomic write transaction."""

    def advance(self) -> int:
        """Start the next generation and return its number."""

    def add_scene(self, scene: SceneRecord, generation: int) -> int:
        """Insert a scene, deleting the ones it replaces, and return its id. `generation` is that of this commit."""

    def update_scene(self, scene_id: int, scene: SceneRecord) -> None:
        """Update the location of a scene; its filterable attributes do not change."""

    def add_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        """Insert a scene's tiles under consecutive ids."""

    def add_segment(self, segment: Segment, generation: int) -> None:
        """Reference a segment; its rows exist from this commit on."""

    def remove_segments(self, names: Sequence[str]) -> None:
        """Remove references to segments; their data may be deleted after this commit."""

    def remove_scenes(self, ids: Sequence[int], generation: int) -> None:
        """Delete scenes with their tiles. `generation` is that of this commit."""

    def remove_tiles(self, ids: Sequence[int]) -> None:
        """Delete tiles."""

    def record_failure(self, href: str, reason: str) -> None:
        """Record why a scene could not be indexed."""

    def reindex(self) -> None:
        """Rebuild the database's indexes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCopy:
    """A copy of a catalog that is not published yet."""

    generation: int
    """Generation that was copied."""
    segments: tuple[Segment, ...]
    """Segments of that generation."""
    publish: Callable[[], None]
    """Publishes the copy as the catalog of its folder; call it after the vectors are copied."""


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
    """The database of one catalog. Supports concurrent readers and one writer."""

    @property
    def url(self) -> str:
        """URL of the database, for messages."""

    def exists(self) -> bool:
        """Return whether a catalog of any version exists."""

    def create(
        self, model: ModelIdentity, *, archive_id: str | None = None, first_tile: int = 1, first_scene: int = 1
    ) -> None:
        """Create an empty catalog, atomically.

        Args:
            model: Model whose vectors the archive will hold.
            archive_id: What it will be known by; None for a new one.
            first_tile: Id of the first tile.
            first_scene: Id of the first scene.

        Raises:
            ArchiveError: A catalog already exists, or it cannot be written.
        """

    def open(self) -> ModelIdentity:
        """Open the catalog and return its model.

        Raises:
            ArchiveError: There is no catalog, it is damaged, or it has another version.
        """

    def upgrade(self) -> str:
        """Migrate the schema to this version and return its number.

        Raises:
            ArchiveError: There is no catalog, or it is from a newer version.
        """

    def reading(self) -> AbstractContextManager[Catalog]:
        """Open a read transaction on one committed state."""

    def writing(self) -> AbstractContextManager[CatalogWriter]:
        """Open a write transaction; it commits when the block exits without an error."""

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
        """Copy one committed state into a folder, while searches and commits continue.

        Raises:
            OSError: The folder cannot be written.
        """

    def swap_in(self, beside: Self) -> int:
        """Replace all scenes, tiles, segments and the model with another catalog's, in one commit.

        Jobs, saved searches and labels are kept. The other catalog must be of the same kind, or a SQLite file.

        Returns:
            Generation of the commit.

        Raises:
            ArchiveError: Ids of the other catalog have since been used here, or the disk is full.
        """

    def replace_by(self, beside: Self) -> int:
        """Replace every row with another catalog's, in a commit newer than those of both.

        New tile ids start after the highest of both, so that no id is reused.

        Returns:
            Generation of the commit.

        Raises:
            ArchiveError: The catalog does not support this, or the disk is full.
        """

    def take_over(
        self,
        source: "CatalogDatabase",
        before_completion: Callable[[], None],
        progress: Callable[[str, int], None],
    ) -> None:
        """Copy another catalog into this one, with the same ids. Resumes an interrupted copy.

        Args:
            source: The other catalog, in any database. It must not change during the copy.
            before_completion: Called after all rows were copied and compared, before the copy becomes an archive.
            progress: Called with the table name and the number of rows of each chunk.

        Raises:
            ArchiveError: There is already an archive here, or the copied rows differ.
        """

    def size_bytes(self) -> int:
        """Return the size of the catalog."""

    def close(self) -> None:
        """Release connections."""
