"""GeoJSON and CSV, written piece by piece."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
import shapely

from bandsight.export.pages import Rows, Walk

VECTOR = "bandsight:vector"
_FIRST = ("id", "collection", "datetime", "west", "south", "east", "north")
_LAST = ("geometry", "other")
# Of what a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def geojson(walk: Walk, ending: Callable[[], dict[str, Any]]) -> Iterator[bytes]:
    """Yield a FeatureCollection.

    Args:
        walk: The items.
        ending: Gives what is said of them as a whole, once all are written.
    """
    yield b'{"type":"FeatureCollection","features":['
    count = 0
    for rows in walk:
        features = [orjson.dumps(item) for item in _with_vectors(rows)]
        if features:
            yield (b"," if count else b"") + b",".join(features)
        count += len(features)
    yield b"]," + orjson.dumps({"numberReturned": count, **ending()})[1:]


def table(walk: Walk, names: Iterable[str]) -> Iterator[bytes]:
    """Yield CSV (RFC 4180), a row for each item; lists and objects in it are JSON, the geometry is WKT.

    Args:
        walk: The items.
        names: Properties that get a column of their own, beside those of the first page; others are in `other`.
    """
    columns: list[str] = []
    for rows in walk:
        items = _with_vectors(rows)
        out = io.StringIO()
        writer = csv.writer(out)
        if not columns:
            own = {name for item in items for name in item["properties"]} - {"datetime"}
            columns = [*_FIRST, *sorted(own | set(names) - {"datetime"}), *_LAST]
            writer.writerow(columns)
        writer.writerows(_cells(item, columns) for item in items)
        yield out.getvalue().encode()


def _with_vectors(rows: Rows) -> list[dict[str, Any]]:
    if rows.vectors is not None:
        for item, vector in zip(rows.items, rows.vectors, strict=True):
            if vector is not None:
                item["properties"][VECTOR] = vector.tolist()
    return rows.items


def _cells(item: dict[str, Any], columns: list[str]) -> list[Any]:
    values = dict(item["properties"])
    values |= {"id": item["id"], "collection": item["collection"]}
    values |= dict(zip(_FIRST[3:], item["bbox"], strict=True))
    values["geometry"] = shapely.to_wkt(shapely.from_geojson(orjson.dumps(item["geometry"])), rounding_precision=7)
    rest = {name: values.pop(name) for name in set(values) - set(columns)}
    values["other"] = rest or None
    return [_cell(values.get(name)) for name in columns]


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
