"""The real store: float16 segments on disk, scanned exactly by FAISS, or through an index derived from them."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ArchiveError, NotFoundError
from bandsight.filters import Filter
from bandsight.vectors.columns import SceneColumns, TileColumns
from bandsight.vectors.folder import Part, StoreFolder
from bandsight.vectors.index_files import index_problem, index_stamp, load_index, save_index
from bandsight.vectors.ivf import IvfIndex, Width
from bandsight.vectors.matching import Footprints, Mask, View, matching
from bandsight.vectors.protocol import Likeness, Segment, Selection, Snapshot
from bandsight.vectors.scan import Part as ScanPart
from bandsight.vectors.scan import scan
from bandsight.vectors.scores import Ranked, best, raw_scores
from bandsight.vectors.tuning import BUDGET_BYTES, Rows, build, fill, measured

# An archive up to this size keeps its float32 rows in memory; larger ones convert as they scan.
_HOT_BYTES = 256 << 20
# Below either of these the exact scan of the surviving rows beats any index (docs/storage.md).
_FEW, _FEW_SHARE = 20_000, 0.1
# An index that holds at least this share of the rows takes the others as they are; below it, it is trained anew.
_STILL_FITS = 0.5


@dataclass(frozen=True, slots=True)
class _Shown:
    """One open segment as a snapshot shows it."""

    part: Part
    view: View


@dataclass(frozen=True, slots=True)
class _State:
    """All that one search needs; replaced as a whole."""

    shown: tuple[_Shown, ...]
    scenes: SceneColumns
    index: IvfIndex | None
    stamp: tuple[int, int] | None
    """Of the index's files."""
    firsts: NDArray[np.int64]
    """First tile id of each segment, ascending."""


