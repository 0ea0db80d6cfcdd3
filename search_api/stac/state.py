"""State that the STAC routes keep between requests."""

from dataclasses import dataclass, field

from bandsight.search.saved import SavedRuns
from bandsight.stac.collection_stats import Holdings


@dataclass(frozen=True, slots=True, kw_only=True)
class StacState:
    """Caches of one app."""

    holdings: Holdings = field(default_factory=Holdings)
    """Extents and counts of each collection."""
    runs: SavedRuns = field(default_factory=SavedRuns)
    """Hits of saved searches."""
