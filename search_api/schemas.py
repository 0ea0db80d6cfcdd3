"""Bodies of requests."""

from pydantic import BaseModel, ConfigDict, Field

from bandsight.filters import Filter

MAX_LIST = 1000
# Ids are int64.
MAX_ID = 2**63 - 1


class Filters(BaseModel):
    """Which tiles count; all conditions must hold."""

    model_config = ConfigDict(extra="forbid")

    bbox: list[float] | None = Field(
        None, min_length=4, max_length=6, description="west, south, east, north in degrees; west > east crosses ±180°"
    )
    datetime: str | None = Field(None, max_length=100, description="Day, RFC 3339 instant, or interval start/end")
    collections: list[str] = Field([], max_length=MAX_LIST)
    sensors: list[str] = Field([], max_length=MAX_LIST)

    def to_filter(self, exclude: tuple[int, ...] = ()) -> Filter:
        """Return the filter that these words mean."""
        return Filter.parse(
            bbox=self.bbox,
            datetime=self.datetime,
            collections=self.collections,
            sensors=self.sensors,
            exclude=exclude,
        )


class ClassifyBody(Filters):
    """Labels to tell tiles apart by."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"labels": ["forest", "lake", "farmland"], "limit": 100}]}
    )

    labels: list[str] = Field(min_length=2, max_length=100)
    limit: int = Field(100, ge=1, description="How many tiles, in the order of their ids")
