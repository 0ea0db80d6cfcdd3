"""Converts Python arguments to request bodies."""

from datetime import UTC, datetime
from typing import Any

from bandsight.client.examples import example, examples
from bandsight.errors import QueryError

SEMANTIC = (
    "classifier",
    "strategy",
    "min_score",
    "min_probability",
    "group_by",
    "group_limit",
    "overlap",
    "diversity",
    "exact",
    "by_cell",
)
"""Options of a search by meaning."""
_MAX_ID = 2**63 - 1


def search_body(text: Any, positive: Any, negative: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a search.

    Args:
        text: Sentences as positive examples.
        positive: Additional positive examples.
        negative: Negative examples.
        options: Filters of Item Search, and options of a search by meaning.

    Raises:
        QueryError: An example or a filter is invalid.
    """
    if isinstance(text, str) and text.strip().startswith("classifier:"):
        options, text = {**options, "classifier": text}, None
    semantic = {name: options[name] for name in SEMANTIC if name in options}
    wanted, unwanted = [*examples(text), *examples(positive)], examples(negative)
    semantic |= {name: value for name, value in (("positive", wanted), ("negative", unwanted)) if value}
    body = filters({name: value for name, value in options.items() if name not in SEMANTIC})
    return body | {"semantic": semantic} if semantic else body


def filters(given: dict[str, Any]) -> dict[str, Any]:
    """Return filters as JSON: converts shapely geometries to GeoJSON, CQL2 to text, and single names to lists.

    Raises:
        QueryError: A filter is invalid.
    """
    made = {name: value for name, value in given.items() if value is not None}
    for name in ("collections", "ids", "sensors"):
        if isinstance(made.get(name), (str, int)):
            made[name] = [made[name]]
    if "ids" in made:
        made["ids"] = [str(one) for one in made["ids"]]
    if hasattr(made.get("intersects"), "__geo_interface__"):
        made["intersects"] = made["intersects"].__geo_interface__
    if "bbox" in made:
        made["bbox"] = box(made["bbox"], "bbox")
    if "datetime" in made:
        ends = made["datetime"] if isinstance(made["datetime"], (list, tuple)) else [made["datetime"]]
        made["datetime"] = "/".join(map(_instant, ends))
    if isinstance(made.get("sortby"), str):
        names = [name.strip() for name in made["sortby"].split(",")]
        made["sortby"] = [
            {"field": name.lstrip("+-"), "direction": "desc" if name.startswith("-") else "asc"} for name in names
        ]
    if isinstance(made.get("filter"), str):
        made["filter-lang"] = "cql2-text"
    return made


def box(given: Any, name: str) -> list[float]:
    """Parse a box from a sequence or comma-separated text.

    Raises:
        QueryError: The box is invalid.
    """
    try:
        return [float(side) for side in (given.split(",") if isinstance(given, str) else given)]
    except (TypeError, ValueError) as error:
        raise QueryError(f"{name}: found {str(given)[:60]!r}; need west, south, east, north in degrees") from error


def tile_id(given: Any) -> int:
    """Return the id of a tile from its number (int or str) or Item.

    Raises:
        QueryError: It is none of these.
    """
    number = int(given) if isinstance(given, str) and given.isdecimal() else example(given).get("id")
    if not isinstance(number, int) or not 0 <= number <= _MAX_ID:
        raise QueryError(f"item: found {str(given)[:60]!r}; need a tile's number or Item")
    return number


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as JSON values, so that local archives and servers receive the same.

    Raises:
        QueryError: A value cannot be serialized as JSON.
    """
    import orjson

    made: dict[str, Any] = {}
    for name, value in body.items():
        try:
            made[name] = orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
        except TypeError as error:
            raise QueryError(f"{name}: found a value that cannot be serialized as JSON ({error})") from error
    return made


def _instant(given: Any) -> str:
    """Return one end of an interval in RFC 3339 format; None is an open end, naive times are UTC."""
    if given is None:
        return ".."
    if not isinstance(given, datetime):
        return str(given)
    return (given.replace(tzinfo=UTC) if given.tzinfo is None else given).isoformat()
