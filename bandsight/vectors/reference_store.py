"""Reference implementation: a simple, slow store in memory that others are tested against."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import AttributeView, matching
from bandsight.attributes.segments import Segment
from bandsight.errors import ArchiveError, NotFoundError
from bandsight.objects.cached import CachedObjects
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.port import Selection, Similarities, Snapshot, StoreContext
from bandsight.vectors.scores import Ranked

Rows = tuple[NDArray[np.int64], NDArray[np.float16]]
"""Ids and vectors of a segment."""


@dataclass(frozen=True, slots=True)
class ReferenceEngine:
    """Opens reference stores by URL; their data lives as long as the engine."""

    kept: dict[str, dict[str, Rows]] = field(default_factory=dict)
    """Segments by URL and name."""
    cells: dict[str, CellCodes] = field(default_factory=dict)
    """Cells by the name of their segment."""

    def open(self, url: str, context: StoreContext) -> "ReferenceStore":
        """Open the store at a URL.

        Args:
            url: `memory:///FOLDER`; files written there by `ReferenceStore.copy_to` are read.
            context: Length of the vectors, and access to the catalog.
        """
        if url not in self.kept:
            folder = Path(unquote(urlsplit(url).path)) / "vectors"
            files = {path.stem: np.load(path) for path in folder.glob("*.npz")}
            self.kept[url] = {name: (file["ids"], file["rows"]) for name, file in files.items()}
            self.cells.update({name: CellCodes(file["cells"]) for name, file in files.items() if "cells" in file})
        return ReferenceStore(context, self.kept[url], self.cells)


class ReferenceStore:
    """A `VectorStore` of plain NumPy arrays; nothing is approximated."""

    def __init__(
        self,
        context: StoreContext,
        written: dict[str, Rows] | None = None,
        cells: dict[str, CellCodes] | None = None,
    ) -> None:
        """Open a store.

        Args:
            context: Length of the vectors, and access to the catalog.
            written: Segments by name, shared by stores of the same data.
            cells: Cells by the name of their segment, shared in the same way.
        """
        self._cells = {} if cells is None else cells
        self._context = context
        self._dim, self._footprints = context.dim, context.footprints
        self._written = {} if written is None else written
        self._columns: dict[str, TileColumns] = {}
        self._shown: tuple[Segment, ...] = ()
        self._scenes: SceneColumns | None = None

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns, cells: CellCodes | None = None) -> Segment:
        """Store rows; see `VectorStore`."""
        if vectors.shape != (len(columns), self._dim) or not np.isfinite(vectors).all():
            raise ArchiveError(f"vectors: {vectors.shape}; need finite values of shape ({len(columns)}, {self._dim})")
        rows = np.array(columns.ids), vectors.astype(np.float16)
        digest, first, last = _digest(rows), int(columns.ids[0]), int(columns.ids[-1])
        name = f"{first}-{digest[:12]}"
        self._written[name], self._columns[name] = rows, columns
        if cells is not None:
            self._cells[name] = cells
        return Segment(name=name, first_id=first, last_id=last, count=len(columns), sha256=digest)

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state; see `VectorStore`."""
        for segment in snapshot.segments:
            if segment.name not in self._written:
                raise ArchiveError(f"vectors {segment.name}: missing; run: bandsight repair")
            if segment.name not in self._columns:
                self._columns[segment.name] = self._context.columns_of(self._written[segment.name][0])
        self._shown, self._scenes = snapshot.segments, snapshot.scenes

    def ping(self) -> None:
        """Do nothing: there is no server."""

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Filter,
        *,
        exact: bool = False,  # noqa: ARG002  (it always is)
    ) -> list[Ranked]:
        """Score every matching row; see `VectorStore`."""
        ids, rows = self._matching(where)
        answers = []
        for query in queries:
            scores = (rows.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
            best = np.lexsort((ids, -scores))[:k]
            answers.append((ids[best], scores[best]))
        return answers

    def choose(self, where: Filter) -> "LazyChoice":
        """Return a choice that is evaluated again for each search; see `VectorStore`."""
        return LazyChoice(self, where)

    def select(self, where: Filter, fields: Sequence[str] = ()) -> Selection:
        """Look at every row; see `VectorStore`."""
        views = self._views()
        masks = [matching(view, where, self._footprints) for view in views]
        pairs = list(zip(views, masks, strict=True))
        return Selection(
            ids=np.concatenate([np.empty(0, np.int64), *(view.tiles.ids[mask] for view, mask in pairs)]),
            scene_at=np.concatenate([np.empty(0, np.intp), *(view.scene_at[mask] for view, mask in pairs)]),
            scenes=self._known_scenes(),
            values={
                name: np.concatenate([np.empty(0), *(view.tiles.values[name][mask] for view, mask in pairs)])
                for name in fields
            },
        )

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Score every matching row; see `VectorStore`."""
        _, rows = self._matching(where)
        boxes = [view.tiles.boxes[matching(view, where, self._footprints)] for view in self._views()]
        scores = (vectors.astype(np.float64) @ rows.T.astype(np.float64)).astype(np.float32)
        return Similarities(
            selection=self.select(where),
            boxes=np.concatenate([np.empty((0, 2, 4), np.float64), *boxes]),
            scores=scores,
        )

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return rows by id; see `VectorStore`."""
        held = {
            int(tile_id): row
            for segment in self._shown
            for tile_id, row in zip(*self._written[segment.name], strict=True)
        }
        out = np.empty((len(ids), self._dim), np.float32)
        for position, tile_id in enumerate(ids):
            if tile_id not in held:
                raise NotFoundError(f"tile {tile_id}: this archive has no such vector; ids come from a search")
            out[position] = held[tile_id]
        return out

    def cells(self, ids: Sequence[int]) -> list[tuple[NDArray[np.intp], CellCodes]]:
        """Return the cells of each tile by itself; see `VectorStore`."""
        held = {
            int(tile_id): (segment.name, row)
            for segment in self._shown
            for row, tile_id in enumerate(self._written[segment.name][0])
        }
        found = []
        for position, tile_id in enumerate(ids):
            if tile_id not in held:
                raise NotFoundError(f"tile {tile_id}: this archive has no such vector; ids come from a search")
            name, row = held[tile_id]
            if name in self._cells:
                found.append((np.array([position]), self._cells[name].take(np.array([row]))))
        return found

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Look at every row; see `VectorStore`."""
        return sorted(set(ids) - set(self.select(Filter()).ids.tolist()))

    @property
    def worth_an_index(self) -> bool:
        """False: an index would not be worth it."""
        return False

    @property
    def index_figures(self) -> dict[str, Any]:
        """No index."""
        return {"index": "none"}

    @property
    def unindexed(self) -> int:
        """No index."""
        return 0

    def optimize(
        self,
        texts: NDArray[np.float32] | None = None,  # noqa: ARG002  (the port's signature)
        *,
        budget_bytes: int | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Do nothing: there is no index."""
        return self.index_figures

    def extend(self) -> bool:
        """Do nothing: there is no index."""
        return False

    def stats(self) -> dict[str, Any]:
        """Return counts and sizes; see `VectorStore`."""
        rows, live = sum(segment.count for segment in self._shown), len(self.select(Filter()).ids)
        return {
            "vectors": live,
            "deleted_vectors": rows - live,
            "segments": len(self._shown),
            "vector_bytes": 2 * rows * self._dim,
            "cell_bytes": sum(self._cells[one.name].records.nbytes for one in self._shown if one.name in self._cells),
            "index": self.index_figures,
        }

    def living(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """Return each segment and its tiles whose scene exists; see `VectorStore`."""
        pairs = zip(self._shown, self._views(), strict=True)
        return [(segment, np.asarray(view.tiles.ids[view.alive])) for segment, view in pairs]

    def merge(self) -> tuple[list[Segment], list[Segment]]:
        """Write all living rows as one segment; see `VectorStore`."""
        views = self._views()
        if len(views) <= 1 and all(view.alive.all() for view in views):
            return [], []
        ids, rows = self._matching(Filter())
        if not len(ids):
            return list(self._shown), []
        if any(segment.name in self._cells for segment in self._shown):
            # Segments with and without cells cannot be merged.
            return [], []
        columns = TileColumns.join([view.tiles.take(np.flatnonzero(view.alive)) for view in views])
        return list(self._shown), [self.upsert(rows.astype(np.float32), columns)]

    def remove_unnamed(self, named: set[str], newest: int) -> None:  # noqa: ARG002  (there is no index)
        """Delete segments that no commit names; see `VectorStore`."""
        for name in set(self._written) - named:
            del self._written[name]
            self._columns.pop(name, None)

    def verify(self, *, full: bool) -> list[str]:  # noqa: ARG002  (it always reads everything)
        """Compare every segment with its checksum; see `VectorStore`."""
        return [problem for segment in self._shown if (problem := self.damage(segment))]

    def damage(self, segment: Segment, cells: int = 0) -> str | None:
        """Compare a segment with its checksum; see `VectorStore`."""
        if cells and segment.name not in self._cells:
            return f"vectors {segment.name}: its cells are missing; run: bandsight repair"
        rows = self._written.get(segment.name)
        if rows is None:
            return f"vectors {segment.name}: missing; run: bandsight repair"
        if _digest(rows) != segment.sha256:
            return f"vectors {segment.name}: do not match their checksum; run: bandsight repair"
        return None

    def salvage(self, segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.float32], CellCodes | None]:
        """Return the rows of an intact segment, and none of a damaged one; see `VectorStore`."""
        if self.damage(segment):
            return np.empty(0, np.int64), np.empty((0, self._dim), np.float32), None
        ids, rows = self._written[segment.name]
        return ids, rows.astype(np.float32), self._cells.get(segment.name)

    def repair_derived(self) -> list[str]:
        """Do nothing: there is no derived data."""
        return []

    def copy_to(
        self,
        folder: Path,
        segments: Sequence[Segment],
        files: CachedObjects | None = None,  # noqa: ARG002  (it only writes folders)
    ) -> bool:
        """Write NumPy archives; see `VectorStore`."""
        (folder / "vectors").mkdir(parents=True, exist_ok=True)
        for segment in segments:
            if segment.name not in self._written:
                return False
            if problem := self.damage(segment):
                raise ArchiveError(f"{problem}, then back up again")
            ids, rows = self._written[segment.name]
            file = folder / "vectors" / f"{segment.name}.npz"
            if segment.name in self._cells:
                np.savez(file, ids=ids, rows=rows, cells=self._cells[segment.name].records)
            else:
                np.savez(file, ids=ids, rows=rows)
        return True

    def adopt(self, beside: Self, segments: Sequence[Segment]) -> None:
        """Use the rows of another store too; see `VectorStore`."""
        for segment in segments:
            self._written[segment.name] = beside._written[segment.name]
            if segment.name in beside._cells:
                self._cells[segment.name] = beside._cells[segment.name]

    def _known_scenes(self) -> SceneColumns:
        if self._scenes is None:
            raise ArchiveError("vector store: no snapshot shown yet")
        return self._scenes

    def _views(self) -> list[AttributeView]:
        scenes = self._known_scenes()
        return [AttributeView(self._columns[segment.name], scenes) for segment in self._shown]

    def _matching(self, where: Filter) -> Rows:
        """Return ids and vectors of the rows that pass."""
        ids, rows = [np.empty(0, np.int64)], [np.empty((0, self._dim), np.float16)]
        for segment, view in zip(self._shown, self._views(), strict=True):
            mask = matching(view, where, self._footprints)
            ids.append(view.tiles.ids[mask])
            rows.append(self._written[segment.name][1][mask])
        return np.concatenate(ids), np.concatenate(rows)


@dataclass(frozen=True, slots=True)
class LazyChoice:
    """A `Choice` that compares every row in each search."""

    store: ReferenceStore
    where: Filter

    @property
    def count(self) -> int:
        """Number of tiles that pass."""
        return len(self.store.select(self.where).ids)

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Score every matching row; see `VectorStore`."""
        return self.store.search(queries, k, self.where, exact=exact)


def _digest(rows: Rows) -> str:
    ids, values = rows
    return hashlib.sha256(ids.astype("<i8").tobytes() + values.astype("<f2").tobytes()).hexdigest()
