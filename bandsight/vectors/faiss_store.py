"""The real store: float16 segments on disk, scanned exactly by FAISS, or through an index derived from them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ArchiveError, NotFoundError
from bandsight.filters import Filter
from bandsight.vectors.column_files import load_columns, save_columns
from bandsight.vectors.columns import TileColumns
from bandsight.vectors.ivf import IvfIndex, build_index, load_index
from bandsight.vectors.matching import Footprints, Mask, View, matching
from bandsight.vectors.protocol import Segment, Snapshot
from bandsight.vectors.scan import Part, scan
from bandsight.vectors.scores import Ranked, best, raw_scores
from bandsight.vectors.segments import SUFFIX, checksum, open_segment, write_segment

# An archive up to this size keeps its float32 rows in memory; larger ones convert as they scan.
_HOT_BYTES = 256 << 20
# Below either of these the exact scan of the surviving rows beats any index (docs/storage.md).
_FEW, _FEW_SHARE = 20_000, 0.1
# Float16 rows of unit vectors: the norm is off by at most about this.
_NORM_TOLERANCE = 5e-3


@dataclass(frozen=True, slots=True)
class _Part:
    """One open segment."""

    segment: Segment
    rows: NDArray[np.float16]
    columns: TileColumns


@dataclass(frozen=True, slots=True)
class _Shown:
    """One open segment as a snapshot shows it."""

    part: _Part
    view: View


@dataclass(frozen=True, slots=True)
class _State:
    """All that one search needs; replaced as a whole."""

    shown: tuple[_Shown, ...]
    index: IvfIndex | None
    firsts: NDArray[np.int64]
    """First tile id of each segment, ascending."""


class FaissStore:
    """A `VectorStore` in a folder; safe to share between threads."""

    def __init__(
        self, folder: Path, dim: int, columns_of: Callable[[Segment], TileColumns], footprints: Footprints
    ) -> None:
        """Open a store.

        Args:
            folder: The archive's folder; segments live in `vectors/`, what is derived from them in `index/`.
            dim: Length of a vector.
            columns_of: Reads a segment's attributes from the catalog when their file is gone.
            footprints: Reads footprints of tiles from the catalog.
        """
        self._vectors, self._derived = folder / "vectors", folder / "index"
        self._dim = dim
        self._columns_of = columns_of
        self._footprints = footprints
        self._open: dict[str, _Part] = {}
        self._hot: dict[str, NDArray[np.float32]] = {}
        self._hot_lock = threading.Lock()
        self._state: _State | None = None
        self._vectors.mkdir(parents=True, exist_ok=True)
        self._derived.mkdir(exist_ok=True)

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns) -> Segment:
        """Write rows durably; see `VectorStore`."""
        if vectors.shape != (len(columns), self._dim) or not np.isfinite(vectors).all():
            raise ArchiveError(
                f"vectors: {vectors.shape}, finite: {bool(np.isfinite(vectors).all())}; "
                f"need finite values of shape ({len(columns)}, {self._dim})"
            )
        segment = write_segment(self._vectors, int(columns.ids[0]), vectors.astype(np.float16))
        save_columns(self._derived / segment.name, columns)
        return segment

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state; see `VectorStore`."""
        parts = tuple(self._open.get(segment.name) or self._open_part(segment) for segment in snapshot.segments)
        self._open = {part.segment.name: part for part in parts}
        index = self._state.index if self._state else load_index(self._derived, {s.name for s in snapshot.segments})
        shown = tuple(_Shown(part, View(part.columns, snapshot.scenes)) for part in parts)
        self._state = _State(shown, index, np.array([part.segment.first_id for part in parts], np.int64))

    def remove_unnamed(self, snapshot: Snapshot) -> list[str]:
        """Delete files that no commit names (a writer died before its commit) and return their names."""
        named = {segment.name for segment in snapshot.segments}
        stale = [path for path in self._vectors.iterdir() if path.suffix != SUFFIX or path.stem not in named]
        stale += [path for path in self._derived.glob("seg-*") if path.stem not in named]
        stale += list(self._derived.glob(".*.tmp"))
        for path in stale:
            path.unlink()
        return sorted(path.name for path in stale)

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
        if exact or state.index is None or survivors <= max(_FEW, _FEW_SHARE * total):
            return self._scan(state, masks, queries, k)
        return self._by_index(state, state.index, masks, queries, k)

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return raw rows as float32; see `VectorStore`."""
        return self._raw(self._shown(), np.asarray(ids, np.int64)).astype(np.float32)

    def optimize(self) -> dict[str, Any]:
        """Build the IVF index over every row shown, measure it, and serve it; see `VectorStore`."""
        state = self._shown()
        index = build_index(
            self._derived,
            [(shown.part.segment.name, shown.part.columns.ids, shown.part.rows) for shown in state.shown],
            self._dim,
        )
        self._state = _State(state.shown, index, state.firsts)
        return index.figures if index else {"index": "none", "reason": "small enough for exact scans"}

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
            "index": state.index.figures if state.index else {"index": "none"},
        }

    def verify(self, *, full: bool) -> list[str]:
        """Compare rows with their checksums and norms; see `VectorStore`."""
        problems = []
        for part in [shown.part for shown in self._shown().shown] if full else ():
            name = f"{part.segment.name}{SUFFIX}"
            if checksum(part.rows) != part.segment.sha256:
                problems.append(f"{name}: its rows do not match their checksum; restore it or index its scenes again")
                continue
            off = np.abs(np.linalg.norm(part.rows.astype(np.float32), axis=1) - 1) > _NORM_TOLERANCE
            if off.any():
                problems.append(f"{name}: {int(off.sum())} vectors are not of norm 1")
        return problems

    def _shown(self) -> _State:
        if self._state is None:
            raise ArchiveError("vector store: no snapshot shown yet")
        return self._state

    def _open_part(self, segment: Segment) -> _Part:
        rows = open_segment(self._vectors, segment, self._dim)
        columns = load_columns(self._derived / segment.name, segment)
        if columns is None:
            columns = self._columns_of(segment)
            save_columns(self._derived / segment.name, columns)
        return _Part(segment, rows, columns)

    def _raw(self, state: _State, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return raw rows by tile id, in the order asked."""
        out = np.empty((len(ids), self._dim), np.float16)
        at = np.searchsorted(state.firsts, ids, "right") - 1
        for number in np.unique(at):
            chosen = at == number
            if number >= 0:
                part = state.shown[number].part
                rows = ids[chosen] - part.segment.first_id
                if rows.max() < part.segment.count:
                    out[chosen] = part.rows[rows]
                    continue
            raise NotFoundError(f"tile {ids[chosen].max()}: this archive holds no such vector; ids come from a search")
        return out

    def _scan(self, state: _State, masks: list[Mask], queries: NDArray[np.float32], k: int) -> list[Ranked]:
        hot = sum(shown.part.rows.nbytes for shown in state.shown) * 2 <= _HOT_BYTES
        parts = [
            Part(shown.part.columns.ids, shown.part.rows, mask, partial(self._float32, shown.part, keep=hot))
            for shown, mask in zip(state.shown, masks, strict=True)
        ]
        return scan(parts, queries, k)

    def _float32(self, part: _Part, rows: NDArray[np.intp], *, keep: bool) -> NDArray[np.float32]:
        if not keep:
            return part.rows[rows].astype(np.float32)
        with self._hot_lock:
            values = self._hot.get(part.segment.name)
            if values is None:
                values = self._hot[part.segment.name] = part.rows.astype(np.float32)
        return values if len(rows) == len(values) else values[rows]

    def _by_index(
        self, state: _State, index: IvfIndex, masks: list[Mask], queries: NDArray[np.float32], k: int
    ) -> list[Ranked]:
        indexed = [shown.part.segment.name in index.segments for shown in state.shown]
        allowed = [
            shown.part.columns.ids[mask]
            for shown, mask, inside in zip(state.shown, masks, indexed, strict=True)
            if inside
        ]
        ids = np.concatenate([*allowed, np.empty(0, np.int64)])
        fresh = [mask & (not inside) for mask, inside in zip(masks, indexed, strict=True)]
        young = sum(int(mask.sum()) for mask in fresh)
        late = self._scan(state, fresh, queries, min(k, young)) if young else None
        total = sum(shown.part.segment.count for shown, inside in zip(state.shown, indexed, strict=True) if inside)
        answers: list[Ranked] = []
        for row, query in enumerate(queries):
            candidates = index.candidates(query, k, ids, total)
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
