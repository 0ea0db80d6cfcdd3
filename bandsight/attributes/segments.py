"""Segments: the link between rows of a vector store and the catalog commit that makes them visible."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A batch of vectors written together. It is part of the archive once a catalog commit references it."""

    name: str
    """Name in the vector store."""
    first_id: int
    """Tile id of the first row; ids ascend."""
    last_id: int
    """Tile id of the last row. Ranges of segments do not overlap."""
    count: int
    """Number of rows."""
    sha256: str
    """Checksum of the rows, hex."""
