"""Reads one archive: one committed state at a time, the same for catalog and vectors."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from bandsight.archive.alerts import Alerts
from bandsight.archive.claims import check_own
from bandsight.archive.footprint_cache import FootprintCache
from bandsight.archive.job_log import JobLog
from bandsight.archive.job_queue import JobQueue
from bandsight.archive.labels import Labels
from bandsight.archive.open import ENGINES, Engines, Where, locate
from bandsight.archive.recall_record import kept_recall
from bandsight.archive.saved_searches import SavedSearches
from bandsight.archive.scene_attributes import SceneTable
from bandsight.archive.tile_columns import tile_columns
from bandsight.archive.view import CommitIntervenedError, SceneCache, View
from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.filters import Filter
from bandsight.catalog.changes import SceneChanges
from bandsight.catalog.port import Catalog
from bandsight.catalog.records import ModelIdentity, Scene, Tile
from bandsight.errors import ArchiveError, ModelChangedError, ModelMismatchError, NotFoundError
from bandsight.objects.store import ObjectMissingError
from bandsight.vectors.port import Similarities, Snapshot, StoreContext

# A search starts over if a commit intervenes between its vectors and its rows; repeated failures point to damage.
_ATTEMPTS = 5
_FORMAT_VERSION = 2

_T = TypeVar("_T")


class Archive:
    """Scenes, tiles and their vectors, open for reading; see docs/storage.md.

    Any number of readers and one writer may have an archive open. Searches may run in many threads.
    """

    def __init__(self, where: Where, engines: Engines = ENGINES) -> None:
        """Open an archive; see `open`."""
        self.location = locate(where)
        self.path = self.location.folder
        self.database = engines.catalog_of(self.location)
        self._engines = engines
        self._refreshing = threading.Lock()
        try:
            self.reopen()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, where: Where, engines: Engines = ENGINES) -> Self:
        """Open an archive.

        Args:
            where: Its folder, or a URL; see `bandsight.archive.open.locate`.
            engines: The engines that may open its parts.

        Raises:
            ArchiveError: There is none, it is damaged, or its version or engine is unknown.
            ArchiveLockedError: It is opened for writing, and another process is writing to it.
        """
        return cls(where, engines)

    def reopen(self) -> None:
        """Reload the model's identity and serve the newest commit, even if the model has been replaced.

        Raises:
            ArchiveError: The archive is gone, is damaged, or has another version.
        """
        self.model = self.database.open()
        with self.database.reading() as catalog:
            self.id = catalog.archive_id()
        self.files = self._engines.files_of(self.location)
        if self.files is not None:
            check_own(self.files, self.id)
        self._footprints = FootprintCache(self.database)
        context = StoreContext(
            dim=self.model.dim,
            columns_of=self._read_columns,
            footprints=self._footprints.tiles,
            folder=self.location.folder,
            files=self.files,
            archive_id=self.id,
        )
        self.store = self._engines.store_of(self.location)(self.location.vectors, context)
        self._scene_table = SceneTable()
        self._scenes = SceneCache()
        self._generation = -1
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release files and connections."""
        self.database.close()

    # Served state

    def read(self, answer: Callable[[View], _T]) -> _T:
        """Return a result computed from one committed state; it is recomputed if a commit intervenes.

        Args:
            answer: Computes the result from the state; may be called several times.

        Raises:
            ArchiveError: Vectors and catalog disagree.
            ModelChangedError: The archive has been reindexed with another model since it was opened.
        """
        swept: ObjectMissingError | None = None
        for _ in range(_ATTEMPTS):
            try:
                with suppress(CommitIntervenedError), self.database.reading() as catalog:
                    self._follow(catalog)
                    return answer(self._view(catalog))
            except ObjectMissingError as error:
                # A compaction has swept a file that this state still named.
                swept = error
        if swept is not None:
            raise swept
        raise ArchiveError(f"{self.path}: vectors and catalog disagree; run: bandsight verify --archive {self.path}")

    def refresh(self) -> None:
        """Serve the newest commit."""
        self.read(lambda _: None)

    @property
    def generation(self) -> int:
        """Generation being served."""
        return self._generation

    def check_model(self, model: ModelIdentity) -> None:
        """Check that a model's vectors are comparable with the archive's.

        Raises:
            ModelMismatchError: The digests differ.
        """
        if model.digest != self.model.digest:
            raise ModelMismatchError(
                f"{self.path}: holds vectors of model {self.model.name} ({self.model.digest[:12]}, {self.model.dim} "
                f"numbers), found model {model.name} ({model.digest[:12]}, {model.dim} numbers); pass --model "
                f"{self.model.name} with the same weights, or index into another archive"
            )

    @property
    def tile_count(self) -> int:
        """Number of searchable tiles."""
        return int(self.store.stats()["vectors"])

    def stats(self) -> dict[str, Any]:
        """Return statistics of the archive, for display and monitoring."""

        def answer(view: View) -> dict[str, Any]:
            return {
                "archive": str(self.location),
                "format_version": _FORMAT_VERSION,
                "generation": view.generation,
                "model": self.model.name,
                "model_digest": self.model.digest,
                "model_license": self.model.license,
                "dim": self.model.dim,
                **view.catalog.counts(),
                "collections": view.catalog.summary(),
                "catalog_bytes": self.database.size_bytes(),
                **view.store.stats(),
                "recall_check": kept_recall(self.path),
            }

        return self.read(answer)

    # Tiles

    @property
    def newest_tile(self) -> int:
        """Id of the newest tile ever added."""
        with self.database.reading() as catalog:
            return catalog.next_tile_id() - 1

    def tile(self, tile_id: int) -> Tile:
        """Return a tile.

        Raises:
            NotFoundError: There is no tile with this id.
        """
        with self.database.reading() as catalog:
            tile = catalog.tiles([tile_id]).get(tile_id)
        if tile is None:
            raise NotFoundError(f"tile {tile_id}: this archive has no such tile; ids come from a search")
        return tile

    def tiles_by_id(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; ids without a tile are omitted."""
        with self.database.reading() as catalog:
            return catalog.tiles(list(ids))

    def tile_ids(self, where: Filter) -> NDArray[np.int64]:
        """Return the ids of all tiles that pass a filter, ascending.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """
        return self.read(lambda view: view.select(where).ids)

    def count(self, where: Filter) -> int:
        """Return how many tiles pass a filter.

        Raises:
            QueryError: The filter cannot be applied to these tiles.
        """
        return self.tile_count if where.is_empty else len(self.tile_ids(where))

    def footprints(self, ids: Sequence[int]) -> NDArray[np.object_]:
        """Return the footprints of tiles as shapely geometries, in the order of the ids.

        Raises:
            NotFoundError: A tile is not in the archive.
        """
        try:
            return self._footprints.tiles(np.asarray(ids, np.int64))
        except CommitIntervenedError as error:
            raise NotFoundError("tiles: one of them has just been removed; try again") from error

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of tiles, shape (n, dim), in the order of the ids.

        Raises:
            NotFoundError: A tile is not in the archive.
        """
        with self.database.reading() as catalog:
            self._follow(catalog)
        missing = self.store.missing(ids)
        if missing:
            raise NotFoundError(f"tile {missing[0]}: this archive has no such tile; ids come from a search")
        return self.store.get(ids)

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Return the cosine of each tile that passes a filter with each vector, shape (q, dim).

        Raises:
            QueryError: The filter or the vectors are invalid.
        """
        return self.read(lambda view: view.similarities(vectors, where))

    # Scenes

    def scene(self, scene_id: int) -> Scene:
        """Return a scene.

        Raises:
            NotFoundError: There is no scene with this id.
        """
        with self.database.reading() as catalog:
            scene = catalog.scenes([scene_id]).get(scene_id)
        if scene is None:
            raise NotFoundError(f"scene {scene_id}: this archive has no such scene")
        return scene

    def scenes_by_id(self, ids: Sequence[int]) -> dict[int, Scene]:
        """Return scenes by id; ids without a scene are omitted."""
        with self.database.reading() as catalog:
            return catalog.scenes(list(ids))

    def scenes(self) -> list[Scene]:
        """Return all scenes, ordered by id."""
        with self.database.reading() as catalog:
            return list(catalog.scenes().values())

    def scene_columns(self) -> SceneColumns:
        """Return the filterable attributes of all scenes."""
        return self.read(lambda view: view.scene_columns)

    def changes(self, since: int) -> SceneChanges:
        """Return the scenes added and removed since a generation.

        Args:
            since: A generation of this archive, or -1 for everything.
        """
        with self.database.reading() as catalog:
            return catalog.changes(since)

    @property
    def jobs(self) -> JobLog:
        """The job log."""
        return JobLog(self.path, self.database)

    @property
    def job_queue(self) -> JobQueue:
        """Jobs waiting for a server or a worker; readers may add jobs."""
        return JobQueue(self.path, self.database)

    @property
    def saved_searches(self) -> SavedSearches:
        """Saved searches; readers may write them too."""
        return SavedSearches(self.database, self.model.digest)

    @property
    def labels(self) -> Labels:
        """Labels and the classifiers trained on them; readers may write them too."""
        return Labels(self.database, self.model.digest)

    @property
    def alerts(self) -> Alerts:
        """Subscriptions and the alerts that commits raised; readers may write subscriptions too."""
        return Alerts(self.database)

    # Inside

    def _view(self, catalog: Catalog) -> View:
        return View(
            catalog=catalog,
            store=self.store,
            scene_cache=self._scenes,
            tile_footprints=self._footprints.tiles,
            scene_footprints=self._footprints.scenes,
            scene_columns=self._scene_columns,
            dim=self.model.dim,
        )

    def _follow(self, catalog: Catalog) -> None:
        """Update the store to this transaction's state, unless it already serves that or a newer one."""
        generation = catalog.generation()
        if generation == self._generation:
            return
        model = catalog.model()
        if model is None or model.digest != self.model.digest:
            name = model.name if model else "none"
            raise ModelChangedError(
                f"{self.path}: reindexed with model {name} since it was opened with {self.model.name}"
            )
        with self._refreshing:
            if generation > self._generation:
                snapshot = self._snapshot(catalog)
                self._show(snapshot)
                self._scene_columns = snapshot.scenes
                self._generation = generation

    def _show(self, snapshot: Snapshot) -> None:
        try:
            self.store.show(snapshot)
        except ArchiveError as error:
            # A compaction may have deleted the files; then there is a newer state to show.
            with self.database.reading() as catalog:
                if catalog.generation() > snapshot.generation:
                    raise CommitIntervenedError from error
            raise

    def _snapshot(self, catalog: Catalog) -> Snapshot:
        return Snapshot(
            generation=catalog.generation(),
            segments=tuple(catalog.segments()),
            newest=catalog.next_tile_id() - 1,
            scenes=self._scene_table.read(catalog),
        )

    def _read_columns(self, ids: NDArray[np.int64]) -> TileColumns:
        with self.database.reading() as catalog:
            return tile_columns(catalog, ids)
