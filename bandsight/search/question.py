"""The member `semantic` of a request: positive and negative examples, and options for results."""

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from bandsight.attributes.fields import MAX_ID
from bandsight.errors import QueryError

MAX_LIST = 1000
"""Maximum number of names or ids in a list."""
MAX_TERMS = 16
"""Maximum number of alternatives in `q`."""
MAX_EXAMPLES = 64
"""Maximum number of examples in a query, and of sentences in an example."""
MAX_AREA_TILES = 10_000
"""Maximum number of tiles covered by an example's point or area."""
MAX_WEIGHT = 1000.0
"""Maximum weight of an example."""
MAX_WAVELENGTHS = 512
"""Maximum number of bands of an image."""
MAX_PICTURES = 8
"""Maximum number of images in a form."""
MAX_GROUP = 1000
"""Maximum number of hits per group."""
MAX_KEYS = 8
"""Maximum number of sort keys."""
MAX_CHARS = 1000
"""Maximum length of a sentence, characters."""


def check_text(text: str) -> str:
    """Strip and check a sentence.

    Raises:
        QueryError: It is empty, too long, or not valid Unicode.
    """
    stripped = text.strip()
    if not stripped:
        raise QueryError("query: the text is empty; describe the place, e.g. 'a river beside fields'")
    if any("\ud800" <= one <= "\udfff" for one in stripped):
        raise QueryError("query: the text contains a lone surrogate; send valid UTF-8")
    if len(stripped) > MAX_CHARS:
        raise QueryError(
            f"query: the text has {len(stripped)} characters; at most {MAX_CHARS} are allowed, so shorten it"
        )
    return stripped


_MAX_LON, _MAX_LAT = 180, 90


def _decoded(value: object) -> object:
    """Decode base64 text, with or without a data URL prefix."""
    if not isinstance(value, str):
        return value
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("need base64") from error


def _on_earth(point: list[float]) -> list[float]:
    lon, lat = point
    if abs(lon) > _MAX_LON or abs(lat) > _MAX_LAT:
        raise ValueError("need [longitude -180..180, latitude -90..90]")
    return point


Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    PlainSerializer(lambda data: base64.b64encode(data).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Point = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_on_earth)]
TileId = Annotated[int, Field(ge=0, le=MAX_ID)]
Weight = Annotated[float, Field(gt=0, le=MAX_WEIGHT)]
Texts = str | Annotated[list[str], Field(min_length=1, max_length=MAX_EXAMPLES)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Picture(_Strict):
    """An image: PNG, JPEG, or a GeoTIFF with any bands."""

    data: Base64
    wavelengths: list[float] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_WAVELENGTHS,
        description="Wavelengths of the bands in µm, for a GeoTIFF that does not state them",
    )


class Vector(_Strict):
    """A vector of the archive's model, as stored by saved searches in place of images and areas."""

    data: Base64 = Field(description="float32, little-endian")
    digest: str = Field(max_length=100, description="Digest of the model")
    tiles: list[TileId] = Field(
        default=[],
        max_length=MAX_AREA_TILES,
        description="Tiles from which it was computed; they do not appear in the results",
    )


class Example(_Strict):
    """One example: a sentence (or several with the same meaning), an image, a tile, a point or an area."""

    kinds: ClassVar[tuple[str, ...]] = ("text", "image", "id", "point", "area", "vector")
    """Members of which an example has exactly one; `bandsight.search.examples` has a class for each."""

    text: Texts | None = Field(
        default=None, description="One or more sentences; several count as one example, their mean"
    )
    image: Picture | None = None
    id: TileId | None = Field(default=None, description="Id of a tile")
    point: Point | None = Field(
        default=None, description="Longitude, latitude: the mean of the tiles that cover the point"
    )
    area: dict[str, Any] | None = Field(default=None, description="GeoJSON polygon: the mean of the tiles inside")
    vector: Vector | None = None
    weight: Weight | None = Field(default=None, description="Weight for the strategy `average`; default: 1")
    label: str | None = Field(
        default=None, min_length=1, max_length=1000, description="Name of the example in `bandsight:matched`"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"found {' and '.join(given) or 'none of them'}; need one of {', '.join(self.kinds)}")
        return self

    @property
    def kind(self) -> str:
        """Name of the member that is set."""
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)


class Semantic(_Strict):
    """A semantic search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "a lake", "negative": [{"text": "clouds"}], "min_probability": 0.2}],
        }
    )

    positive: list[Example] = Field(default=[], max_length=MAX_EXAMPLES)
    negative: list[Example] = Field(default=[], max_length=MAX_EXAMPLES)
    text: Texts | None = Field(default=None, description="Positive examples")
    image: Picture | None = Field(default=None, description="A positive example")
    ids: list[TileId] | None = Field(default=None, max_length=MAX_EXAMPLES, description="Positive examples")
    points: list[Point] | None = Field(default=None, max_length=MAX_EXAMPLES, description="Positive examples")
    area: dict[str, Any] | None = Field(default=None, description="A positive example")
    classifier: str | None = Field(
        default=None,
        max_length=200,
        description="A trained classifier instead of examples: NAME, NAME/CLASS or NAME@VERSION",
    )
    strategy: Literal["average", "best"] = Field(
        default="average", description="average: the mean of all examples; best: the nearest example"
    )
    min_score: float | None = Field(default=None, ge=-1, le=1)
    min_probability: float | None = Field(
        default=None, ge=0, le=1, description="Minimum probability of the likeliest positive sentence"
    )
    group_by: Literal["scene", "place", "collection", "sensor"] | None = None
    group_limit: int | None = Field(
        default=None, ge=1, le=MAX_GROUP, description="Maximum number of results per group; default: 1"
    )
    overlap: float | None = Field(
        default=None, ge=0, le=1, description="Maximum overlap of two results, as a share of the smaller one"
    )
    diversity: float = Field(default=0.0, ge=0, le=1, description="Weight of being different from better results")
    by_cell: bool = Field(
        default=False,
        description="Rank tiles by their best part, to find things smaller than a tile, if scenes were indexed with "
        "--cells; hits then have bandsight:best_cell",
    )
    exact: bool = Field(default=False, description="Compare every tile instead of using the index")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.by_cell and self.min_probability is not None:
            raise ValueError("min_probability: cells have no probabilities; use min_score with by_cell")
        positives = list(self.positives())
        count = len(positives) + len(self.negative)
        if self.classifier is not None:
            if count:
                raise ValueError("classifier together with examples; pass one of them, or filter by `classifiers`")
            return self
        if not positives and (self.strategy == "average" or not self.negative):
            raise ValueError("no positive example; pass text, image, ids, points, area or positive")
        if count > MAX_EXAMPLES:
            raise ValueError(f"{count} examples; at most {MAX_EXAMPLES} are allowed")
        if self.group_limit is not None and self.group_by is None:
            raise ValueError("group_limit without group_by; pass both")
        if self.strategy == "best" and any(one.weight is not None for one in (*positives, *self.negative)):
            raise ValueError("weight: only for the strategy average")
        return self

    def positives(self) -> Iterator[Example]:
        """Yield all positive examples, short forms last."""
        yield from self.positive
        texts = [self.text] if isinstance(self.text, str) else self.text or ()
        yield from (Example(text=text) for text in texts)
        if self.image is not None:
            yield Example(image=self.image)
        yield from (Example(id=tile) for tile in self.ids or ())
        yield from (Example(point=point) for point in self.points or ())
        if self.area is not None:
            yield Example(area=self.area)
