"""What the STAC routes keep between requests."""

from dataclasses import dataclass, field

from search_api.stac.holdings import Holdings
from search_api.stac.meaning import Kept
from search_api.stac.query import Semantic


@dataclass(frozen=True, slots=True, kw_only=True)
class StacState:
    """One app's memory."""

    semantic: Semantic | None = None
    """Reads the member `semantic` of a body; None where the server takes none."""
    holdings: Holdings = field(default_factory=Holdings)
    """What each collection holds."""
    kept: Kept = field(default_factory=Kept)
    """Hits of registered searches."""
