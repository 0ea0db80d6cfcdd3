"""The referee: a store in memory that does everything the slow, obvious way, for tests to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import Footprints, View, matching
from bandsight.errors import NotFoundError
from bandsight.vectors.port import Choice, Segment, Selection, Similarities, Snapshot
from bandsight.vectors.scores import Ranked


class ReferenceStore:
    """A `VectorStore` of plain NumPy arrays; nothing is approximated, nothing is kept after the process."""

    def __init__(self, dim: int, footprints: Footprints) -> None:
        self._dim = dim
        self._footprints = footprints
        self._written: dict[str, tuple[NDArray[np.float16], TileColumns]] = {}
        self._shown: list[str] = []
        self._scenes: SceneColumns | None = None

    def upsert(self, vectors: NDArray[np.float32], columns: TileColumns) -> Segment:
        """Keep rows; see `VectorStore`."""
        name = f"exact-{columns.ids[0]}"
        self._written[name] = (vectors.astype(np.float16), columns)
        first, last = int(columns.ids[0]), int(columns.ids[-1])
        return Segment(name=name, first_id=first, last_id=last, count=len(columns), sha256="")

    def show(self, snapshot: Snapshot) -> None:
        """Serve this state; see `VectorStore`."""
        self._shown = [segment.name for segment in snapshot.segments]
        self._scenes = snapshot.scenes

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Filter,
        *,
        exact: bool = False,  # noqa: ARG002  (it always is)
    ) -> list[Ranked]:
        """Score every matching row; see `VectorStore`."""
        assert self._scenes is not None
        ids = [np.empty(0, np.int64)]
        rows = [np.empty((0, self._dim), np.float64)]
        for name in self._shown:
            vectors, columns = self._written[name]
            mask = matching(View(columns, self._scenes), where, self._footprints)
            ids.append(columns.ids[mask])
            rows.append(vectors[mask].astype(np.float64))
        all_ids, all_rows = np.concatenate(ids), np.concatenate(rows)
        answers = []
        for query in queries:
            scores = (all_rows @ query.astype(np.float64)).astype(np.float32)
            best = np.lexsort((all_ids, -scores))[:k]
            answers.append((all_ids[best], scores[best]))
        return answers

    def choose(self, where: Filter) -> Choice:
        """Decide anew at each search; see `VectorStore`."""
        return _Undecided(self, where)

    def select(self, where: Filter) -> Selection:
        """Look at every row; see `VectorStore`."""
        assert self._scenes is not None
        ids, scene_at = [], []
        for name in self._shown:
            view = View(self._written[name][1], self._scenes)
            for row in np.flatnonzero(matching(view, where, self._footprints)):
                ids.append(int(view.tiles.ids[row]))
                scene_at.append(int(view.scene_at[row]))
        return Selection(ids=np.array(ids, np.int64), scene_at=np.array(scene_at, np.intp), scenes=self._scenes)

    def similarities(self, vectors: NDArray[np.float32], where: Filter) -> Similarities:
        """Score every matching row; see `VectorStore`."""
        selection = self.select(where)
        rows = self.get(selection.ids.tolist())
        boxes = np.full((len(selection.ids), 2, 4), np.nan)
        for name in self._shown:
            columns = self._written[name][1]
            for row, tile_id in enumerate(selection.ids):
                if tile_id in columns.ids:
                    boxes[row] = columns.boxes[int(tile_id) - int(columns.ids[0])]
        scores = (vectors.astype(np.float64) @ rows.T.astype(np.float64)).astype(np.float32)
        return Similarities(selection=selection, boxes=boxes, scores=scores)

    def get(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return rows by id; see `VectorStore`."""
        out = np.empty((len(ids), self._dim), np.float32)
        for position, tile_id in enumerate(ids):
            for name in self._shown:
                vectors, columns = self._written[name]
                if tile_id in columns.ids:
                    out[position] = vectors[int(tile_id) - int(columns.ids[0])]
                    break
            else:
                raise NotFoundError(f"tile {tile_id}: no such vector")
        return out

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Look at every row; see `VectorStore`."""
        return sorted(set(ids) - set(self.select(Filter()).ids.tolist()))

    def optimize(
        self,
        texts: NDArray[np.float32] | None = None,  # noqa: ARG002  (the port's signature)
        *,
        budget_bytes: int = 0,  # noqa: ARG002
    ) -> dict[str, Any]:
        """There is nothing to make faster."""
        return {"index": "none"}

    def stats(self) -> dict[str, Any]:
        """Return the number of rows shown."""
        return {"vectors": sum(len(self._written[name][1]) for name in self._shown)}

    def verify(self, *, full: bool) -> list[str]:  # noqa: ARG002  (the port's signature)
        """Memory does not rot."""
        return []


@dataclass(frozen=True, slots=True)
class _Undecided:
    """A `Choice` that looks at every row each time."""

    store: ReferenceStore
    where: Filter

    @property
    def count(self) -> int:
        """How many tiles pass."""
        return len(self.store.select(self.where).ids)

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Score every matching row; see `VectorStore`."""
        return self.store.search(queries, k, self.where, exact=exact)
