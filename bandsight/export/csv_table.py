"""CSV (RFC 4180): one row for each item."""

import csv
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bandsight.export.formats import Pages

_FIRST = ("id", "collection", "datetime", "west", "south", "east", "north")
_LAST = ("geometry", "other")
# Spreadsheets interpret text that starts with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Csv:
    """One row for each item: lists and objects as JSON, the geometry as WKT.

    Each property of the archive's scenes and of the first page has its own column; other properties are in `other`.
    """

    name = "csv"
    title = "CSV"
    media_type = "text/csv; charset=utf-8"
    suffixes = (".csv",)

    def stream(self, pages: "Pages") -> Iterator[bytes]:
        """Yield the file page by page; see `ExportFormat`."""
        columns: list[str] = []
        for page in pages:
            items = page.items_with_vectors()
            out = io.StringIO()
            writer = csv.writer(out)
            if not columns:
                own = {name for item in items for name in item["properties"]} | set(pages.property_names)
                columns = [*_FIRST, *sorted(own - {"datetime"}), *_LAST]
                writer.writerow(columns)
            writer.writerows(_cells(item, columns) for item in items)
            yield out.getvalue().encode()


def _cells(item: dict[str, Any], columns: list[str]) -> list[Any]:
    import orjson
    import shapely

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
