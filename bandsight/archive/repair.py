"""Makes a damaged archive whole: rebuilds what is derived, sets aside what is damaged, names what is lost."""

import numpy as np

from bandsight.archive.tile_columns import tile_columns
from bandsight.catalog.sqlite.catalog import Catalog
from bandsight.errors import ArchiveError
from bandsight.vectors.local.folder import StoreFolder
from bandsight.vectors.port import Segment

_LOST = "its {} were damaged and have been removed by repair; index it again"


class Repair:
    """One repair inside a write transaction."""

    def __init__(self, catalog: Catalog, folder: StoreFolder) -> None:
        self._catalog, self._folder = catalog, folder
        self.report: list[str] = []
        """What was done, one sentence each; empty when nothing was wrong."""

    def run(self) -> None:
        """Repair the catalog and the segments that it names.

        Raises:
            ArchiveError: The catalog's structure is damaged: nothing can be told from it.
        """
        self._check_structure()
        scenes, tiles = self._catalog.damaged()
        self._drop(sorted({*scenes, *self._catalog.scenes_of(tiles)}), "rows in the catalog")
        self._catalog.remove_tiles(tiles)
        segments = [Segment(**row) for row in self._catalog.segments()]
        for segment in segments:
            if self._folder.damage(segment, full=True):
                self._replace(segment)
        covered = [Segment(**row) for row in self._catalog.segments()]
        gaps = np.array([0, *(one.last_id for one in covered)]), np.array([*(one.first_id for one in covered), 2**62])
        for after, before in zip(*gaps, strict=True):
            self._drop(self._catalog.scenes_of(self._catalog.tile_ids(int(after) + 1, int(before) - 1)), "vectors")
        if any("R*Tree" in problem for problem in self._catalog.check()):
            self._catalog.rebuild_boxes()
            self.report.append("catalog.sqlite: the R*Tree of tile boxes was built anew")
        if self.report:
            self._catalog.advance()

    def drop_derived(self) -> None:
        """Delete derived files that are damaged; the next opening writes them anew."""
        self.report += self._folder.drop_damaged_derived()

    def _check_structure(self) -> None:
        if not self._catalog.structure(thorough=True):
            return
        self._catalog.reindex()
        if left := self._catalog.structure(thorough=True):
            raise ArchiveError(f"{left[0]}; the catalog cannot be repaired: restore it from a backup")
        self.report.append("catalog.sqlite: its indexes were built anew")

    def _replace(self, segment: Segment) -> None:
        """Put what can be trusted of a segment in its place."""
        self._folder.set_aside(segment)
        ids, rows = self._folder.salvage(segment)
        there = np.array(self._catalog.tile_ids(segment.first_id, segment.last_id), np.int64)
        lost = np.setdiff1d(there, ids)
        self._drop(self._catalog.scenes_of(lost.tolist()), "vectors")
        alive = np.isin(ids, self._catalog.tile_ids(segment.first_id, segment.last_id))
        self._catalog.remove_segments([segment.name])
        kept = int(alive.sum())
        if kept:
            columns = tile_columns(self._catalog, ids[alive])
            fresh = self._folder.write(rows[alive], columns)
            self._catalog.add_segment(
                name=fresh.name,
                first_id=fresh.first_id,
                last_id=fresh.last_id,
                count=fresh.count,
                sha256=fresh.sha256,
                generation=self._catalog.generation() + 1,
            )
        self.report.append(
            f"vectors/{segment.name}: damaged, copied to quarantine/; {kept} tiles kept, {len(lost)} vectors lost"
        )

    def _drop(self, scene_ids: list[int], what: str) -> None:
        hrefs = self._catalog.hrefs(scene_ids)
        self._catalog.remove_scenes(scene_ids)
        for scene_id in scene_ids:
            href = hrefs.get(scene_id, f"scene {scene_id}")
            self._catalog.record_failure(href, _LOST.format(what))
            self.report.append(f"lost: {href} ({what}); index it again")
