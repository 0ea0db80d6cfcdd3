"""What is exported, and as what."""

from typing import Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import ConfigDict, Field, model_validator

from bandsight.search.request import SearchBody

Format = Annotated[
    Literal["geojson", "csv", "geoparquet"], Query(description="GeoJSON, CSV, or GeoParquet (stac-geoparquet)")
]
Vectors = Annotated[bool, Query(description="Each tile's vector, too: `bandsight:vector`")]
MOST = 1_000_000
"""Most items of an export."""
DEFAULT = 10_000


class ExportBody(SearchBody):
    """A search whose items are all wanted at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"collections": ["sentinel-2-l2a"], "limit": 100_000},
                {"q": "a lake surrounded by fields", "limit": 500},
            ]
        }
    )

    limit: int = Field(DEFAULT, ge=1, le=MOST, description="Most items")
    token: None = Field(None, description="An export has no pages")

    @model_validator(mode="after")
    def _all_fields(self) -> Self:
        if "fields" in self.model_fields_set:
            raise ValueError("fields: found some; an export has all of them")
        return self


def names_of(kind: str, name: str) -> dict[str, Any]:
    """Return the headers that make a file of an answer.

    Args:
        kind: A format.
        name: Of the file, without suffix.
    """
    suffix = "parquet" if kind == "geoparquet" else kind
    return {"Content-Disposition": f'attachment; filename="{name}.{suffix}"'}
