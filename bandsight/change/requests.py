"""The bodies of requests about change."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bandsight.attributes import datetimes
from bandsight.search.question import TileId
from bandsight.search.request import ItemFilters

Interval = Annotated[
    str, Field(max_length=datetimes.MAX_CHARS, description="Days or times: start/end, .. for an open end")
]
Sentence = Annotated[str, Field(min_length=1, max_length=1000)]


class ChangeBody(ItemFilters):
    """A search for change between two periods; the filters of Item Search, but for datetime, hold for both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "before": "2009-01-01/2012-12-31",
                    "after": "2018-01-01/..",
                    "was": "a forest",
                    "now": "bare ground",
                }
            ]
        }
    )

    before: Interval
    after: Interval
    was: Sentence | None = Field(default=None, description="What the place looked like, or classifier:NAME")
    now: Sentence | None = Field(default=None, description="What it looks like now, or classifier:NAME")
    like: list[TileId] | None = Field(
        default=None, min_length=2, max_length=2, description="A change to look for others of: a tile before, one after"
    )
    max_cloud: float = Field(default=0.2, ge=0, le=1, description="Greatest cloud share of a tile; unknown shares pass")
    min_z: float = Field(default=3.0, ge=0, le=100, description="Least robust z of a change")
    limit: int = Field(default=20, ge=1, le=10_000, description="Most places")


class TimelineBody(BaseModel):
    """A place, and what to compare its dates with."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    q: Sentence | None = Field(default=None, description="A sentence, or classifier:NAME, whose score each date gets")
