"""How large a request may be, beside the bytes of its body."""

from typing import Any

from bandsight.errors import QueryError

MAX_TERMS = 16
"""Most alternatives of `q`."""
MAX_EXAMPLES = 64
"""Most examples of a question, and sentences of an example."""
MAX_AREA_TILES = 10_000
"""Most tiles that an example's point or area may stand for."""
MAX_WEIGHT = 1000.0
"""Greatest weight of an example."""
MAX_WAVELENGTHS = 512
"""Most bands of a picture."""
MAX_PICTURES = 8
"""Most pictures of a form."""
MAX_GROUP = 1000
"""Most hits of a group."""
MAX_VERTICES = 10_000
"""Most corners of a geometry."""
MAX_KEYS = 8
"""Most keys to sort by."""


def check_vertices(geometry: Any, name: str) -> None:
    """Refuse a geometry of too many corners, before anything computes with it.

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
            raise QueryError(f"{name}: more than {MAX_VERTICES:,} corners; simplify the geometry")
