"""Adds scenes to catalog and store within a transaction; they become visible when it commits."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bandsight.archive.alerts import raise_alerts
from bandsight.archive.tile_columns import fresh_columns
from bandsight.attributes.columns import TileColumns
from bandsight.catalog.port import CatalogWriter
from bandsight.catalog.records import SceneRecord, TileRecord
from bandsight.errors import ArchiveError
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.port import VectorStore

_Part = tuple[Sequence[TileRecord], NDArray[np.float32]]
ScenePart = _Part | tuple[Sequence[TileRecord], NDArray[np.float32], CellCodes | None]
"""Tiles of a scene, their vectors, shape (tiles, dim), and their cells."""
Batch = Sequence[tuple[SceneRecord, Sequence[TileRecord], NDArray[np.float32]]]
"""Scenes, each with all its tiles and their vectors."""
CellsOf = Mapping[str, CellCodes]
"""The cells of a scene's tiles, by the scene's key."""

# Vectors of a large scene per file: enough to keep the number of files low, few enough to fit in memory.
_TILES_A_FILE = 4096

_Row = tuple[int, int, TileRecord]


def add_scenes(catalog: CatalogWriter, store: VectorStore, batch: Batch, cells: CellsOf | None = None) -> int:
    """Add scenes, one segment per number of cells, and return the generation; see `ArchiveWriter.add`."""
    fresh = _distinct([entry for entry in batch if not catalog.has_scene(entry[0].key)])
    if not fresh:
        return catalog.generation()
    generation = catalog.advance()
    known = cells or {}
    for _, scenes in groupby(fresh, key=lambda entry: _shape(known.get(entry[0].key))):
        together = list(scenes)
        rows: list[_Row] = []
        for scene, tiles, vectors in together:
            rows += _add_tiles(catalog, scene.name, catalog.add_scene(scene, generation), (tiles, vectors))
        columns = [fresh_columns(rows)] if rows else []
        codes = [known[scene.key] for scene, _, vectors in together if scene.key in known and len(vectors)]
        vectors_of = [vectors for _, _, vectors in together if len(vectors)]
        _add_vectors(catalog, store, columns, vectors_of, generation, codes)
    return generation


def _shape(cells: CellCodes | None) -> tuple[int, ...]:
    return () if cells is None else cells.records.shape[1:]


def add_in_parts(
    catalog: CatalogWriter,
    store: VectorStore,
    scene: SceneRecord,
    parts: Iterable[ScenePart],
) -> int:
    """Add one scene, several parts to a segment, and return the generation; see `ArchiveWriter.add_in_parts`."""
    if catalog.has_scene(scene.key):
        return catalog.generation()
    generation = catalog.advance()
    scene_id = catalog.add_scene(scene, generation)
    columns: list[TileColumns] = []
    vectors: list[NDArray[np.float32]] = []
    cells: list[CellCodes] = []
    for part in parts:
        tiles, own = part[0], part[1]
        if sum(map(len, columns)) >= _TILES_A_FILE:
            _add_vectors(catalog, store, columns, vectors, generation, cells)
            columns, vectors, cells = [], [], []
        if rows := _add_tiles(catalog, scene.name, scene_id, (tiles, own)):
            columns.append(fresh_columns(rows))
            vectors.append(own)
            cells += [one for one in part[2:] if one is not None]
    _add_vectors(catalog, store, columns, vectors, generation, cells)
    return generation


def _add_tiles(catalog: CatalogWriter, name: str, scene_id: int, part: _Part) -> list[_Row]:
    tiles, vectors = part
    if len(tiles) != len(vectors):
        raise ArchiveError(f"{name}: {len(tiles)} tiles but {len(vectors)} vectors")
    first = catalog.next_tile_id()
    catalog.add_tiles(scene_id, first, tiles)
    return [(first + n, scene_id, tile) for n, tile in enumerate(tiles)]


def _add_vectors(
    catalog: CatalogWriter,
    store: VectorStore,
    columns: Sequence[TileColumns],
    vectors: Sequence[NDArray[np.float32]],
    generation: int,
    cells: Sequence[CellCodes],
) -> None:
    if columns:
        rows, together = np.concatenate(vectors), TileColumns.join(columns)
        segment = store.upsert(rows, together, CellCodes.join(cells) if cells else None)
        catalog.add_segment(segment, generation)
        raise_alerts(catalog, generation, together, rows)


def _distinct(batch: Batch) -> Batch:
    """Keep the last entry of each href."""
    return list({entry[0].href: entry for entry in batch}.values())
