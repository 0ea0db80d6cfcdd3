"""Attribute columns on disk, one file a segment: derived from the catalog, so a bad file is simply written anew."""

from pathlib import Path

import numpy as np

from bandsight.vectors.columns import TileColumns
from bandsight.vectors.protocol import Segment

SUFFIX = ".npy"
_ROW = np.dtype([("id", "<i8"), ("scene_id", "<i8"), ("boxes", "<f8", (2, 4)), ("valid_fraction", "<f8")])


def save_columns(path: Path, columns: TileColumns) -> None:
    """Write columns beside their segment's name; not flushed, since they can be read from the catalog again."""
    rows = np.empty(len(columns), _ROW)
    rows["id"], rows["scene_id"] = columns.ids, columns.scene_ids
    rows["boxes"], rows["valid_fraction"] = columns.boxes, columns.valid_fraction
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        np.save(file, rows)
    temporary.replace(path.with_name(path.name + SUFFIX))


def load_columns(path: Path, segment: Segment) -> TileColumns | None:
    """Return a segment's columns, or None when their file is gone or does not fit."""
    try:
        rows = np.load(path.with_name(path.name + SUFFIX), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if rows.dtype != _ROW or not np.array_equal(
        rows["id"], np.arange(segment.first_id, segment.first_id + segment.count)
    ):
        return None
    return TileColumns(
        ids=rows["id"].copy(),
        scene_ids=rows["scene_id"].copy(),
        boxes=rows["boxes"].copy(),
        valid_fraction=rows["valid_fraction"].copy(),
    )
