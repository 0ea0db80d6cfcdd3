"""The filterable attributes of scenes, cached in memory; each scene is read from the catalog once."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, time_us
from bandsight.attributes.fields import FIELDS
from bandsight.catalog.port import Catalog

_Row = tuple[datetime | None, str, str, list[list[float]], dict[str, Any]]


class SceneTable:
    """A cache that follows the catalog; rows of scenes are added, removed or restored, but never change."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._newest = 0

    def read(self, catalog: Catalog) -> SceneColumns:
        """Return the scenes visible to a transaction."""
        fresh = _rows_after(catalog, self._newest)
        self._rows |= fresh
        self._newest = max(fresh, default=self._newest)
        ids = catalog.scene_ids()
        alive = set(ids)
        if alive - self._rows.keys():
            self._rows = _rows_after(catalog, 0)
        for gone in [scene_id for scene_id in self._rows if scene_id not in alive]:
            del self._rows[gone]
        return _columns(ids, [self._rows[scene_id] for scene_id in ids])


def scenes_after(catalog: Catalog, after: int) -> SceneColumns:
    """Return the scenes above an id, including those added in the same transaction."""
    rows = _rows_after(catalog, after)
    return _columns(list(rows), list(rows.values()))


def _rows_after(catalog: Catalog, after: int) -> dict[int, _Row]:
    found = {}
    for scene_id, when, collection, sensor, boxes, properties, *values in catalog.scene_attributes(after=after):
        known = zip(FIELDS.scene, values, strict=True)
        own = {**{field.stac_name: value for field, value in known if value is not None}, **properties}
        found[scene_id] = (when, collection, sensor, boxes, own)
    return found


def _columns(ids: list[int], rows: list[_Row]) -> SceneColumns:
    return SceneColumns(
        ids=np.array(ids, np.int64),
        times_us=np.array([time_us(row[0]) for row in rows], np.int64),
        starts_us=np.array([_end_us(row[0], row[4], "start_datetime") for row in rows], np.int64),
        ends_us=np.array([_end_us(row[0], row[4], "end_datetime") for row in rows], np.int64),
        collections=np.array([row[1] for row in rows], np.str_),
        sensors=np.array([row[2] for row in rows], np.str_),
        boxes=_boxes([row[3] for row in rows]),
        properties=tuple(row[4] for row in rows),
    )


def _end_us(moment: datetime | None, properties: dict[str, Any], name: str) -> int:
    """Return one end of a scene's time interval as `time_us`, or its datetime if it has no interval."""
    try:
        return time_us(datetime.fromisoformat(properties[name]).astimezone(UTC))
    except (KeyError, TypeError, ValueError):
        return time_us(moment)


def _boxes(boxes: list[list[list[float]]]) -> NDArray[np.float64]:
    made = np.full((len(boxes), 2, 4), np.nan)
    for row, parts in enumerate(boxes):
        made[row, : len(parts)] = parts
    return made
