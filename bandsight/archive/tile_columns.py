"""The filterable attributes of tiles, from the catalog or from tiles about to be added to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import TileColumns
from bandsight.attributes.fields import FIELDS
from bandsight.catalog.port import Catalog
from bandsight.catalog.records import TileRecord
from bandsight.errors import ArchiveError

# Coordinates of both boxes.
_SIDES = 8


def tile_columns(catalog: Catalog, ids: NDArray[np.int64]) -> TileColumns:
    """Return the attributes of tiles from the catalog; deleted tiles get scene 0, which does not exist."""
    columns = TileColumns.empty(ids)
    fields = [columns.values[field.name] for field in FIELDS.tile]
    for tile_id, scene_id, *numbers in catalog.tile_attributes(int(ids[0]), int(ids[-1])):
        at = int(np.searchsorted(ids, tile_id))
        if at < len(ids) and ids[at] == tile_id:
            try:
                columns.scene_ids[at] = scene_id
                columns.boxes[at] = np.array(numbers[:_SIDES], np.float64).reshape(2, 4)
                for values, value in zip(fields, numbers[_SIDES:], strict=True):
                    values[at] = np.nan if value is None else value
            except (TypeError, ValueError) as error:
                raise ArchiveError(f"catalog: row {tile_id} of tiles cannot be read; run: bandsight repair") from error
    return columns


def fresh_columns(rows: Sequence[tuple[int, int, TileRecord]]) -> TileColumns:
    """Return the attributes of new tiles, given as (id, scene id, tile)."""
    columns = TileColumns.empty(np.array([row[0] for row in rows], np.int64))
    for at, (_, scene_id, tile) in enumerate(rows):
        columns.scene_ids[at] = scene_id
        for part, box in enumerate(tile.boxes):
            columns.boxes[at, part] = box.west, box.south, box.east, box.north
    for field in FIELDS.tile:
        found = (field.value_of(tile) for _, _, tile in rows)
        columns.values[field.name][:] = [np.nan if value is None else value for value in found]
    return columns
