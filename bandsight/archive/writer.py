"""Writes to one archive: adds and removes scenes, and keeps its vectors compact and indexed."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive.index_updater import IndexUpdater
from bandsight.archive.lock import WriterLock
from bandsight.archive.open import ENGINES, Engines, Where, archive_exists, locate
from bandsight.archive.reader import Archive
from bandsight.archive.writing import Batch, ScenePart, add_in_parts, add_scenes
from bandsight.catalog.records import ModelIdentity, SceneRecord
from bandsight.errors import ModelMismatchError, NotFoundError


class ArchiveWriter(Archive):
    """An archive open for its one writer, who also reads what it has written."""

    def __init__(self, where: Where, engines: Engines = ENGINES) -> None:
        """Open an archive for writing; see `open`."""
        location = locate(where)
        self._lock: WriterLock | None = None
        self._updater: IndexUpdater | None = None
        if archive_exists(location, engines):
            self._lock = WriterLock(location.folder)
        super().__init__(location, engines)

    @classmethod
    def create(
        cls,
        where: Where,
        model: ModelIdentity,
        engines: Engines = ENGINES,
        *,
        first_tile: int = 1,
        first_scene: int = 1,
    ) -> "ArchiveWriter":
        """Create an empty archive for a model's vectors and open it for writing.

        Args:
            where: A folder, which need not exist, or a URL.
            model: The model.
            engines: The engines that may keep its parts.
            first_tile: Id of the first tile.
            first_scene: Id of the first scene.

        Raises:
            ArchiveError: There is one already, or it cannot be written.
            ArchiveLockedError: Another process is creating one.
        """
        location = locate(where)
        # Refused before anything is made.
        database, _ = engines.catalog_of(location), engines.store_of(location)
        location.folder.mkdir(parents=True, exist_ok=True)
        # Created with the lock held: of two jobs that begin at once, one would put its catalog over the other's.
        lock = WriterLock(location.folder)
        try:
            database.create(model, first_tile=first_tile, first_scene=first_scene)
        finally:
            lock.release()
        return cls(location, engines)

    @classmethod
    def open_or_create(cls, where: Where, model: ModelIdentity, engines: Engines = ENGINES) -> "ArchiveWriter":
        """Open an archive for writing; create it first where there is none.

        Raises:
            ModelMismatchError: It holds vectors of another model.
        """
        if not archive_exists(where, engines):
            return cls.create(where, model, engines)
        opened = cls(where, engines)
        try:
            opened.check_model(model)
        except ModelMismatchError:
            opened.close()
            raise
        return opened

    def reopen(self) -> None:
        """Serve the newest commit and delete what no commit names; see `Archive.reopen`."""
        super().reopen()
        self._updater = IndexUpdater(self.store)
        self._remove_unnamed()

    def close(self) -> None:
        """Release files and the writer's lock, once an index that is being extended is saved."""
        try:
            self.finish_index()
        finally:
            super().close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    @property
    def generation(self) -> int:
        """Number of the newest commit."""
        self.refresh()
        return self._generation

    @property
    def tile_count(self) -> int:
        """How many tiles there are, those of the last commit included."""
        # Shown on demand: showing each commit would cost the more, the larger the archive is.
        self.refresh()
        return super().tile_count

    @property
    def worth_an_index(self) -> bool:
        """True when `optimize` would build an index, those of the last commit included."""
        self.refresh()
        return super().worth_an_index

    def add(self, batch: Batch) -> int:
        """Add scenes with their tiles and vectors in one commit and return the generation it makes.

        A scene whose key is present is skipped. A scene whose href, or one of whose band files, is present under
        another key replaces that scene.
        """
        with self.database.writing() as catalog:
            generation = add_scenes(catalog, self.store, batch)
        self._extend_index()
        return generation

    def add_in_parts(self, scene: SceneRecord, parts: Iterable[ScenePart]) -> int:
        """Add one scene, however large, in one commit and return the generation it makes; as `add`.

        Args:
            scene: The scene.
            parts: Its tiles and their vectors; only one part is held in memory at a time.
        """
        with self.database.writing() as catalog:
            generation = add_in_parts(catalog, self.store, scene, parts)
        self._extend_index()
        return generation

    def remove(self, hrefs: Sequence[str]) -> int:
        """Remove scenes with their tiles in one commit and return the generation it makes.

        Raises:
            NotFoundError: A scene that the archive does not hold; nothing is removed.
        """
        with self.database.writing() as catalog:
            found = catalog.scene_ids_of(hrefs)
            for href in hrefs:
                if href not in found:
                    raise NotFoundError(f"{href}: this archive holds no such scene; hrefs come from a search")
            generation = catalog.advance()
            catalog.remove_scenes(list(found.values()), generation)
        self.refresh()
        return generation

    def record_failure(self, href: str, reason: str, *, scene: str = "", job: int | None = None) -> None:
        """Record a scene that could not be indexed, until it can.

        Args:
            href: Its file or folder.
            reason: Why not.
            scene: Its name.
            job: The job that it failed in, which keeps the record for good.
        """
        with self.database.writing() as catalog:
            catalog.record_failure(href, reason)
            if job is not None:
                catalog.jobs.add_failure(job, scene or href, href, reason)

    def compact(self) -> dict[str, int]:
        """Write segments without deleted rows and small ones together; return what that changed.

        Searches continue meanwhile, and tiles keep their ids.
        """
        self.finish_index()
        self.refresh()
        before = self.store.stats()
        old, new = self.store.merge()
        if old:
            with self.database.writing() as catalog:
                catalog.remove_segments([segment.name for segment in old])
                generation = catalog.advance()
                for segment in new:
                    catalog.add_segment(segment, generation)
            self.refresh()
            self._remove_unnamed()
        after = self.store.stats()
        return {
            f"{name}_{when}": stats[name]
            for name in ("segments", "deleted_vectors", "vector_bytes")
            for when, stats in (("before", before), ("after", after))
        }

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int | None = None) -> dict[str, Any]:
        """Build the search index where the archive is large enough to profit; return its measured figures.

        The index is trained on the archive's own vectors, and searches look as far as the recall measured on them
        requires. An index that exists takes the rows that it lacks. Searches continue meanwhile, and readers switch
        over by themselves.

        Args:
            texts: Vectors of sentences (`bandsight.search.recall_queries`), to measure text queries too, shape
                (n, dim).
            budget_bytes: Memory that the index may take for each vector; the engine's own default when None.
        """
        self.finish_index()
        self.refresh()
        figures = self.store.optimize(texts, budget_bytes=budget_bytes)
        if figures["index"] != "none":
            with self.database.writing() as catalog:
                catalog.advance()
            self.refresh()
        return figures

    def finish_index(self) -> None:
        """Wait until the index is extended, if it is being, and let readers know."""
        if self._updater is not None and self._updater.finish():
            with self.database.writing() as catalog:
                catalog.advance()

    def _extend_index(self) -> None:
        assert self._updater is not None
        if self._updater.worth_a_look(self.newest_tile):
            self.refresh()
            self._updater.start_if_due()

    def _remove_unnamed(self) -> None:
        with self.database.reading() as catalog:
            named, newest = {segment.name for segment in catalog.segments()}, catalog.next_tile_id() - 1
        self.store.remove_unnamed(named, newest)
