"""The facade over catalog and vectors: opens, writes, searches."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive.backup import back_up
from bandsight.archive.index_updater import IndexUpdater
from bandsight.archive.job_log import JobLog
from bandsight.archive.lifecycle import CATALOG_FILE, check_catalog, check_there, clear_errors, create_catalog
from bandsight.archive.lock import WriterLock
from bandsight.archive.maintenance import repair, upgrade
from bandsight.archive.scene_attributes import SceneTable
from bandsight.archive.scene_cache import SceneCache
from bandsight.archive.swap import attach, detach, first_ids, link_files, replace_rows
from bandsight.archive.tile_columns import tile_columns
from bandsight.archive.verification import verify
from bandsight.archive.view import CommitIntervenedError, View
from bandsight.archive.writing import Batch, Part, add_in_parts, add_scenes
from bandsight.attributes.columns import TileColumns
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity, Scene, SceneRecord, Tile
from bandsight.catalog.sqlite.catalog import FORMAT_VERSION, Catalog
from bandsight.catalog.sqlite.database import open_database
from bandsight.catalog.sqlite.tables import SceneRow, TileRow
from bandsight.errors import ArchiveError, ModelChangedError, ModelMismatchError, NotFoundError
from bandsight.geo.box import LonLatBox
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local.store import LocalVectorStore
from bandsight.vectors.port import Segment, Similarities, Snapshot

# A search that meets a commit between its vectors and its rows begins anew; more than twice in a row is no accident.
_ATTEMPTS = 5
# Footprints that were asked for lately are kept: so many answers, of so many footprints (1 kB each) at most.
_KEPT_ANSWERS, _KEPT_FOOTPRINTS = 32, 2000

_T = TypeVar("_T")


class Archive:
    """Scenes, tiles and their vectors; see docs/storage.md for what lies on disk.

    Any number of readers and one writer may have an archive open. Searches may run in many threads.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Open an archive; `open`, `create` and `open_or_create` say it more clearly."""
        check_there(path)
        self.path = path
        self._lock = WriterLock(path) if write else None
        try:
            self._engine = open_database(path / CATALOG_FILE)
            self._begin(check_catalog(self._engine, path))
            self._refreshing = threading.Lock()
            if write:
                self._remove_unnamed()
            self.refresh()
        except BaseException:
            self.close()
            raise

    def _begin(self, model: ModelIdentity) -> None:
        self.model = model
        self._store = LocalVectorStore(self.path, model.dim, self._read_columns, self._read_footprints)
        self._extension = IndexUpdater(self._store)
        self._scene_table = SceneTable()
        self._scenes = SceneCache()
        self._footprints: dict[tuple[str, bytes], NDArray[np.object_]] = {}
        self._generation = -1

    @classmethod
    def create(cls, path: Path, model: ModelIdentity) -> "Archive":
        """Make an empty archive for a model's vectors and open it for writing.

        Raises:
            ArchiveError: There is one already.
        """
        create_catalog(path, model)
        return cls(path, write=True)

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> "Archive":
        """Open an archive for reading, or as its one writer.

        Raises:
            ArchiveError: There is none, or it is damaged, or of another format version.
            ArchiveLockedError: Another process is writing to it.
        """
        return cls(path, write=write)

    @classmethod
    def open_or_create(cls, path: Path, model: ModelIdentity) -> "Archive":
        """Open an archive as its writer, making it first when it is not there.

        Raises:
            ModelMismatchError: It holds vectors of another model.
        """
        if not (path / CATALOG_FILE).exists():
            return cls.create(path, model)
        opened = cls.open(path, write=True)
        try:
            opened.check_model(model)
        except ModelMismatchError:
            opened.close()
            raise
        return opened

    @classmethod
    def upgrade(cls, path: Path) -> str:
        """Bring an archive's schema to this version's and return which that is.

        Raises:
            ArchiveError: There is no archive, or it comes from a newer version.
        """
        return upgrade(path)

    @classmethod
    def repair(cls, path: Path) -> list[str]:
        """Bring a damaged archive back to a whole one and return what was done, one sentence each.

        What is derived is built anew, damaged vector files are copied to `quarantine/`, and scenes whose rows or
        vectors are lost are removed and named, so that indexing them again brings them back.

        Raises:
            ArchiveError: The catalog itself cannot be read.
        """
        report = repair(path)
        # Opening writes anew what is derived and removes files that nothing names any more.
        cls.open(path, write=True).close()
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and of the writer's lock, once an index that is being extended is saved."""
        try:
            if self._lock is not None and hasattr(self, "_extension"):
                self._finish_extension()
        finally:
            if hasattr(self, "_engine"):
                self._engine.dispose()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    # Writing

    def check_model(self, model: ModelIdentity) -> None:
        """Refuse a model whose vectors cannot be compared with the archive's.

        Raises:
            ModelMismatchError: The digests differ.
        """
        if model.digest != self.model.digest:
            raise ModelMismatchError(
                f"{self.path}: holds vectors of model {self.model.name} ({self.model.digest[:12]}, {self.model.dim} "
                f"numbers), found model {model.name} ({model.digest[:12]}, {model.dim} numbers); pass --model "
                f"{self.model.name} with the same weights, or index into another archive"
            )

    def add(self, batch: Batch) -> int:
        """Add scenes with their tiles and vectors in one commit and return the generation it makes.

        A scene whose key is there already is left alone; one whose href, or another of whose band
        files, is there under another key is replaced.
        """
        self._need_lock()
        with self._writing() as catalog:
            generation = add_scenes(catalog, self._store, batch)
        self._extend_index()
        return generation

    def add_in_parts(self, scene: SceneRecord, parts: Iterable[Part]) -> int:
        """Add one scene, however large, in one commit and return the generation it makes; as `add`.

        Args:
            scene: The scene.
            parts: Its tiles and their vectors; only one part is held in memory at a time.
        """
        self._need_lock()
        with self._writing() as catalog:
            generation = add_in_parts(catalog, self._store, scene, parts)
        self._extend_index()
        return generation

    def remove(self, hrefs: Sequence[str]) -> int:
        """Remove scenes with their tiles in one commit and return the generation it makes.

        Raises:
            NotFoundError: A scene that the archive does not hold; nothing is removed.
        """
        self._need_lock()
        with self._writing() as catalog:
            found = catalog.scene_ids_of(hrefs)
            for href in hrefs:
                if href not in found:
                    raise NotFoundError(f"{href}: this archive holds no such scene; hrefs come from a search")
            catalog.remove_scenes(list(found.values()))
            generation = catalog.advance()
        self.refresh()
        return generation

    def compact(self) -> dict[str, int]:
        """Write segments without deleted rows and small ones together; return what that changed.

        Searches go on meanwhile, and tiles keep their ids.
        """
        self._need_lock()
        self._finish_extension()
        self.refresh()
        before = self._store.stats()
        old, new = self._store.merge()
        if old:
            with self._writing() as catalog:
                catalog.remove_segments([segment.name for segment in old])
                generation = catalog.advance()
                for segment in new:
                    catalog.add_segment(**asdict(segment), generation=generation)
            self.refresh()
            self._remove_unnamed()
        after = self._store.stats()
        return {
            f"{name}_{when}": stats[name]
            for name in ("segments", "deleted_vectors", "vector_bytes")
            for when, stats in (("before", before), ("after", after))
        }

    def back_up(self, target: Path) -> int:
        """Copy one generation to another folder, whole, while searches and writes go on; return which.

        Raises:
            ArchiveError: The target holds something, cannot be written, or a file of the archive is damaged.
        """
        with clear_errors(self.path / CATALOG_FILE):
            return back_up(self._engine, self._store.folder, target)

    def create_beside(self, path: Path, model: ModelIdentity) -> "Archive":
        """Make an empty archive that is to take this one's place (`swap_in`) and open it for writing."""
        with self._reading() as catalog:
            first_tile, first_scene = first_ids(catalog)
        create_catalog(path, model, first_tile=first_tile, first_scene=first_scene)
        return Archive(path, write=True)

    def swap_in(self, beside: "Archive") -> int:
        """Replace all that this archive holds, and its model, by another's, in one commit; return the generation.

        Searches go on; who has this archive open is told by `ModelChangedError` to open it anew. What is remembered of
        jobs stays.

        Raises:
            ArchiveError: The other one was not made by `create_beside`, or the disk is full.
        """
        self._need_lock()
        # What extends an index would put this one's back in the place of the other's.
        self._extension.finish()
        beside._extension.finish()  # noqa: SLF001  (one of its own kind)
        with beside._reading() as catalog:  # noqa: SLF001  (one of its own kind)
            segments = [Segment(**row) for row in catalog.segments()]
        link_files(segments, beside._store.folder, self._store.folder)  # noqa: SLF001
        with clear_errors(self.path / CATALOG_FILE), self._engine.connect() as connection:
            attach(connection, beside.path)
            try:
                with connection.execution_options(writes=True).begin():
                    generation = replace_rows(connection, Catalog(connection))
            finally:
                detach(connection)
        self._begin(beside.model)
        self.refresh()
        self._remove_unnamed()
        return generation

    def record_failure(self, href: str, reason: str, *, scene: str = "", job: int | None = None) -> None:
        """Remember a scene that could not be indexed, until it can.

        Args:
            href: Its file or folder.
            reason: Why not.
            scene: Its name.
            job: The job that it failed in, which remembers it for good.
        """
        self._need_lock()
        with self._writing() as catalog:
            catalog.record_failure(href, reason)
            if job is not None:
                catalog.jobs.add_failure(job, scene or href, href, reason)

    def optimize(
        self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int = building.BUDGET_BYTES
    ) -> dict[str, Any]:
        """Build the search index where the archive is large enough to profit; return its measured figures.

        It is trained on the archive's own vectors, and searches look as far as recall measured on them asks. Where
        there is one, it takes the rows that it lacks. Searches go on meanwhile, and readers change over by themselves.

        Args:
            texts: Vectors of sentences (`probes.sentences`), to measure text queries too, shape (n, dim).
            budget_bytes: Memory that the index may take for each vector.
        """
        self._need_lock()
        self._finish_extension()
        self.refresh()
        figures = self._store.optimize(texts, budget_bytes=budget_bytes)
        if figures["index"] != "none":
            with self._writing() as catalog:
                catalog.advance()
            self.refresh()
        return figures

    # Reading

    @property
    def jobs(self) -> JobLog:
        """What is remembered of jobs."""
        return JobLog(self.path, self._reading, self._writing)

    @property
    def generation(self) -> int:
        """Number of the commit that is being served."""
        self._see_own()
        return self._generation

    @property
    def worth_an_index(self) -> bool:
        """True when `optimize` would build one: smaller archives are scanned exactly in milliseconds."""
        return self.tile_count >= building.WORTH_IT

    @property
    def newest_tile(self) -> int:
        """Id of the newest tile there ever was."""
        with self._reading() as catalog:
            return catalog.next_tile_id() - 1

    @property
    def tile_count(self) -> int:
        """How many tiles searches look at."""
        self._see_own()
        return int(self._store.stats()["vectors"])

    @property
    def index_figures(self) -> dict[str, Any]:
        """The search index's kind, size, width and measured recall."""
        return self._store.index_figures

    def refresh(self) -> None:
        """Move on to the newest commit."""
        self.read(lambda _: None)

    def _see_own(self) -> None:
        """Show a writer what it has written: each commit costs as much as it adds, however large the archive is."""
        if self._lock is not None:
            self.refresh()

    def has_scene(self, key: str) -> bool:
        """Say whether a scene of this identity has been indexed."""
        with self._reading() as catalog:
            return catalog.has_scene(key)

    def similarities(self, vectors: NDArray[np.float32], wanted: Filter) -> Similarities:
        """Return the cosine of every tile that passes a filter with each of some vectors, shape (q, dim).

        Raises:
            QueryError: The filter or the vectors cannot be used as asked.
        """
        return self.read(lambda view: view.similarities(vectors, wanted))

    def count(self, wanted: Filter) -> int:
        """Return how many tiles pass a filter.

        Raises:
            QueryError: The filter cannot be answered as asked.
        """
        return self.tile_count if wanted.is_empty else len(self.tile_ids(wanted))

    def footprints(self, ids: Sequence[int]) -> NDArray[np.object_]:
        """Return the footprints of tiles as shapely geometries, in the order asked.

        Raises:
            NotFoundError: A tile that the archive does not hold.
        """
        try:
            return self._read_footprints(np.asarray(ids, np.int64))
        except CommitIntervenedError as error:
            raise NotFoundError("tiles: one of them has been removed meanwhile; ask again") from error

    def scenes_by_id(self, ids: Sequence[int]) -> dict[int, Scene]:
        """Return scenes by their ids, those that are gone left out."""
        with self._reading() as catalog:
            return catalog.scenes(list(ids))

    def tiles_by_id(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by their ids; those that are gone are left out."""
        with self._reading() as catalog:
            return catalog.tiles(list(ids))

    def tile_ids(self, wanted: Filter) -> NDArray[np.int64]:
        """Return the ids of all tiles that pass a filter, ascending.

        Raises:
            QueryError: The filter cannot be answered as asked.
        """
        return self.read(lambda view: view.select(wanted).ids)

    def tile(self, tile_id: int) -> Tile:
        """Return a tile.

        Raises:
            NotFoundError: There is none of this id.
        """
        with self._reading() as catalog:
            tile = catalog.tiles([tile_id]).get(tile_id)
        if tile is None:
            raise NotFoundError(f"tile {tile_id}: this archive holds no such tile; ids come from a search")
        return tile

    def scene(self, scene_id: int) -> Scene:
        """Return a scene.

        Raises:
            NotFoundError: There is none of this id.
        """
        with self._reading() as catalog:
            scene = catalog.scenes([scene_id]).get(scene_id)
        if scene is None:
            raise NotFoundError(f"scene {scene_id}: this archive holds no such scene")
        return scene

    def tiles_per_scene(self) -> dict[int, int]:
        """Return how many tiles searches look at of each scene, by the scene's id."""

        def answer(view: View) -> dict[int, int]:
            found = view.select(Filter())
            counts = np.bincount(found.scene_at, minlength=len(found.scenes.ids))
            return {int(scene): int(count) for scene, count in zip(found.scenes.ids, counts, strict=True) if count}

        return self.read(answer)

    def scenes(self) -> list[Scene]:
        """Return every scene, in the order of their ids."""
        with self._reading() as catalog:
            return list(catalog.scenes().values())

    def tiles_in(self, box: LonLatBox, limit: int = 1000) -> list[int]:
        """Return ids of the tiles whose box meets a box (a point is a box without extent)."""
        with self._reading() as catalog:
            return catalog.tile_ids_in(box, limit)

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of tiles, shape (n, dim), in the order asked.

        Raises:
            NotFoundError: A tile that the archive does not hold.
        """
        with self._reading() as catalog:
            self._follow(catalog)
        missing = self._store.missing(ids)
        if missing:
            raise NotFoundError(f"tile {missing[0]}: this archive holds no such tile; ids come from a search")
        return self._store.get(ids)

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, when) of scenes that could not be indexed."""
        with self._reading() as catalog:
            return catalog.failures()

    def collections(self) -> list[dict[str, Any]]:
        """Return scenes, tiles and times of each collection and sensor."""
        with self._reading() as catalog:
            return catalog.summary()

    def property_types(self) -> dict[str, str]:
        """Return for each property of scenes that filters can compare whether it is a number, a string or a boolean."""
        scenes = self.read(lambda view: view.select(Filter(up_to=-1)).scenes)
        return scenes.types()

    def collection_names(self) -> list[str]:
        """Return the names of all collections, in their order."""
        with self._reading() as catalog:
            return catalog.collection_names()

    def sensor_names(self) -> list[str]:
        """Return the names of the sensor profiles of all scenes, in their order."""
        with self._reading() as catalog:
            return catalog.sensor_names()

    def stats(self) -> dict[str, Any]:
        """Return what the archive holds, for people and for monitoring."""
        with self._reading() as catalog:
            self._follow(catalog)
            counts, collections = catalog.counts(), catalog.summary()
        return {
            "archive": str(self.path),
            "format_version": FORMAT_VERSION,
            "generation": self.generation,
            "model": self.model.name,
            "model_digest": self.model.digest,
            "model_license": self.model.license,
            "dim": self.model.dim,
            **counts,
            "collections": collections,
            "catalog_bytes": (self.path / CATALOG_FILE).stat().st_size,
            **self._store.stats(),
        }

    def verify(self, *, full: bool = False) -> list[str]:
        """Return what is wrong, one sentence each; nothing is wrong when the list is empty.

        Args:
            full: Also read every row of the catalog and every vector, and compare checksums.
        """
        return self.read(lambda view: verify(view.catalog, self._store, full=full))

    # Inside

    def read(self, answer: Callable[[View], _T]) -> _T:
        """Return an answer made from one committed state, made again where a commit came in between.

        Args:
            answer: Reads what it needs from the state; it may be called several times.

        Raises:
            ArchiveError: Vectors and catalog disagree.
            ModelChangedError: The archive has been indexed again with another model since it was opened.
        """
        for _ in range(_ATTEMPTS):
            with suppress(CommitIntervenedError), self._reading() as catalog:
                self._follow(catalog)
                return answer(self._view(catalog))
        raise ArchiveError(f"{self.path}: vectors and catalog disagree; run: bandsight verify --archive {self.path}")

    def _view(self, catalog: Catalog) -> View:
        return View(
            catalog=catalog,
            store=self._store,
            scene_cache=self._scenes,
            scene_footprints=partial(self._read_footprints, of=SceneRow),
            dim=self.model.dim,
        )

    @contextmanager
    def _reading(self) -> Iterator[Catalog]:
        with clear_errors(self.path / CATALOG_FILE), self._engine.connect() as connection:
            yield Catalog(connection)

    @contextmanager
    def _writing(self) -> Iterator[Catalog]:
        with (
            clear_errors(self.path / CATALOG_FILE),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield Catalog(connection)

    def _follow(self, catalog: Catalog) -> None:
        """Show the store what this transaction sees, unless it serves that or something newer already."""
        generation = catalog.generation()
        if generation == self._generation:
            return
        model = catalog.model()
        if model is None or model.digest != self.model.digest:
            name = model.name if model else "none"
            raise ModelChangedError(
                f"{self.path}: it was made anew with model {name} (`bandsight reindex`) since it was opened with "
                f"{self.model.name}"
            )
        with self._refreshing:
            if generation > self._generation:
                self._show(self._snapshot(catalog))
                self._generation = generation

    def _show(self, snapshot: Snapshot) -> None:
        try:
            self._store.show(snapshot)
        except ArchiveError as error:
            # A compaction may have taken files away since; then there is something newer to show.
            with self._reading() as catalog:
                if catalog.generation() > snapshot.generation:
                    raise CommitIntervenedError from error
            raise

    def _remove_unnamed(self) -> None:
        with self._reading() as catalog:
            named, newest = {row["name"] for row in catalog.segments()}, catalog.next_tile_id() - 1
        self._store.folder.remove_unnamed(named, newest)

    def _read_columns(self, ids: NDArray[np.int64]) -> TileColumns:
        with self._reading() as catalog:
            return tile_columns(catalog, ids)

    def _read_footprints(self, ids: NDArray[np.int64], of: type[TileRow | SceneRow] = TileRow) -> NDArray[np.object_]:
        # A search and the count of what it matches ask for the same ones; a row never changes.
        key = (of.__tablename__, ids.tobytes())
        kept = self._footprints.get(key)
        if kept is not None:
            return kept
        with self._reading() as catalog:
            found = catalog.footprints(ids.tolist(), of=of)
        if len(found) < len(ids):
            raise CommitIntervenedError
        made = np.asarray(shapely.from_geojson([found[tile_id] for tile_id in ids.tolist()]), object)
        if len(ids) <= _KEPT_FOOTPRINTS:
            known = self._footprints
            self._footprints = {**(known if len(known) < _KEPT_ANSWERS else {}), key: made}
        return made

    def _snapshot(self, catalog: Catalog) -> Snapshot:
        return Snapshot(
            generation=catalog.generation(),
            segments=tuple(Segment(**row) for row in catalog.segments()),
            newest=catalog.next_tile_id() - 1,
            scenes=self._scene_table.read(catalog),
        )

    def _extend_index(self) -> None:
        if self._extension.worth_a_look(self.newest_tile):
            self.refresh()
            self._extension.start_if_due()

    def _finish_extension(self) -> None:
        """Wait until the index is extended, if it is being, and let readers know."""
        if self._extension.finish():
            with self._writing() as catalog:
                catalog.advance()

    def _need_lock(self) -> None:
        if self._lock is None:
            raise ArchiveError(f"{self.path}: opened for reading; open it with write=True")
