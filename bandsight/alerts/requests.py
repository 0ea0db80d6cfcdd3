"""The bodies of requests about subscriptions."""

from typing import Literal

from pydantic import ConfigDict, Field

from bandsight.search.request import Filters


class SubscribeBody(Filters):
    """A standing Item Search: every commit is matched against it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a quarry", "rank": 20, "title": "new quarries"}]},
    )

    title: str = Field("", max_length=200, description="For people; the question when empty")
    min_score: float | None = Field(
        None, ge=-1, le=1, description="Least score: cosine, or probability of a classifier; not together with rank"
    )
    rank: int | None = Field(
        None, ge=1, le=10_000, description="As good as the tile of this rank is now; default 10 without min_score"
    )
    webhook: str | None = Field(None, max_length=2000, description="URL that gets each alert as a CloudEvent")
    secret: str | None = Field(
        None, min_length=16, max_length=200, description="Key of the webhook's signatures; made up when missing"
    )
    email: str | None = Field(
        None, max_length=254, description="Address that gets alerts, where the server may send to it"
    )
    quiet: str | None = Field(
        None, max_length=100, description="Hours in which nothing is sent, e.g. `22:00-07:00 Europe/Berlin`"
    )
    digest: Literal["hourly", "daily"] | None = Field(
        None, description="Collect alerts and send them together: each full hour, or at 7:00 each day"
    )
    per_place: bool = Field(default=True, description="One alert per place, however many dates match")
