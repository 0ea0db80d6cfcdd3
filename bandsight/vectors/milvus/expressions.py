"""Translates filters to Milvus expressions that match at least all tiles of the filter; the rest are removed later.

As in `bandsight.attributes.matching`, a filter is true (or false) if its parts are definitely true (or false).
Conditions that Milvus cannot evaluate, such as polygons, count as true.
"""

import json
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, time_us
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.matching import decide_scenes, numbers_of
from bandsight.geo.box import LonLatBox
from bandsight.vectors.milvus.collection import UNKNOWN, short

ANY = "true"
NONE = "false"
# Maximum number of ids in an expression, because long ones are slow to parse; conditions that need more are left to the
# recheck.
_MOST_IDS = 2000


def expression_of(where: Filter, scenes: SceneColumns) -> str:
    """Return an expression that is true for every tile that passes a filter; empty if every tile may pass.

    Raises:
        QueryError: The filter cannot be applied to these tiles.
    """
    found = _both([_decide(where, scenes, outcome=True), *_partitions(where)])
    return {ANY: "", NONE: "id < 0"}.get(found, found)


def _partitions(where: Filter) -> Iterable[str]:
    """Yield conditions on the partition key: only the partitions of these collections are searched.

    Only those that every tile must meet: Milvus 2.3 also prunes by one side of an OR, and loses rows of the other.
    """
    if where.collections:
        yield _one_of("collection", where.collections)
    for part in where.all_of:
        yield from _partitions(part)


def _decide(where: Filter, scenes: SceneColumns, *, outcome: bool) -> str:
    parts = [*_of_tiles(where, outcome=outcome), *_of_scenes(where, scenes, outcome=outcome)]
    parts += [_decide(part, scenes, outcome=outcome) for part in where.all_of]
    parts += [_decide(part, scenes, outcome=not outcome) for part in where.none_of]
    if where.any_of:
        either = [_decide(part, scenes, outcome=outcome) for part in where.any_of]
        parts.append(_either(either) if outcome else _both(either))
    return _both(parts) if outcome else _either(parts)


def _of_tiles(where: Filter, *, outcome: bool) -> Iterable[str]:
    if where.boxes:
        yield _meets(where.boxes) if outcome else f"not ({_meets(where.boxes)})"
    if where.area is not None:
        yield _meets(where.area.boxes) if outcome else ANY
    if where.up_to is not None:
        yield f"id <= {where.up_to}" if outcome else f"id > {where.up_to}"
    if where.exclude:
        yield _among("id", np.asarray(where.exclude, np.int64), inside=not outcome)
    for condition in where.properties:
        if (field := FIELDS.tile_field(condition.name)) is not None:
            yield _of_value(field.name, condition, outcome=outcome)


def _of_value(name: str, condition: Property, *, outcome: bool) -> str:
    known = f"{name} > {UNKNOWN / 10!r}"
    if condition.op == "is null":
        return f"not ({known})" if outcome else known
    sign = {"=": "==", "in": "=="}.get(condition.op, condition.op)
    holds = _either([f"{name} {sign} {value!r}" for value in numbers_of(condition)])
    return _both([known, holds if outcome else f"not ({holds})"])


def _of_scenes(where: Filter, scenes: SceneColumns, *, outcome: bool) -> Iterable[str]:
    decided = decide_scenes(scenes, where, outcome=outcome)
    if decided is None:
        return
    inside, outside = scenes.ids[decided], scenes.ids[~decided]
    if len(inside) <= _MOST_IDS or len(outside) <= _MOST_IDS:
        fewer = len(inside) <= len(outside)
        yield _among("scene_id", inside if fewer else outside, inside=fewer)
    elif not outcome:
        yield ANY
    else:
        # Too many scenes to list: use the attributes that rows have, and leave the rest to the recheck.
        if where.start:
            yield f"end_us >= {time_us(where.start)}"
        if where.end:
            yield f"(start_us <= {time_us(where.end)} and start_us > {-(2**62)})"
        if where.sensors:
            yield _one_of("sensor", where.sensors)
        # Not by collection: see `_partitions`.


def _one_of(name: str, values: Sequence[str]) -> str:
    return f"{name} in {json.dumps([short(value) for value in values], ensure_ascii=False)}"


def _meets(boxes: Sequence[LonLatBox]) -> str:
    return _either(
        [
            f"(west{part} <= {float(box.east)!r} and east{part} >= {float(box.west)!r} "
            f"and south{part} <= {float(box.north)!r} and north{part} >= {float(box.south)!r})"
            for box in boxes
            for part in ("", "2")
            if all(map(math.isfinite, (box.west, box.south, box.east, box.north)))
        ]
    )


def _among(name: str, ids: NDArray[np.int64], *, inside: bool) -> str:
    if not len(ids):
        return NONE if inside else ANY
    if len(ids) > _MOST_IDS:
        return ANY
    return f"{name} {'in' if inside else 'not in'} {ids.tolist()}"


def _both(parts: Iterable[str]) -> str:
    kept = [part for part in parts if part != ANY]
    if NONE in kept:
        return NONE
    return f"({' and '.join(kept)})" if kept else ANY


def _either(parts: Iterable[str]) -> str:
    kept = [part for part in parts if part != NONE]
    if ANY in kept:
        return ANY
    return f"({' or '.join(kept)})" if kept else NONE
