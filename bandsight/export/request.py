"""The body of an export request."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from bandsight.search.request import SearchBody

MAX_ITEMS = 1_000_000
"""Maximum number of items of an export."""
DEFAULT_ITEMS = 10_000
"""Default limit of an export."""


class ExportBody(SearchBody):
    """A search whose results are written to one file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"collections": ["sentinel-2-l2a"], "limit": 100_000},
                {"q": "a lake surrounded by fields", "limit": 500},
            ]
        }
    )

    limit: int = Field(DEFAULT_ITEMS, ge=1, le=MAX_ITEMS, description="Maximum number of items")
    token: None = Field(None, description="An export has no pages")

    @model_validator(mode="after")
    def _all_fields(self) -> Self:
        if "fields" in self.model_fields_set:
            raise ValueError("fields: an export contains all fields; leave it out")
        return self
