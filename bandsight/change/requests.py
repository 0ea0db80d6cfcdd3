"""Request bodies for change search."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bandsight.attributes.filters import MAX_DATETIME_CHARS
from bandsight.maps.pictures import ColorMap
from bandsight.maps.rasterize import MAX_SIDE, Crs
from bandsight.search.examples import TileId
from bandsight.search.request import ItemFilters

Interval = Annotated[
    str, Field(max_length=MAX_DATETIME_CHARS, description="Dates or date-times: start/end, with .. for an open end")
]
Sentence = Annotated[str, Field(min_length=1, max_length=1000)]


class ChangeBody(ItemFilters):
    """A search for changes between two periods. The filters of Item Search, except datetime, apply to both."""

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
    was: Sentence | None = Field(default=None, description="Description of the place before, or classifier:NAME")
    now: Sentence | None = Field(default=None, description="Description of the place after, or classifier:NAME")
    like: list[TileId] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Find changes like this one: a tile before and a tile after",
    )
    max_cloud: float = Field(
        default=0.2, ge=0, le=1, description="Maximum cloud share of a tile; tiles with an unknown share pass"
    )
    min_z: float = Field(default=3.0, ge=0, le=100, description="Minimum robust z-score of a change")
    limit: int = Field(default=20, ge=1, le=10_000, description="Maximum number of places")


class ChangeMapBody(ChangeBody):
    """A heat map of change: the z-score of each place that both periods cover. `min_z` and `limit` are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"before": "2009-01-01/2012-12-31", "after": "2018-01-01/..", "now": "bare ground", "format": "tif"}
            ]
        }
    )

    format: Literal["png", "tif"] = Field(default="png", description="tif for z-scores, png for colours")
    area: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="Area of the map as a bbox; default: all compared places"
    )
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels; by default, they are square")
    height: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels; by default, they are square")
    crs: Crs = Field(default="EPSG:4326", description="CRS of the map")
    colormap: ColorMap = "inferno"


class TimelineBody(BaseModel):
    """A place, and an optional query to score its dates."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    q: Sentence | None = Field(default=None, description="Sentence, or classifier:NAME, to score each date with")
