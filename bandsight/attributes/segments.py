"""The receipt that ties rows of a vector store to the commit that makes them valid."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of vectors written in one go: it exists once a commit of the catalog names it."""

    name: str
    """Name that the vector store knows it by."""
    first_id: int
    """Tile id of its first row; the others ascend."""
    last_id: int
    """Tile id of its last row; no other segment has a row between the two."""
    count: int
    """Rows."""
    sha256: str
    """Checksum of the rows, hex."""
