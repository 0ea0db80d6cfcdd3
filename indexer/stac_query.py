"""Queries for STAC APIs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StacQuery:
    """A STAC search; empty for everything."""

    collections: tuple[str, ...] = ()
    """Collections to search; empty for all."""
    bbox: tuple[float, ...] | None = None
    """(west, south, east, north), degrees."""
    datetime: str | None = None
    """Time or interval, in STAC format."""
    max_items: int | None = None
    """Maximum number of scenes."""
