"""What to ask of a STAC API."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StacQuery:
    """A search; empty for all that there is."""

    collections: tuple[str, ...] = ()
    """Only these; empty for all."""
    bbox: tuple[float, ...] | None = None
    """(west, south, east, north), degrees."""
    datetime: str | None = None
    """Moment or interval, as STAC writes it."""
    max_items: int | None = None
    """At most so many scenes."""
