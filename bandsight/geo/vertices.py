"""Counts the vertices of a GeoJSON geometry before anything is computed with it."""

from typing import Any

from bandsight.errors import QueryError

MAX_VERTICES = 10_000
"""Most vertices of a geometry."""


def check_vertices(geometry: Any, name: str) -> None:
    """Refuse a geometry with too many vertices.

    Raises:
        QueryError: It has more.
    """
    found, waiting = 0, [geometry]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [part.get("coordinates"), part.get("geometry"), part.get("geometries")]
        elif isinstance(part, list):
            if part and isinstance(part[0], (int, float)):
                found += 1
            else:
                waiting += part
        if found > MAX_VERTICES:
            raise QueryError(f"{name}: more than {MAX_VERTICES:,} vertices; simplify the geometry")
