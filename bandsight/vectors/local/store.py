"""The local vector store: float16 segments on disk, searched exactly by FAISS, or with an index derived from them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import TileColumns
from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import AttributeView, Footprints, Mask, matching
from bandsight.attributes.segments import Segment
from bandsight.durable import flush
from bandsight.errors import ArchiveError
from bandsight.objects.cached import CachedObjects
from bandsight.vectors.atomic_io import drop_page_cache
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local.folder import LoadedSegment, StoreFolder
from bandsight.vectors.local.gpu_scan import Device, device_for, load
from bandsight.vectors.local.index_files import INDEX_FILES, index_problem, index_stamp, load_index, save_index
from bandsight.vectors.local.ivf import IvfIndex
from bandsight.vectors.local.ivf_build import BUDGET_BYTES, Rows, build, fill, len_of
from bandsight.vectors.local.recall_tuning import Ask, measured
from bandsight.vectors.local.search import Chosen, Masks, answer, chunks, scan_parts
from bandsight.vectors.local.snapshot import SegmentView, StoreState, cells_of, located
from bandsight.vectors.port import Selection, Similarities, Snapshot
from bandsight.vectors.scores import Ranked

# An index with at least this share of the rows is extended with the others; below it, it is trained again.
_STILL_FITS = 0.5


class LocalVectorStore:
    """A `VectorStore` in a folder; safe to share between threads."""

    def __init__(
        self,
        folder: Path,
        dim: int,
        columns_of: Callable[[NDArray[np.int64]], TileColumns],
        footprints: Footprints,
        choose_device: Callable[[int, int], Device | None] = device_for,
        files: CachedObjects | None = None,
        index_files: Sequence[str] = INDEX_FILES,
    ) -> None:
        """Open a store.

        Args:
            folder: The archive's folder.
            dim: Length of a vector.
            columns_of: Reads the attributes of tiles from the catalog if their file is missing.
            footprints: Reads footprints of tiles from the catalog.
            choose_device: Returns a device for a number of rows and their length, or None for the CPU.
            files: Object storage with the files; None if they are in the folder.
            index_files: The files that an index may have, its metadata last.
        """
        self.folder = StoreFolder(folder, dim, columns_of, files, index_files)
        self._dim = dim
        self._footprints = footprints
        self._choose_device = choose_device
        self._open: dict[str, LoadedSegment] = {}
        self._state: StoreState | None = None

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns, cells: CellCodes | None = None) -> Segment:
        """Write rows durably; see `VectorStore`."""
        if vectors.shape != (len(columns), self._dim) or not np.isfinite(vectors).all():
            raise ArchiveError(
                f"vectors: {vectors.shape}, finite: {bool(np.isfinite(vectors).all())}; "
                f"need finite values of shape ({len(columns)}, {self._dim})"
            )
        rows = vectors.astype(np.float16)
        empty = np.flatnonzero(~rows.any(axis=1))
        if len(empty):
            raise ArchiveError(
                f"vectors: row {empty[0]} has length 0, and {len(empty) - 1} more; need unit vectors, since a vector "
                "without a direction is like no other"
            )
        return self.folder.write(rows, columns, cells)

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state; see `VectorStore`."""
        self.folder.follow({segment.name for segment in snapshot.segments})
        parts = tuple(self._open.get(segment.name) or self.folder.open(segment) for segment in snapshot.segments)
        self._open = {part.segment.name: part for part in parts}
        shown = tuple(SegmentView(part, AttributeView(part.columns, snapshot.scenes)) for part in parts)
        for part in parts:
            # Read once, to compare files and to find scenes; searches do not need them.
            drop_page_cache(part.columns.ids)
            drop_page_cache(part.file.ids)
        stamp = index_stamp(self.folder.derived)
        if self._state is not None and self._state.stamp == stamp:
            index = self._state.index
        else:
            index = load_index(self.folder.derived, snapshot.newest)
        firsts = np.array([part.segment.first_id for part in parts], np.int64)
        device = self._choose_device(sum(len(part.file) for part in parts), self._dim)
        on_device = load([part.file for part in parts], device, self._state.device if self._state else None)
        self._state = StoreState(shown, snapshot.scenes, index, stamp, firsts, on_device)

    def ping(self) -> None:
        """Check that the object storage answers, if the files are there; see `VectorStore`."""
        self.folder.ping()

    def merge(self) -> tuple[list[Segment], list[Segment]]:
        """Rewrite segments without deleted rows, and merge small ones; a commit makes them valid.

        Returns:
            The segments to drop, and those that replace them.
        """
        shown = self._current().shown
        return self.folder.merge([one.part for one in shown], [one.view.alive for one in shown])

    def search(self, queries: NDArray[np.float32], k: int, where: Filter, *, exact: bool = False) -> list[Ranked]:
        """Search by index if that is faster, otherwise by exact scan; see `VectorStore`."""
        return self.choose(where).search(queries, k, exact=exact)

    def choose(self, where: Filter) -> Chosen:
        """Select the tiles that pass; see `VectorStore`."""
        state = self._current()
        if where.is_empty:
            # Their counts are known.
            return Chosen(
                state, Masks([one.view.alive for one in state.shown], [one.view.living for one in state.shown])
            )
        return Chosen(state, Masks.of([matching(shown.view, where, self._footprints) for shown in state.shown]))

    def select(self, where: Filter, fields: Sequence[str] = ()) -> Selection:
        """Return all tiles that pass; see `VectorStore`."""
        state = self._current()
        return _selected(state, [matching(shown.view, where, self._footprints) for shown in state.shown], fields)

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Scan every row that passes; see `VectorStore`."""
        state = self._current()
        masks = [matching(shown.view, where, self._footprints) for shown in state.shown]
        selection = _selected(state, masks)
        scores = np.empty((len(vectors), len(selection.ids)), np.float32)
        at = 0
        for part in scan_parts(state, Masks.of(masks)):
            for values in chunks(part):
                np.matmul(vectors, values.T, out=scores[:, at : at + len(values)])
                at += len(values)
        boxes = [shown.part.columns.boxes[mask] for shown, mask in zip(state.shown, masks, strict=True)]
        return Similarities(
            selection=selection, boxes=np.concatenate([np.empty((0, 2, 4), np.float64), *boxes]), scores=scores
        )

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return raw rows as float32; see `VectorStore`."""
        return self._raw(self._current(), np.asarray(ids, np.int64)).astype(np.float32)

    def cells(self, ids: Sequence[int]) -> list[tuple[NDArray[np.intp], CellCodes]]:
        """Read the cells of tiles; see `VectorStore`."""
        return cells_of(self._current(), np.asarray(ids, np.int64))

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Return the ids of missing and deleted tiles; see `VectorStore`."""
        state, sorted_ids = self._current(), np.unique(np.asarray(ids, np.int64))
        at = np.searchsorted(state.firsts, sorted_ids, "right") - 1
        lost: list[int] = sorted_ids[at < 0].tolist()
        for number in np.unique(at[at >= 0]):
            shown, own = state.shown[number], sorted_ids[at == number]
            held = shown.part.file.ids
            rows = np.minimum(np.searchsorted(held, own), len(held) - 1)
            lost += own[(held[rows] != own) | ~shown.view.alive[rows]].tolist()
        return lost

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int | None = None) -> dict[str, Any]:
        """Build an index or extend the existing one, measure and serve it; see `VectorStore`."""
        state = self._current()
        began = time.monotonic()
        parts = parts_of(state)
        if not self.worth_an_index:
            return {"index": "none", "reason": "small enough for exact scans"}
        index = self._extended(state, parts) or build(parts, self._dim, budget_bytes or BUDGET_BYTES)

        def prepare(index: IvfIndex, allowed: Mask | None) -> Ask:
            masks = Masks.of(
                [
                    one.view.alive if allowed is None else allowed[one.part.columns.ids - index.first_id]
                    for one in state.shown
                ]
            )
            indexed = replace(state, index=index)
            return lambda k, width, query: answer(indexed, masks, width, query[None], min(k, masks.survivors))[0]

        index = measured(index, parts, texts, time.monotonic() - began, prepare)
        save_index(self.folder.derived, index)
        self.folder.publish()
        served = load_index(self.folder.derived, index.up_to)
        self._state = replace(state, index=served, stamp=index_stamp(self.folder.derived))
        return index.figures

    def extend(self) -> bool:
        """Add missing rows to the saved index, keeping the measured widths; return whether there is an index.

        The new index is served from the next snapshot on.
        """
        state = self._current()
        parts = parts_of(state)
        index = self._extended(state, parts)
        if index is None:
            return False
        save_index(self.folder.derived, replace(index, figures={**index.figures, "rows": len_of(parts)}))
        self.folder.publish()
        return True

    @property
    def worth_an_index(self) -> bool:
        """Whether there are enough rows for an index; fewer are scanned exactly in milliseconds."""
        return sum(one.view.living for one in self._current().shown) >= building.WORTH_IT

    @property
    def unindexed(self) -> int:
        """Number of rows newer than the index, which are scanned; 0 without an index."""
        state = self._current()
        if state.index is None:
            return 0
        up_to = state.index.up_to
        young = [one for one in state.shown if one.part.file.last_id > up_to]
        return sum(int(np.count_nonzero(one.view.alive & (one.part.columns.ids > up_to))) for one in young)

    def _extended(self, state: StoreState, parts: list[Rows]) -> IvfIndex | None:
        """Return the saved index extended with missing rows; None if there is none or it lacks too many rows."""
        living = sum(one.view.living for one in state.shown)
        if state.index is None:
            return None
        held = sum(int((alive & (ids <= state.index.up_to)).sum()) for ids, _, alive in parts)
        if held < _STILL_FITS * living:
            return None
        index = load_index(self.folder.derived, state.index.up_to, writable=True)
        return fill(index, parts) if index else None

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes."""
        state = self._current()
        rows = sum(shown.part.segment.count for shown in state.shown)
        live = sum(int(shown.view.alive.sum()) for shown in state.shown)
        return {
            "vectors": live,
            "deleted_vectors": rows - live,
            "segments": len(state.shown),
            "vector_bytes": rows * self._dim * 2,
            "cell_bytes": sum(one.part.cells.codes.records.nbytes for one in state.shown if one.part.cells),
            "index_bytes": self.folder.derived_bytes(),
            "index": self.index_figures,
        }

    @property
    def index_figures(self) -> dict[str, Any]:
        """Kind, size, width and measured recall of the index."""
        index = self._current().index
        return {**index.figures, "up_to_tile": index.up_to} if index else {"index": "none"}

    def verify(self, *, full: bool) -> list[str]:
        """Compare files with the catalog and, if `full`, verify checksums and norms of rows; see `VectorStore`."""
        parts = [shown.part for shown in self._current().shown]
        problem, _ = index_problem(self.folder.derived)
        found = [problem for part in parts for problem in self.folder.problems(part, full=full)]
        return [*found, problem] if problem else found

    def living(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """Return each segment and the ids of its tiles whose scene exists, ascending."""
        return [(one.part.segment, one.part.columns.ids[one.view.alive]) for one in self._current().shown]

    def remove_unnamed(self, named: set[str], newest: int) -> None:
        """Delete files that no commit names; see `VectorStore`."""
        self.folder.remove_unnamed(named, newest)

    def damage(self, segment: Segment, cells: int = 0) -> str | None:
        """Read every row of a segment; see `VectorStore`."""
        return self.folder.damage(segment, full=True, cells=cells)

    def salvage(self, segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.float32], CellCodes | None]:
        """Copy a damaged file to `quarantine/` and return its intact rows; see `VectorStore`."""
        self.folder.set_aside(segment)
        ids, rows, cells = self.folder.salvage(segment)
        return ids, rows.astype(np.float32), cells

    def repair_derived(self) -> list[str]:
        """Delete damaged columns and index files; see `VectorStore`."""
        return self.folder.drop_damaged_derived()

    def copy_to(self, folder: Path, segments: Sequence[Segment], files: CachedObjects | None = None) -> bool:
        """Copy vector files, and to a folder the index too; see `VectorStore`."""
        if files is not None:
            return all(self.folder.upload_segment(segment, files) for segment in segments)
        if not all(self.folder.copy_segment(segment, folder) for segment in segments):
            return False
        if segments:
            flush(folder / "vectors")
        self.folder.copy_derived(folder)
        return True

    def adopt(self, beside: Self, segments: Sequence[Segment]) -> None:
        """Link another store's files into this folder; see `VectorStore`."""
        self.folder.adopt(beside.folder, segments)
        self.folder.publish()

    def _current(self) -> StoreState:
        if self._state is None:
            raise ArchiveError("vector store: no snapshot shown yet")
        return self._state

    def _raw(self, state: StoreState, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return raw rows by tile id, in the order of the ids."""
        out = np.empty((len(ids), self._dim), np.float16)
        for chosen, file, rows in located(state, ids):
            out[chosen] = file.sound(rows)
        return out


def parts_of(state: StoreState) -> list[Rows]:
    """Return the rows of each segment for building an index; see `Rows`."""
    return [(one.part.columns.ids, one.part.file.body.on_demand, one.view.alive) for one in state.shown]


def _selected(state: StoreState, masks: list[Mask], fields: Sequence[str] = ()) -> Selection:
    pairs = [(shown.view, mask) for shown, mask in zip(state.shown, masks, strict=True)]
    return Selection(
        ids=np.concatenate([np.empty(0, np.int64), *(view.tiles.ids[mask] for view, mask in pairs)]),
        scene_at=np.concatenate([np.empty(0, np.intp), *(view.scene_at[mask] for view, mask in pairs)]),
        scenes=state.scenes,
        values={
            name: np.concatenate([np.empty(0), *(view.tiles.values[name][mask] for view, mask in pairs)])
            for name in fields
        },
    )
