"""Compares the catalog with the vectors, row by row."""

from contextlib import suppress

import numpy as np

from bandsight.archive.repair import cells_expected
from bandsight.catalog.port import Catalog
from bandsight.errors import ArchiveError
from bandsight.vectors.port import VectorStore


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
    return problems + store.verify(full=full)
