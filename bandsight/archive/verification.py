"""Compares the catalog with the vectors, row by row."""

from contextlib import suppress

import numpy as np

from bandsight.archive.repair import cells_expected
from bandsight.attributes.filters import Filter
from bandsight.catalog.port import Catalog
from bandsight.errors import ArchiveError
from bandsight.vectors.port import VectorStore

# So many scenes' boxes are looked up, each with at most so many tiles.
_BOXES, _MOST_TILES = 20, 100_000


def problems_of(catalog: Catalog, store: VectorStore, *, full: bool) -> list[str]:
    """Return the problems found, one sentence each.

    Args:
        catalog: A transaction.
        store: The vectors, at the same generation.
        full: Also read every row of the catalog and every vector, and compare checksums.
    """
    problems = catalog.check()
    if full:
        for ids, table in zip(catalog.damaged(), ("scenes", "tiles"), strict=True):
            problems += [
                f"catalog: row {row_id} of {table} does not match its checksum; run: bandsight repair" for row_id in ids
            ]
    covered, before = 0, 0
    for segment, alive in store.living():
        if segment.first_id <= before:
            problems.append(f"catalog: segment {segment.name} starts at tile {segment.first_id}, within another")
        before = segment.last_id
        expected = np.array(catalog.tile_ids(segment.first_id, segment.last_id), np.int64)
        covered += len(expected)
        # What is damaged is reported below.
        with suppress(ArchiveError):
            if len(alive) and (cells := cells_expected(catalog, segment)) and not store.cells(alive[:1].tolist()):
                problems.append(
                    f"vectors/{segment.name}: the {cells} × {cells} cells of its tiles are missing; "
                    "run: bandsight repair"
                )
        if not np.array_equal(alive, expected):
            differ = np.setxor1d(alive, expected)
            problems.append(
                f"vectors/{segment.name}: {len(differ)} tiles are only in the file or only in the catalog, first "
                f"{differ[0]}; "
                "run: bandsight repair"
            )
    tiles, newest = catalog.counts()["tiles"], catalog.next_tile_id() - 1
    if covered != tiles:
        problems.append(f"catalog: {covered} of {tiles} tiles have vectors; run: bandsight repair")
    if before > newest:
        problems.append(f"catalog: the next tile would be {newest + 1}, but there is a tile {before}")
    if full:
        problems += _spatial_problems(catalog, store)
    return problems + store.verify(full=full)


def _spatial_problems(catalog: Catalog, store: VectorStore) -> list[str]:
    """Return where the database's spatial index, if it has one, finds other tiles than the columns of the vectors."""
    every = store.select(Filter())
    for scene_id in every.scenes.ids[:: max(1, len(every.scenes.ids) // _BOXES)].tolist():
        where = Filter(boxes=tuple(box for one in catalog.scenes([scene_id]).values() for box in one.boxes))
        found = catalog.narrow(where, every.scenes, _MOST_TILES) if where.boxes else None
        if found is not None and not np.array_equal(found, expected := store.select(where).ids):
            differ = np.setxor1d(found, expected)
            problem = f"differ by {len(differ)} tiles around scene {scene_id}, first {differ[0]}"
            return [f"catalog: the spatial index and the columns {problem}; run: bandsight repair"]
    return []
