"""Limits the number of vertices of a GeoJSON geometry before any costly computation."""

from typing import Any

from bandsight.errors import QueryError

MAX_VERTICES = 10_000
"""Maximum number of vertices of a geometry."""


def check_vertices(geometry: Any, name: str) -> None:
    """Raise if a geometry has too many vertices.

    Args:
        geometry: GeoJSON geometry, Feature, or anything else.
        name: Name of the parameter, for error messages.

    Raises:
        QueryError: The geometry has more than `MAX_VERTICES`.
    """
    count, pending = 0, [geometry]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending += [part.get("coordinates"), part.get("geometry"), part.get("geometries")]
        elif isinstance(part, list):
            if part and isinstance(part[0], (int, float)):
                count += 1
            else:
                pending += part
        if count > MAX_VERTICES:
            raise QueryError(f"{name}: found more than {MAX_VERTICES:,} vertices; simplify the geometry")
