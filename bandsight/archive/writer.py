"""Writes to one archive: adds and removes scenes, and keeps its vectors compact and indexed."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive.claims import check_writable, claim
from bandsight.archive.index_updater import IndexUpdater
from bandsight.archive.lock import WriterLock
from bandsight.archive.open import ENGINES, Engines, Where, archive_exists, locate
from bandsight.archive.reader import Archive
from bandsight.archive.relocation import relocated
from bandsight.archive.writing import Batch, CellsOf, ScenePart, add_in_parts, add_scenes
from bandsight.catalog.records import ModelIdentity, SceneRecord
from bandsight.durable import make_folder
from bandsight.errors import ArchiveError, BusyError, ModelMismatchError, NotFoundError

if TYPE_CHECKING:
    from bandsight.catalog.port import Leases


class ArchiveWriter(Archive):
    """An archive opened for writing by its only writer, which can also read what it wrote."""

    def __init__(self, where: Where, engines: Engines = ENGINES, *, alone: bool = True) -> None:
        """Open an archive for writing; see `open` and `open_or_create`."""
        location = locate(where)
        self._lock: WriterLock | None = None
        self._updater: IndexUpdater | None = None
        self.leases: Leases | None = None
        """Of scenes, where other processes may be writing too."""
        if archive_exists(location, engines):
            self._lock = WriterLock(location.folder, engines.catalog_of(location), alone=alone)
        super().__init__(location, engines)
        if self.files is not None:
            try:
                check_writable(self.files)
            except BaseException:
                self.close()
                raise
        if not alone:
            self.leases = self.database.leases()

    @classmethod
    def create(
        cls,
        where: Where,
        model: ModelIdentity,
        engines: Engines = ENGINES,
        *,
        first_tile: int = 1,
        first_scene: int = 1,
        alone: bool = True,
        archive_id: str | None = None,
    ) -> "ArchiveWriter":
        """Create an empty archive for a model's vectors and open it for writing.

        Args:
            where: A folder, which need not exist, or a URL.
            model: The model.
            engines: Storage engines for its catalog and vectors.
            first_tile: Id of the first tile.
            first_scene: Id of the first scene.
            alone: As `open_or_create`.
            archive_id: What it is known by; None for a new id.

        Raises:
            ArchiveError: The archive already exists, or it cannot be written.
            ArchiveLockedError: Another process is creating one.
        """
        location = locate(where)
        # Unsupported locations are rejected before anything is created.
        database, _ = engines.catalog_of(location), engines.store_of(location)
        make_folder(location.folder)
        # Created while holding the lock: of two jobs starting at once, one would overwrite the other's catalog.
        lock = WriterLock(location.folder)
        archive_id = archive_id or secrets.token_hex(8)
        try:
            if (files := engines.files_of(location)) is not None and not database.exists():
                claim(files, archive_id)
            database.create(model, archive_id=archive_id, first_tile=first_tile, first_scene=first_scene)
        finally:
            database.close()
            lock.release()
        return cls(location, engines, alone=alone)

    @classmethod
    def open_or_create(
        cls, where: Where, model: ModelIdentity, engines: Engines = ENGINES, *, alone: bool = True
    ) -> "ArchiveWriter":
        """Open an archive for writing; create it first if it does not exist.

        Args:
            where: A folder, which need not exist, or a URL.
            model: The model.
            engines: Storage engines for its catalog and vectors.
            alone: Keep out all other writers. Without that, others that do not insist on it may write at the same
                time, where the catalog is on a server; they only add scenes.

        Raises:
            ModelMismatchError: It holds vectors of a different model.
        """
        if not archive_exists(where, engines):
            return cls.create(where, model, engines, alone=alone)
        opened = cls(where, engines, alone=alone)
        try:
            opened.check_model(model)
        except ModelMismatchError:
            opened.close()
            raise
        return opened

    def reopen(self) -> None:
        """Serve the newest commit and delete files that no commit references; see `Archive.reopen`."""
        super().reopen()
        self._updater = IndexUpdater(self.store, self.database.leases() if self.database.shared else None)
        # Where others are writing for long, the next one that opens it will do it.
        with suppress(BusyError):
            self._remove_unreferenced()

    def close(self) -> None:
        """Release files and the writer's lock, after any index extension in progress has been saved."""
        try:
            self.finish_index()
        finally:
            if self.leases is not None:
                self.leases.close()
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
        """Number of tiles, including those of the last commit."""
        # Refreshed on demand: refreshing after every commit would cost more the larger the archive is.
        self.refresh()
        return super().tile_count

    def add(self, batch: Batch, cells: CellsOf | None = None) -> int:
        """Add scenes with their tiles and vectors in one commit and return the resulting generation.

        A scene whose key is present is skipped. A scene whose href, or one of whose band files, is present under
        another key replaces that scene.

        Args:
            batch: The scenes.
            cells: The cells of the tiles of those that have any, in the order of the tiles.
        """
        with self.database.writing() as catalog:
            generation = add_scenes(catalog, self.store, batch, cells)
        self._extend_index()
        return generation

    def add_in_parts(self, scene: SceneRecord, parts: Iterable[ScenePart]) -> int:
        """Add one scene, however large, in one commit and return the resulting generation; as `add`.

        Args:
            scene: The scene.
            parts: Its tiles, their vectors and cells; only one part is held in memory at a time.
        """
        with self.database.writing() as catalog:
            generation = add_in_parts(catalog, self.store, scene, parts)
        self._extend_index()
        return generation

    def relocate(
        self, moved: Mapping[int, Mapping[str, str]], sources: Mapping[int, dict[str, Any]] | None = None
    ) -> int:
        """Change where the files of scenes lie, in one commit, and return how many scenes changed.

        Args:
            moved: By the scene's id, each old href and its new one; prefixes of hrefs are not followed.
            sources: By the scene's id, what it is opened from now; None to rewrite what there is.
        """
        changed = {scene_id: hrefs for scene_id, hrefs in moved.items() if hrefs}
        if not changed:
            return 0
        with self.database.writing() as catalog:
            catalog.advance()
            scenes = catalog.scenes(list(changed))
            for scene_id, scene in scenes.items():
                source = None if sources is None else sources.get(scene_id)
                catalog.update_scene(scene_id, relocated(scene, changed[scene_id], source))
        return len(scenes)

    def remove(self, hrefs: Sequence[str]) -> int:
        """Remove scenes with their tiles in one commit and return the resulting generation.

        Raises:
            NotFoundError: A scene is not in the archive; then nothing is removed.
        """
        with self.database.writing() as catalog:
            found = catalog.scene_ids_of(hrefs)
            for href in hrefs:
                if href not in found:
                    raise NotFoundError(f"{href}: this archive has no such scene; hrefs come from a search")
            generation = catalog.advance()
            catalog.remove_scenes(list(found.values()), generation)
        self.refresh()
        return generation

    def record_failure(self, href: str, reason: str, *, scene: str = "", job: int | None = None) -> None:
        """Record that a scene could not be indexed, until it is.

        Args:
            href: Its file or folder.
            reason: Why it failed.
            scene: Its name.
            job: The job in which it failed; the job keeps the record.
        """
        with self.database.writing() as catalog:
            catalog.record_failure(href, reason)
            if job is not None:
                catalog.jobs.add_failure(job, scene or href, href, reason)

    def compact(self) -> dict[str, int]:
        """Rewrite segments to drop deleted rows and merge small ones; return sizes before and after.

        Searches continue in the meantime, and tiles keep their ids.
        """
        self.finish_index()
        self.refresh()
        before = self.store.stats()
        old, new = self.store.merge()
        if old:
            with self.database.writing() as catalog:
                if not {segment.name for segment in old} <= {segment.name for segment in catalog.segments()}:
                    raise ArchiveError(f"{self.path}: another process has just merged these files; run it again")
                catalog.remove_segments([segment.name for segment in old])
                generation = catalog.advance()
                for segment in new:
                    catalog.add_segment(segment, generation)
            self.refresh()
            self._remove_unreferenced()
        after = self.store.stats()
        return {
            f"{name}_{when}": stats[name]
            for name in ("segments", "deleted_vectors", "vector_bytes")
            for when, stats in (("before", before), ("after", after))
        }

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int | None = None) -> dict[str, Any]:
        """Build the search index if the archive is large enough to benefit; return its measurements.

        The index is trained on the archive's own vectors; the search depth is set to meet the target recall measured on
        them. An existing index is extended with the missing rows. Searches continue in the meantime, and readers switch
        over automatically.

        Args:
            texts: Vectors of sentences (`bandsight.search.recall_queries`), to measure text queries too, shape
                (n, dim).
            budget_bytes: Memory budget of the index per vector, bytes; None for the engine's default.
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
        """Wait for any index extension in progress, then notify readers."""
        if self._updater is not None and self._updater.finish():
            with self.database.writing() as catalog:
                catalog.advance()

    def _extend_index(self) -> None:
        assert self._updater is not None
        if self._updater.worth_a_look(self.newest_tile):
            self.refresh()
            self._updater.start_if_due()

    def _remove_unreferenced(self) -> None:
        # No other process can be between writing a file and naming it.
        with self.database.writing() as catalog:
            named, newest = {segment.name for segment in catalog.segments()}, catalog.next_tile_id() - 1
            self.store.remove_unnamed(named, newest)
