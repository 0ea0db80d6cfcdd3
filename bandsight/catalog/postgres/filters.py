"""Translates filters to SQL conditions on tiles that match everything the filter does, and little else.

Mirrors `bandsight.attributes.matching`: each part is translated to "definitely true" or "definitely false", so that NOT
is pushed down to the parts and unknown values are neither. The result is exact except for areas, where SQL compares
only boxes; `matching` makes the final decision.
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
    """Return an SQL condition that is true for every tile that matches a filter.

    Args:
        where: The filter.
        scenes: All scenes. Conditions on scenes are evaluated here and passed to SQL as ids.
        index: Kind of spatial index on tile boxes.

    Raises:
        QueryError: The filter does not apply to these tiles.
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
        # Footprints lie within their boxes, so intersecting boxes are necessary but not sufficient.
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
    # For an unknown value both are NULL, which matches no row.
    return holds if outcome else not_(holds)


def among(column: Any, ids: NDArray[np.int64]) -> Condition:
    """Return the condition that a column is one of these numbers, with a single array parameter."""
    return column == any_(literal(ids.tolist(), ARRAY(BigInteger)))  # type: ignore[no-any-return]
