"""What the STAC routes keep between requests."""

from dataclasses import dataclass, field

from bandsight.search.saved_ranking import Kept
from bandsight.stac.collection_stats import Holdings


@dataclass(frozen=True, slots=True, kw_only=True)
class StacState:
    """One app's memory."""

    holdings: Holdings = field(default_factory=Holdings)
    """What each collection holds."""
    kept: Kept = field(default_factory=Kept)
    """Hits of registered searches."""
