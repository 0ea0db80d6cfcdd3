"""Request bodies for subscriptions."""

from typing import Literal

from pydantic import ConfigDict, Field

from bandsight.search.request import Filters


class SubscribeBody(Filters):
    """A standing Item Search, matched against every new commit."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a quarry", "rank": 20, "title": "new quarries"}]},
    )

    title: str = Field("", max_length=200, description="Title; default: the search itself")
    min_score: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Minimum score: cosine, or probability of a classifier; cannot be combined with rank",
    )
    rank: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Alert on tiles at least as good as the current tile of this rank; default: 10, without min_score",
    )
    min_probability: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Minimum probability of a sentence, instead of rank and min_score; imagery without calibrated "
        "probabilities raises no alerts",
    )
    webhook: str | None = Field(None, max_length=2000, description="URL that receives each alert as a CloudEvent")
    secret: str | None = Field(
        None, min_length=16, max_length=200, description="Secret that signs webhook calls; generated if missing"
    )
    email: str | None = Field(
        None, max_length=254, description="E-mail address that receives alerts, if the server allows it"
    )
    quiet: str | None = Field(
        None, max_length=100, description="Quiet hours without messages, e.g. `22:00-07:00 Europe/Berlin`"
    )
    digest: Literal["hourly", "daily"] | None = Field(
        None, description="Collect alerts and send them together, every hour on the hour or every day at 7:00"
    )
    per_place: bool = Field(default=True, description="Alert once per place, not for every date")
