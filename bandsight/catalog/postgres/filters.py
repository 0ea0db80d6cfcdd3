"""Filters as SQL: a condition on tiles that lets everything pass that a filter does, and as little else as it can.

It follows `bandsight.attributes.matching` part by part: a filter holds, or fails, by what surely holds or fails of its
parts, so that NOT is decided at each part and unknown values count as neither. All of it is exact but for areas, of
which SQL compares boxes only; rows are decided by `matching` in the end.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ARRAY, BigInteger, ColumnElement, and_, any_, false, literal, not_, or_, true

from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.matching import decide_scenes, numbers_of
from bandsight.catalog.postgres.spatial import Index, meets_boxes
from bandsight.catalog.sql.tables import TileRow

Condition = ColumnElement[bool]

_COMPARE: Mapping[str, Callable[[Any, float], Condition]] = {
    "=": lambda column, value: column == value,
    "in": lambda column, value: column == value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}


def condition_of(where: Filter, scenes: SceneColumns, index: Index) -> Condition:
    """Return a condition on tiles that every tile fulfils that passes a filter.

    Args:
        where: The filter.
        scenes: All scenes; what a filter says of scenes is decided here, and SQL gets their ids.
        index: What the boxes of tiles are indexed by.

    Raises:
        QueryError: The filter cannot be applied to these tiles.
    """
    return _decide(where, scenes, index, outcome=True)


def _decide(where: Filter, scenes: SceneColumns, index: Index, *, outcome: bool) -> Condition:
    parts = _of_tiles(where, index, outcome=outcome)
    decided = decide_scenes(scenes, where, outcome=outcome)
    if decided is not None:
        parts.append(among(TileRow.scene_id, scenes.ids[decided]))
    parts += [_decide(part, scenes, index, outcome=outcome) for part in where.all_of]
    parts += [_decide(part, scenes, index, outcome=not outcome) for part in where.none_of]
    if where.any_of:
        either = [_decide(part, scenes, index, outcome=outcome) for part in where.any_of]
        parts.append((or_ if outcome else and_)(*either))
    return and_(true(), *parts) if outcome else or_(false(), *parts)


def _of_tiles(where: Filter, index: Index, *, outcome: bool) -> list[Condition]:
    parts: list[Condition] = []
    if where.boxes:
        parts.append(meets_boxes(where.boxes, index))
    if where.up_to is not None:
        parts.append(TileRow.id <= where.up_to)
    if where.exclude:
        parts.append(not_(among(TileRow.id, np.asarray(where.exclude, np.int64))))
    if not outcome:
        parts = [not_(part) for part in parts]
    if where.area is not None:
        # A footprint lies within its box; that boxes meet does not tell whether footprints do.
        parts.append(meets_boxes(tuple(where.area.boxes), index) if outcome else true())
    for condition in where.properties:
        if (field := FIELDS.tile_field(condition.name)) is not None:
            parts.append(_of_value(getattr(TileRow, field.name), condition, outcome=outcome))
    return parts


def _of_value(column: Any, condition: Property, *, outcome: bool) -> Condition:
    if condition.op == "is null":
        return column.is_(None) if outcome else column.is_not(None)  # type: ignore[no-any-return]
    compare = _COMPARE[condition.op]
    holds = or_(*(compare(column, value) for value in numbers_of(condition)))
    # Of an unknown value both are unknown, which lets no row pass.
    return holds if outcome else not_(holds)


def among(column: Any, ids: NDArray[np.int64]) -> Condition:
    """Return the condition that a column is one of some numbers: one parameter, however many they are."""
    return column == any_(literal(ids.tolist(), ARRAY(BigInteger)))  # type: ignore[no-any-return]
