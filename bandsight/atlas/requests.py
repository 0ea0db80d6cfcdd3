"""The bodies of requests about the atlas, the same for the API, the client and the command line."""

from pydantic import ConfigDict, Field

from bandsight.search.limits import MAX_CHARS
from bandsight.search.request import ItemFilters
from bandsight.search.zero_shot import MAX_LABELS


class AtlasValues(ItemFilters):
    """What to colour the points of the atlas by; points that fail the filters of Item Search have no value."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a lake"}, {"labels": ["forest", "water", "fields"]}]}
    )

    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CHARS,
        description="A sentence, or classifier:NAME, to score each by",
    )
    labels: list[str] | None = Field(
        default=None, min_length=2, max_length=MAX_LABELS, description="Classes: the position of each point's best"
    )
