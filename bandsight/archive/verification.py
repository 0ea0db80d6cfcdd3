"""Compares the catalog with the vectors, row for row."""

from contextlib import suppress

import numpy as np

from bandsight.archive.repair import cells_expected
from bandsight.catalog.port import Catalog
from bandsight.errors import ArchiveError
from bandsight.vectors.port import VectorStore


def problems_of(catalog: Catalog, store: VectorStore, *, full: bool) -> list[str]:
    """Return what is wrong, one sentence each.

    Args:
        catalog: One transaction.
        store: Serves the same generation.
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
            problems.append(f"catalog: segment {segment.name} begins at tile {segment.first_id}, within another")
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
                f"vectors/{segment.name}: {len(differ)} tiles are in one of file and catalog only, first {differ[0]}; "
                "run: bandsight repair"
            )
    tiles, newest = catalog.counts()["tiles"], catalog.next_tile_id() - 1
    if covered != tiles:
        problems.append(f"catalog: {tiles} tiles, of which {covered} have vectors; run: bandsight repair")
    if before > newest:
        problems.append(f"catalog: the next tile would be {newest + 1}, but there is a tile {before}")
    return problems + store.verify(full=full)
