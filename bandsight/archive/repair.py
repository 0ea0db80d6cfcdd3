"""Repairs a damaged archive: rebuilds derived data, quarantines damaged files and lists lost scenes."""

import numpy as np

from bandsight.archive.tile_columns import tile_columns
from bandsight.attributes.segments import Segment
from bandsight.catalog.port import Catalog, CatalogWriter
from bandsight.errors import ArchiveError
from bandsight.vectors.port import VectorStore

_LOST = "its {} were damaged and have been removed by repair; index it again"


def cells_expected(catalog: Catalog, segment: Segment) -> int:
    """Return how many cells along a side the tiles of a segment were indexed with; 0 for none, or where none is left.

    The tiles of one segment have the same number.
    """
    first = catalog.tile_ids(segment.first_id, segment.last_id)[:1]
    scenes = catalog.scenes(catalog.scenes_of(first)) if first else {}
    return max((int(scene.tiling.get("cells", 0)) for scene in scenes.values()), default=0)


class Repair:
    """One repair inside a write transaction."""

    def __init__(self, catalog: CatalogWriter, store: VectorStore) -> None:
        self._catalog, self._store = catalog, store
        self.report: list[str] = []
        """What was done, one sentence each; empty if nothing was wrong."""

    def run(self) -> None:
        """Repair the catalog and its segments.

        Raises:
            ArchiveError: The catalog's structure is damaged beyond repair.
        """
        self._check_structure()
        scenes, tiles = self._catalog.damaged()
        self._drop(sorted({*scenes, *self._catalog.scenes_of(tiles)}), "rows in the catalog")
        self._catalog.remove_tiles(tiles)
        for segment in self._catalog.segments():
            cells = cells_expected(self._catalog, segment)
            if self._store.damage(segment, cells):
                self._replace(segment, cells)
        covered = self._catalog.segments()
        gaps = np.array([0, *(one.last_id for one in covered)]), np.array([*(one.first_id for one in covered), 2**62])
        for after, before in zip(*gaps, strict=True):
            self._drop(self._catalog.scenes_of(self._catalog.tile_ids(int(after) + 1, int(before) - 1)), "vectors")
        if self.report:
            self._catalog.advance()

    def _check_structure(self) -> None:
        if not self._catalog.structure(thorough=True):
            return
        self._catalog.reindex()
        if left := self._catalog.structure(thorough=True):
            raise ArchiveError(f"{left[0]}; the catalog cannot be repaired: restore it from a backup")
        self.report.append("catalog: its indexes were rebuilt")

    def _replace(self, segment: Segment, expected: int) -> None:
        """Rewrite a segment with its intact rows; `expected` is the number of cells along a side of its tiles."""
        ids, rows, cells = self._store.salvage(segment)
        if expected and (cells is None or cells.side != expected):
            ids, rows, cells = ids[:0], rows[:0], None
        there = np.array(self._catalog.tile_ids(segment.first_id, segment.last_id), np.int64)
        lost = np.setdiff1d(there, ids)
        self._drop(self._catalog.scenes_of(lost.tolist()), "vectors")
        alive = np.isin(ids, self._catalog.tile_ids(segment.first_id, segment.last_id))
        self._catalog.remove_segments([segment.name])
        kept = int(alive.sum())
        if kept:
            columns = tile_columns(self._catalog, ids[alive])
            fresh = self._store.upsert(
                rows[alive], columns, None if cells is None else cells.take(np.flatnonzero(alive))
            )
            self._catalog.add_segment(fresh, self._catalog.generation() + 1)
        self.report.append(
            f"vectors/{segment.name}: damaged, copied to quarantine/; {kept} tiles kept, {len(lost)} vectors lost"
        )

    def _drop(self, scene_ids: list[int], what: str) -> None:
        hrefs = self._catalog.hrefs(scene_ids)
        self._catalog.remove_scenes(scene_ids, self._catalog.generation() + 1)
        for scene_id in scene_ids:
            href = hrefs.get(scene_id, f"scene {scene_id}")
            self._catalog.record_failure(href, _LOST.format(what))
            self.report.append(f"lost: {href} ({what}); index it again")
