"""Bodies of requests for maps and classes."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from bandsight.maps.pictures import ColorMap
from bandsight.maps.rasterize import MAX_SIDE, Crs
from bandsight.search.question import Picture
from bandsight.search.request import Filters, ItemFilters
from bandsight.search.zero_shot import MAX_LABELS

_Sentence = Annotated[str, Field(max_length=10_000)]
_Sentences = _Sentence | Annotated[list[_Sentence], Field(min_length=1, max_length=MAX_LABELS)]
Labels = (
    Annotated[list[_Sentence], Field(min_length=2, max_length=MAX_LABELS)]
    | Annotated[dict[str, _Sentences], Field(min_length=2, max_length=MAX_LABELS)]
)
_LABELS = Field(description="Names, or name → one sentence or several, whose mean represents it")
_SCENE = Field(default=None, max_length=100, pattern=r"^scene-\d{1,19}$", description="Item id of a scene: its tiles")
_EXAMPLE: dict[str, Any] = {"labels": {"water": ["a lake", "a river"], "forest": "dense forest"}}


class ClassifyBody(ItemFilters):
    """Labels, and the tiles or the picture to classify by them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": ["forest", "lake"], "limit": 5}, _EXAMPLE]})

    labels: Labels = _LABELS
    scene: str | None = _SCENE
    image: Picture | None = Field(default=None, description="A picture instead of tiles")
    limit: int = Field(default=100, ge=1, description="Most tiles, in the order of their ids")

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        others = sorted(self.model_fields_set - {"labels", "image"})
        if self.image is not None and others:
            raise ValueError(f"image, {', '.join(others)}: found both; a picture has no place in the archive")
        return self


class ClassMapBody(ItemFilters):
    """Labels, and the tiles to map by them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "format": "geojson"}]})

    labels: Labels = _LABELS
    scene: str | None = _SCENE
    format: Literal["geojson", "png", "tif"] = "geojson"
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels of png and tif")
    height: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels of png and tif")
    crs: Crs = Field(default="EPSG:4326", description="Of png and tif")
    legend: bool = Field(default=False, description="Draw the names beside the png, right of it")


class HeatmapBody(Filters):
    """A question, the tiles to score by it, and the picture to make of the scores."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a lake", "area": [-60, -60, 60, 60], "width": 512, "format": "tif"}]}
    )

    format: Literal["png", "tif"] = "png"
    area: list[float] | None = Field(
        default=None,
        min_length=4,
        max_length=6,
        description="west, south, east, north of the picture; default all tiles",
    )
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels")
    height: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels")
    crs: Crs = Field(default="EPSG:4326", description="Of the picture")
    colormap: ColorMap = Field(default="magma", description="Of a png; perceptually uniform")
    rescale: list[float] | None = Field(
        default=None, min_length=2, max_length=2, description="Scores of the first and last colour of a png"
    )