class FaissStore:
    """A `VectorStore` in a folder; safe to share between threads."""

    def __init__(
        self,
        folder: Path,
        dim: int,
        columns_of: Callable[[NDArray[np.int64]], TileColumns],
        footprints: Footprints,
    ) -> None:
        """Open a store.

        Args:
            folder: The archive's folder.
            dim: Length of a vector.
            columns_of: Reads the attributes of tiles from the catalog when their file is gone.
            footprints: Reads footprints of tiles from the catalog.
        """
        self.folder = StoreFolder(folder, dim, columns_of)
        self._dim = dim
        self._footprints = footprints
        self._open: dict[str, Part] = {}
        self._hot: dict[str, NDArray[np.float32]] = {}
        self._hot_lock = threading.Lock()
        self._state: _State | None = None

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns) -> Segment:
        """Write rows durably; see `VectorStore`."""
        if vectors.shape != (len(columns), self._dim) or not np.isfinite(vectors).all():
            raise ArchiveError(
                f"vectors: {vectors.shape}, finite: {bool(np.isfinite(vectors).all())}; "
                f"need finite values of shape ({len(columns)}, {self._dim})"
            )
        return self.folder.write(vectors.astype(np.float16), columns)

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state; see `VectorStore`."""
        parts = tuple(self._open.get(segment.name) or self.folder.open(segment) for segment in snapshot.segments)
        self._open = {part.segment.name: part for part in parts}
        with self._hot_lock:
            self._hot = {name: values for name, values in self._hot.items() if name in self._open}
        shown = tuple(_Shown(part, View(part.columns, snapshot.scenes)) for part in parts)
        stamp = index_stamp(self.folder.derived)
        if self._state is not None and self._state.stamp == stamp:
            index = self._state.index
        else:
            index = load_index(self.folder.derived, snapshot.newest)
        firsts = np.array([part.segment.first_id for part in parts], np.int64)
        self._state = _State(shown, snapshot.scenes, index, stamp, firsts)

    def merge(self) -> tuple[list[Segment], list[Segment]]:
        """Write what is shown without its deleted rows, small segments together; a commit makes it valid.

        Returns:
            The segments that are to go, and those that take their place.
        """
        shown = self._shown().shown
        return self.folder.merge([one.part for one in shown], [one.view.alive for one in shown])

    def search(self, queries: NDArray[np.float32], k: int, wanted: Filter, *, exact: bool = False) -> list[Ranked]:
        """Search by index where that pays, else by exact scan; see `VectorStore`."""
        state = self._shown()
        queries = np.ascontiguousarray(queries, np.float32)
        masks = [matching(shown.view, wanted, self._footprints) for shown in state.shown]
        total = sum(len(mask) for mask in masks)
        survivors = sum(int(mask.sum()) for mask in masks)
        k = min(k, survivors)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        width = state.index.width(survivors / total) if state.index else None
        if exact or state.index is None or width is None or survivors <= max(_FEW, _FEW_SHARE * total):
            return self._scan(state, masks, queries, k)
        return self._by_index(state, state.index, width, masks, queries, k)

    def select(self, wanted: Filter) -> Selection:
        """Return all tiles that pass; see `VectorStore`."""
        state = self._shown()
        return _selected(state, [matching(shown.view, wanted, self._footprints) for shown in state.shown])

    def likeness(self, vectors: NDArray[np.float32], wanted: Filter) -> Likeness:
        """Scan every row that passes; see `VectorStore`."""
        state = self._shown()
        masks = [matching(shown.view, wanted, self._footprints) for shown in state.shown]
        selection = _selected(state, masks)
        scores = np.empty((len(vectors), len(selection.ids)), np.float32)
        at = 0
        for part in self._scan_parts(state, masks):
            for rows in part.chunks():
                np.matmul(vectors, part.read(rows).T, out=scores[:, at : at + len(rows)])
                at += len(rows)
        boxes = [shown.part.columns.boxes[mask] for shown, mask in zip(state.shown, masks, strict=True)]
        return Likeness(
            selection=selection, boxes=np.concatenate([np.empty((0, 2, 4), np.float64), *boxes]), scores=scores
        )

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return raw rows as float32; see `VectorStore`."""
        return self._raw(self._shown(), np.asarray(ids, np.int64)).astype(np.float32)

    def optimize(self, texts: NDArray[np.float32] | None = None, *, budget_bytes: int = BUDGET_BYTES) -> dict[str, Any]:
        """Build an index, or add to the one there is what it lacks, and measure and serve it; see `VectorStore`."""
        state = self._shown()
        began = time.monotonic()
        parts: list[Rows] = [(one.part.columns.ids, one.part.file.rows, one.view.alive) for one in state.shown]
        index = self._extended(state, parts)
        if index is None:
            index = build(parts, self._dim, texts, budget_bytes)
        else:
            index = measured(index, parts, texts, time.monotonic() - began)
        if index is None:
            return {"index": "none", "reason": "small enough for exact scans"}
        save_index(self.folder.derived, index)
        served = load_index(self.folder.derived, index.up_to)
        self._state = replace(state, index=served, stamp=index_stamp(self.folder.derived))
        return index.figures

    def _extended(self, state: _State, parts: list[Rows]) -> IvfIndex | None:
        """Return the saved index with the rows that it lacks, None when there is none or it holds too little."""
        living = sum(int(alive.sum()) for _, _, alive in parts)
        if state.index is None:
            return None
        held = sum(int((alive & (ids <= state.index.up_to)).sum()) for ids, _, alive in parts)
        if held < _STILL_FITS * living:
            return None
        index = load_index(self.folder.derived, state.index.up_to, writable=True)
        return fill(index, parts) if index else None

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes."""
        state = self._shown()
        rows = sum(shown.part.segment.count for shown in state.shown)
        live = sum(int(shown.view.alive.sum()) for shown in state.shown)
        return {
            "vectors": live,
            "deleted_vectors": rows - live,
            "segments": len(state.shown),
            "vector_bytes": rows * self._dim * 2,
            "index_bytes": self.folder.derived_bytes(),
            "index": self.index_figures,
        }

    @property
    def index_figures(self) -> dict[str, Any]:
        """The index's kind, size, width and measured recall."""
        index = self._shown().index
        return {**index.figures, "up_to_tile": index.up_to} if index else {"index": "none"}

    def verify(self, *, full: bool) -> list[str]:
        """Compare files with the catalog, and (`full`) rows with checksums and norms; see `VectorStore`."""
        parts = [shown.part for shown in self._shown().shown]
        problem, _ = index_problem(self.folder.derived)
        found = [problem for part in parts for problem in self.folder.problems(part, full=full)]
        return [*found, problem] if problem else found

    def living(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """Return each segment and the ids of its tiles that live, ascending."""
        return [(one.part.segment, one.part.columns.ids[one.view.alive]) for one in self._shown().shown]

    def _shown(self) -> _State:
        if self._state is None:
            raise ArchiveError("vector store: no snapshot shown yet")
        return self._state

    def _raw(self, state: _State, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return raw rows by tile id, in the order asked."""
        out = np.empty((len(ids), self._dim), np.float16)
        at = np.searchsorted(state.firsts, ids, "right") - 1
        for number in np.unique(at):
            chosen = at == number
            if number >= 0:
                part = state.shown[number].part
                own = part.columns.ids
                rows = np.minimum(np.searchsorted(own, ids[chosen]), len(own) - 1)
                if (own[rows] == ids[chosen]).all():
                    out[chosen] = part.file.sound(rows)
                    continue
            raise NotFoundError(f"tile {ids[chosen].max()}: this archive holds no such vector; ids come from a search")
        return out

    def _scan(self, state: _State, masks: list[Mask], queries: NDArray[np.float32], k: int) -> list[Ranked]:
        return scan(self._scan_parts(state, masks), queries, k)

    def _scan_parts(self, state: _State, masks: list[Mask]) -> list[ScanPart]:
        hot = sum(shown.part.file.rows.nbytes for shown in state.shown) * 2 <= _HOT_BYTES
        return [
            ScanPart(
                shown.part.columns.ids,
                mask,
                partial(self._float32, shown.part, keep=hot),
                shown.part.file.sound,
            )
            for shown, mask in zip(state.shown, masks, strict=True)
        ]

    def _float32(self, part: Part, rows: NDArray[np.intp], *, keep: bool) -> NDArray[np.float32]:
        if not keep:
            together = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
            return part.file.rows[slice(rows[0], rows[-1] + 1) if together else rows].astype(np.float32)
        with self._hot_lock:
            values = self._hot.get(part.segment.name)
            if values is None:
                values = self._hot[part.segment.name] = part.file.rows.astype(np.float32)
        return values if len(rows) == len(values) else values[rows]

    def _by_index(
        self,
        state: _State,
        index: IvfIndex,
        width: Width,
        masks: list[Mask],
        queries: NDArray[np.float32],
        k: int,
    ) -> list[Ranked]:
        allowed = np.concatenate([shown.part.columns.ids[mask] for shown, mask in zip(state.shown, masks, strict=True)])
        ids = allowed[allowed <= index.up_to]
        fresh = [mask & (shown.part.columns.ids > index.up_to) for shown, mask in zip(state.shown, masks, strict=True)]
        young = len(allowed) - len(ids)
        late = self._scan(state, fresh, queries, min(k, young)) if young else None
        found = index.candidates(queries, k, ids, width)
        answers: list[Ranked] = []
        for row, query in enumerate(queries):
            candidates = found[row][found[row] >= 0]
            if len(candidates) < min(k, len(ids)):
                # The index could not fill the answer: the contract is min(k, matching), so scan.
                answers += self._scan(state, masks, query[None], k)
                continue
            scores = raw_scores(self._raw(state, candidates), query)
            if late is not None:
                candidates = np.concatenate([candidates, late[row][0]])
                scores = np.concatenate([scores, late[row][1]])
            answers.append(best(candidates, scores, k))
        return answers


def _selected(state: _State, masks: list[Mask]) -> Selection:
    pairs = [(shown.view, mask) for shown, mask in zip(state.shown, masks, strict=True)]
    return Selection(
        ids=np.concatenate([np.empty(0, np.int64), *(view.tiles.ids[mask] for view, mask in pairs)]),
        scene_at=np.concatenate([np.empty(0, np.intp), *(view.scene_at[mask] for view, mask in pairs)]),
        scenes=state.scenes,
    )
