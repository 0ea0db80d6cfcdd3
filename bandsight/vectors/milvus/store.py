"""The store on Milvus: segments as in the local store, with an index in Milvus instead of in memory."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import matching
from bandsight.attributes.segments import Segment
from bandsight.errors import ArchiveError
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local.index_files import drop_index
from bandsight.vectors.local.search import Masks
from bandsight.vectors.local.snapshot import StoreState
from bandsight.vectors.local.store import LocalVectorStore, parts_of
from bandsight.vectors.milvus.collection import CollectionGoneError, Milvus, Place
from bandsight.vectors.milvus.facts import INDEX_FILES, Facts, drop_facts, facts_stamp, load_facts, save_facts
from bandsight.vectors.milvus.search import MilvusChoice
from bandsight.vectors.milvus.tuning import measured
from bandsight.vectors.port import Snapshot, StoreContext
from bandsight.vectors.scores import Ranked

# A collection that lacks more than this share of the tiles is rebuilt instead of extended.
_STILL_FITS = 0.5


def open_store(url: str, context: StoreContext) -> "MilvusVectorStore":
    """Open the segments in the archive's folder, and connect to the server that indexes them.

    Args:
        url: `milvus://[USER:PASSWORD@]HOST:PORT/DATABASE/NAME`; see `bandsight.vectors.milvus.collection`.
        context: Access to the catalog, and the archive's folder.

    Raises:
        EngineUnavailableError: The server does not answer.
        ArchiveError: The login fails, or the server has vectors of another length under this archive's name.
    """
    if context.folder is None:
        raise ArchiveError(f"{url}: vectors in Milvus need a folder of files too; give the archive one")
    return MilvusVectorStore(context.folder, Milvus(Place.parse(url)), context)


def beside(url: str) -> str:
    """Return the URL of the vectors of an archive that will replace the one with this URL."""
    return Place.parse(url).beside(url)


def check(url: str) -> None:
    """Connect to a server that a new archive will use.

    Raises:
        EngineUnavailableError: The server does not answer.
        ArchiveError: It refuses the user, or an archive uses this name already.
    """
    milvus = Milvus(Place.parse(url))
    try:
        if milvus.owner(milvus.place.name) is not None:
            raise ArchiveError(f"vectors {milvus.place}: an archive has its index under this name; choose another name")
    finally:
        milvus.close()


class MilvusVectorStore(LocalVectorStore):
    """A `VectorStore` that handles files like the local store, but gets candidates from Milvus."""

    def __init__(self, folder: Path, milvus: Milvus, context: StoreContext) -> None:
        """Open a store.

        Args:
            folder: The archive's folder.
            milvus: The server.
            context: Length of the vectors, and access to the catalog.
        """
        super().__init__(
            folder,
            context.dim,
            context.columns_of,
            context.footprints,
            lambda *_: None,
            files=context.files,
            index_files=INDEX_FILES,
        )
        self._milvus = milvus
        self._facts: Facts | None = None
        self._facts_stamp: tuple[int, int] | None = None
        self._newest = 0
        self._archive_id = context.archive_id
        if milvus.owner(milvus.place.name) not in {None, self._archive_id}:
            raise ArchiveError(
                f"vectors {milvus.place}: another archive has its index under this name; set vectors in the archive's "
                "file to another name"
            )

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state; see `VectorStore`."""
        super().show(snapshot)
        if self._state is not None and self._state.index is not None:
            # Left from before the archive was moved to Milvus.
            drop_index(self.folder.derived)
            self._state = replace(self._state, index=None, stamp=None)
        self._newest = snapshot.newest
        stamp = facts_stamp(self.folder.derived)
        if stamp != self._facts_stamp or self._facts is None:
            self._serve(load_facts(self.folder.derived))
            self._facts_stamp = stamp

    def ping(self) -> None:
        """Check that the server has the archive's collection; see `VectorStore`."""
        super().ping()
        facts = self._facts
        self._milvus.exists(self._milvus.place.name if facts is None else facts.collection)

    def _serve(self, facts: Facts | None) -> None:
        # A collection with tiles newer than the newest one was not built from this catalog.
        facts = None if facts is None or facts.up_to > self._newest else facts
        if facts is not None and self._milvus.exists(facts.collection):
            found = self._milvus.dim(facts.collection)
            if found != self._dim:
                raise ArchiveError(
                    f"vectors {self._milvus.place}: {facts.collection} holds vectors of {found} numbers, the archive's "
                    f"have {self._dim}; set vectors in the archive's file to another server or name"
                )
        self._facts = facts

    def search(self, queries: NDArray[np.float32], k: int, where: Filter, *, exact: bool = False) -> list[Ranked]:
        """Search with Milvus if that is faster, otherwise by exact scan; see `VectorStore`."""
        return self.choose(where).search(queries, k, exact=exact)

    def choose(self, where: Filter) -> MilvusChoice:  # type: ignore[override]
        """Select the tiles that pass; see `VectorStore`."""
        state, facts = self._current(), self._facts
        masks = Masks.of([matching(shown.view, where, self._footprints) for shown in state.shown])
        return MilvusChoice(state, masks, where, self._milvus, facts)

    # The index

    @property
    def index_figures(self) -> dict[str, Any]:
        """Kind, size, width and measured recall of the index."""
        facts = self._facts
        return {"index": "none"} if facts is None else {**facts.figures, "up_to_tile": facts.up_to}

    @property
    def unindexed(self) -> int:
        """Number of rows newer than the collection, which are scanned; 0 without a collection."""
        facts = self._facts
        if facts is None:
            return 0
        return sum(
            int(np.count_nonzero(one.view.alive & (one.part.columns.ids > facts.up_to)))
            for one in self._current().shown
        )

    def optimize(
        self,
        texts: NDArray[np.float32] | None = None,
        *,
        budget_bytes: int | None = None,  # noqa: ARG002  (the server's memory is its own)
    ) -> dict[str, Any]:
        """Fill a collection with all existing tiles, measure and serve it; see `VectorStore`."""
        if not self.worth_an_index:
            return {"index": "none", "reason": "small enough for exact scans"}
        state = self._current()
        began = time.monotonic()
        facts = self._filled(state, self._usable(state) or self._new_collection())
        facts = replace(facts, figures={"index": "Milvus HNSW16", "build_s": round(time.monotonic() - began, 1)})
        began = time.monotonic()
        facts = measured(self._milvus, facts, state, parts_of(state), texts)
        facts = replace(facts, figures={**facts.figures, "measure_s": round(time.monotonic() - began, 1)})
        self._save(facts)
        return facts.figures

    def extend(self) -> bool:
        """Add missing tiles to the collection, keeping the measured widths; see `VectorStore`."""
        state = self._current()
        usable = self._usable(state)
        if usable is None:
            return False
        facts = self._filled(state, usable)
        save_facts(self.folder.derived, replace(facts, figures={**facts.figures, "rows": facts.rows}))
        self.folder.publish()
        return True

    def _usable(self, state: StoreState) -> Facts | None:
        """Return the current collection; None if there is none or it lacks too many tiles."""
        facts = self._facts
        if facts is None or not self._milvus.exists(facts.collection):
            return None
        held = sum(int((one.view.alive & (one.part.columns.ids <= facts.up_to)).sum()) for one in state.shown)
        living = sum(one.view.living for one in state.shown)
        return facts if held >= _STILL_FITS * living else None

    def _new_collection(self) -> Facts:
        """Create a collection under a new name; readers keep using the previous one."""
        name = self._new_name()
        self._milvus.create(name, self._dim, self._archive_id)
        return Facts(collection=name, first_id=0, up_to=-1, rows=0)

    def _new_name(self) -> str:
        return f"{self._milvus.place.name}_{secrets.token_hex(6)}"

    def _filled(self, state: StoreState, facts: Facts) -> Facts:
        """Write missing rows to the collection, delete surplus ones, and wait until searches see all changes."""
        held = self._milvus.ids(facts.collection) if facts.rows else np.empty(0, np.int64)
        living = [one.part.columns.ids[one.view.alive] for one in state.shown]
        every = np.concatenate([np.empty(0, np.int64), *living])
        for one in state.shown:
            ids = one.part.columns.ids
            # Rows beyond `up_to` may come from a writer that stopped before its commit; their ids have been reused.
            rows = np.flatnonzero(one.view.alive & ~(np.isin(ids, held) & (ids <= facts.up_to)))
            if len(rows):
                vectors = one.part.file.sound(rows).astype(np.float32)
                self._milvus.delete(facts.collection, np.intersect1d(ids[rows], held))
                self._milvus.insert(facts.collection, vectors, one.part.columns.take(rows), state.scenes)
        self._milvus.delete(facts.collection, np.setdiff1d(held, every))
        self._milvus.settle(facts.collection, len(every))
        first, last = (int(every[0]), int(every[-1])) if len(every) else (0, -1)
        return replace(facts, first_id=first, up_to=last, rows=len(every))

    def _save(self, facts: Facts) -> None:
        save_facts(self.folder.derived, facts)
        self.folder.publish()
        self._milvus.point(self._milvus.place.name, facts.collection)
        self._facts, self._facts_stamp = facts, facts_stamp(self.folder.derived)

    @property
    def worth_an_index(self) -> bool:
        """Whether there are enough rows for an index; fewer are scanned exactly in milliseconds."""
        return sum(one.view.living for one in self._current().shown) >= building.WORTH_IT

    # Maintenance

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes."""
        return {**super().stats(), "vectors_in": str(self._milvus.place)}

    def verify(self, *, full: bool) -> list[str]:
        """Compare files with the catalog, and Milvus with the files; see `VectorStore`."""
        return super().verify(full=full) + self._differences(full=full)

    def _differences(self, *, full: bool) -> list[str]:
        facts = self._facts
        if facts is None:
            return []
        what = f"{self._milvus.place}: {facts.collection}"
        try:
            count = self._milvus.count(facts.collection, strong=True)
            held = self._milvus.ids(facts.collection) if full else None
        except CollectionGoneError:
            return [f"{what}: is gone; run: bandsight repair, then optimize"]
        if count < facts.rows:
            return [f"{what}: {facts.rows - count} of {facts.rows} rows are missing; run: bandsight repair"]
        if held is not None:
            living = [one.part.columns.ids[one.view.alive] for one in self._current().shown]
            expected = np.concatenate([np.empty(0, np.int64), *living])
            lost = np.setdiff1d(expected[expected <= facts.up_to], held)
            if len(lost):
                return [f"{what}: {len(lost)} tiles are missing, first {lost[0]}; run: bandsight repair"]
        return []

    def repair_derived(self) -> list[str]:
        """Delete damaged files, and a collection with wrong contents; see `VectorStore`."""
        report = super().repair_derived()
        facts = load_facts(self.folder.derived)
        if facts is None:
            return report
        try:
            sound = self._milvus.count(facts.collection, strong=True) >= facts.rows
        except CollectionGoneError:
            sound = False
        if not sound:
            drop_facts(self.folder.derived)
            self.folder.publish()
            self._milvus.drop(facts.collection)
            report.append(f"{self._milvus.place}: {facts.collection} was not whole, dropped; run: bandsight optimize")
        return report

    def remove_unnamed(self, named: set[str], newest: int) -> None:
        """Delete files that no commit names, and collections that are incomplete or were replaced."""
        super().remove_unnamed(named, newest)
        facts = load_facts(self.folder.derived)
        kept = None if facts is None else facts.collection
        prefix = f"{self._milvus.place.name}_"
        if facts is not None or self._facts is not None:
            for name in self._milvus.names():
                mine = name.startswith(prefix) and len(name) == len(prefix) + 12 and name != kept
                if mine and self._milvus.owner(name) in {None, self._archive_id}:
                    self._milvus.drop(name)

    def adopt(self, beside: Self, segments: Sequence[Segment]) -> None:
        """Link another store's files into this folder, and use its collection; see `VectorStore`."""
        super().adopt(beside, segments)
        # The other one may be a local store, whose index files are not used here.
        drop_index(self.folder.derived)
        facts = load_facts(beside.folder.derived)
        if facts is None:
            drop_facts(self.folder.derived)
        else:
            save_facts(self.folder.derived, self._taken_over(facts, beside))
        self.folder.publish()

    def _taken_over(self, facts: Facts, beside: LocalVectorStore) -> Facts:
        """Make another store's collection one of this store's, which is swept as such; a backup's is that already."""
        if not isinstance(beside, MilvusVectorStore):
            return facts
        mine = replace(facts, collection=self._new_name())
        self._milvus.drop_alias(beside._milvus.place.name)  # noqa: SLF001  (of this class)
        self._milvus.rename(facts.collection, mine.collection)
        self._milvus.point(self._milvus.place.name, mine.collection)
        return mine
