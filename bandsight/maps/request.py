"""Request bodies for maps and classification."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from bandsight.maps.pictures import ColorMap
from bandsight.maps.rasterize import MAX_SIDE, Crs
from bandsight.search.examples import Picture
from bandsight.search.request import Filters, ItemFilters
from bandsight.search.zero_shot import MAX_LABELS

_Sentence = Annotated[str, Field(max_length=10_000)]
_Sentences = _Sentence | Annotated[list[_Sentence], Field(min_length=1, max_length=MAX_LABELS)]
Labels = (
    Annotated[list[_Sentence], Field(min_length=2, max_length=MAX_LABELS)]
    | Annotated[dict[str, _Sentences], Field(min_length=2, max_length=MAX_LABELS)]
)
_LABELS = Field(description="Names, or an object that gives each name one or more sentences, whose mean is used")
_SCENE = Field(
    default=None, max_length=100, pattern=r"^scene-\d{1,19}$", description="Item id of a scene, to use its tiles"
)
_EXAMPLE: dict[str, Any] = {"labels": {"water": ["a lake", "a river"], "forest": "dense forest"}}


class ClassifyBody(ItemFilters):
    """Labels, and the tiles or the image to classify."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": ["forest", "lake"], "limit": 5}, _EXAMPLE]})

    labels: Labels = _LABELS
    scene: str | None = _SCENE
    image: Picture | None = Field(default=None, description="An image to classify instead of tiles")
    limit: int = Field(default=100, ge=1, description="Maximum number of tiles, in order of id")

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        others = sorted(self.model_fields_set - {"labels", "image"})
        if self.image is not None and others:
            raise ValueError(f"image, {', '.join(others)}: found both; an uploaded image has no location")
        return self


class ClassMapBody(ItemFilters):
    """Labels, and the tiles to map with them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "format": "geojson"}]})

    labels: Labels = _LABELS
    scene: str | None = _SCENE
    format: Literal["geojson", "png", "tif"] = "geojson"
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Size of png and tif in pixels")
    height: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Size of png and tif in pixels")
    crs: Crs = Field(default="EPSG:4326", description="CRS of png and tif")
    legend: bool = Field(default=False, description="Draw the names to the right of the png")


class HeatmapBody(Filters):
    """A search, the tiles to score, and the image to draw."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a lake", "area": [-60, -60, 60, 60], "width": 512, "format": "tif"}]}
    )

    format: Literal["png", "tif"] = "png"
    area: list[float] | None = Field(
        default=None,
        min_length=4,
        max_length=6,
        description="west, south, east, north of the image; default: all tiles",
    )
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels")
    height: int | None = Field(default=None, ge=1, le=MAX_SIDE, description="Pixels")
    crs: Crs = Field(default="EPSG:4326", description="CRS of the image")
    colormap: ColorMap = Field(default="magma", description="Perceptually uniform colour map of a png")
    rescale: list[float] | None = Field(
        default=None, min_length=2, max_length=2, description="Scores of the first and the last colour of a png"
    )
