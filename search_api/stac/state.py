"""What the STAC routes keep between requests."""

from dataclasses import dataclass, field

from bandsight.search.saved import SavedRuns
from bandsight.stac.collection_stats import Holdings


@dataclass(frozen=True, slots=True, kw_only=True)
class StacState:
    """One app's memory."""

    holdings: Holdings = field(default_factory=Holdings)
    """What each collection holds."""
    runs: SavedRuns = field(default_factory=SavedRuns)
    """Hits of saved searches."""
