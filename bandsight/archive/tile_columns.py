"""What filters ask of tiles, from the catalog and from what is about to be added to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import TileColumns
from bandsight.catalog.port import Catalog
from bandsight.catalog.records import TileRecord
from bandsight.errors import ArchiveError


def tile_columns(catalog: Catalog, ids: NDArray[np.int64]) -> TileColumns:
    """Return the attributes of tiles from the catalog; deleted tiles keep scene 0, which does not exist."""
    columns = TileColumns.empty(ids)
    for tile_id, scene_id, valid, cloud, *sides in catalog.tile_attributes(int(ids[0]), int(ids[-1])):
        at = int(np.searchsorted(ids, tile_id))
        if at < len(ids) and ids[at] == tile_id:
            try:
                columns.scene_ids[at], columns.valid_fraction[at] = scene_id, valid
                columns.cloud_fraction[at] = np.nan if cloud is None else cloud
                columns.boxes[at] = np.array(sides, np.float64).reshape(2, 4)
            except (TypeError, ValueError) as error:
                raise ArchiveError(f"catalog: row {tile_id} of tiles cannot be read; run: bandsight repair") from error
    return columns


def fresh_columns(rows: Sequence[tuple[int, int, TileRecord]]) -> TileColumns:
    """Return the attributes of new tiles, given as (id, scene id, tile)."""
    columns = TileColumns.empty(np.array([row[0] for row in rows], np.int64))
    for at, (_, scene_id, tile) in enumerate(rows):
        columns.scene_ids[at], columns.valid_fraction[at] = scene_id, tile.valid_fraction
        columns.cloud_fraction[at] = np.nan if tile.cloud_fraction is None else tile.cloud_fraction
        for part, box in enumerate(tile.boxes):
            columns.boxes[at, part] = box.west, box.south, box.east, box.north
    return columns
