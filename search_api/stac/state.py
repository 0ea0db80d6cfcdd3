"""What the STAC routes keep between requests."""

from dataclasses import dataclass, field

from search_api.meaning.thresholds import SceneBands
from search_api.stac.collection_stats import Holdings
from search_api.stac.saved_search_items import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class StacState:
    """One app's memory."""

    holdings: Holdings = field(default_factory=Holdings)
    """What each collection holds."""
    bands: SceneBands = field(default_factory=SceneBands)
    """The imagery of scenes."""
    kept: Kept = field(default_factory=Kept)
    """Hits of registered searches."""
