"""Search requests: body models, their conversion to queries, and the search itself."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bandsight.attributes.fields import MAX_ID
from bandsight.attributes.filters import MAX_DATETIME_CHARS
from bandsight.geo.box import LonLatBox
from bandsight.search.item_fields import Fields
from bandsight.search.items import MAX_CHARS as _TOKEN_CHARS
from bandsight.search.items import ItemQuery, Language, ResultPage, answer, cql2_filter, item_query
from bandsight.search.limits import MAX_KEYS, MAX_LIST, MAX_TERMS
from bandsight.search.listing import keys_of
from bandsight.search.question import Question, Semantic, question_of
from bandsight.search.searcher import Searcher
from bandsight.search.validation import validated

Crs = Literal["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
CRS84: Crs = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_NAME_CHARS = 1000
Name = Annotated[str, Field(min_length=1, max_length=_NAME_CHARS)]


def _bounded(limit: int) -> int:
    """Cap a limit so that the link to the next page can contain it as a JSON integer."""
    return min(limit, MAX_ID)


class Sort(BaseModel):
    """A sort key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    field: Name = Field(description="A property, id, datetime or collection", examples=["datetime"])
    direction: Literal["asc", "desc"] = "asc"


class FieldsBody(BaseModel):
    """The parts of an item to return."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include: list[Name] | None = Field(
        default=None, max_length=100, description="Fields to include; empty for the required members only"
    )
    exclude: list[Name] | None = Field(default=None, max_length=100)

    def fields(self) -> Fields:
        """Convert to `Fields`.

        Raises:
            QueryError: There are too many.
        """
        # An empty `include` means the default set, according to the fields extension.
        least = "include" in self.model_fields_set and not self.include and bool(self.exclude)
        return Fields.of(self.include or (), self.exclude or (), of_default=least)


class ItemFilters(BaseModel):
    """Filters for items; all conditions must hold."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False)

    collections: list[Name] | None = Field(None, max_length=MAX_LIST)
    ids: list[Name] | None = Field(None, max_length=MAX_LIST)
    bbox: list[float] | None = Field(
        None, min_length=4, max_length=6, description="west, south, east, north in degrees; west > east crosses ±180°"
    )
    intersects: dict[str, Any] | None = Field(None, description="GeoJSON geometry; cannot be combined with bbox")
    datetime: str | None = Field(
        None,
        max_length=MAX_DATETIME_CHARS,
        description="RFC 3339 date-time, or start/end with .. for an open end; also a year or a month",
    )
    filter: dict[str, Any] | bool | str | None = Field(
        None, description="CQL2 expression, in the language given by filter-lang"
    )
    filter_lang: Language = Field("cql2-json", alias="filter-lang")
    filter_crs: Crs = Field(CRS84, alias="filter-crs")
    sensors: list[Name] | None = Field(None, max_length=MAX_LIST, description="Sensor profiles")
    classifiers: list[Name] | None = Field(
        None, max_length=8, description="Trained classifiers with thresholds, e.g. ponds > 0.8; all must hold"
    )


class Filters(ItemFilters):
    """Filters for items, and a query."""

    q: str | Annotated[list[str], Field(max_length=MAX_TERMS)] | None = Field(
        None, description="Description of the place; use a list or commas for alternatives"
    )
    semantic: Semantic | None = Field(
        None, description="A semantic search with several parts; cannot be combined with q"
    )


class SearchBody(Filters):
    """Item Search with semantic search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"bbox": [12.5, 51.5, 14.5, 52.5], "limit": 5},
                {"q": "a lake surrounded by fields", "datetime": "2015-01-01T00:00:00Z/..", "limit": 5},
            ]
        }
    )

    limit: Annotated[int, AfterValidator(_bounded)] = Field(
        10, ge=1, description="Maximum number of items, reduced to the server's limit if it is larger"
    )
    token: str | None = Field(
        None, max_length=_TOKEN_CHARS, description="Page token, from the `next` link of the previous page"
    )
    sortby: list[Sort] | None = Field(None, max_length=MAX_KEYS)
    fields: FieldsBody = Field(default_factory=FieldsBody)


class SaveSearchBody(Filters):
    """A search to save."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a river beside fields", "title": "rivers", "hits": 200}]}
    )

    title: str = Field("", max_length=200, description="Title; default: the search itself")
    hits: int = Field(1000, ge=1, le=10_000, description="Maximum number of hits of the search")

    def to_save(self, question: Question) -> dict[str, Any]:
        """Return the request for saving, with images as vectors."""
        return echo(self, question.saved_form, exclude={"title", "hits"})


def echo(body: Filters, semantic: Semantic | None, exclude: set[str] | None = None) -> dict[str, Any]:
    """Return a body as JSON values, with its query replaced.

    Args:
        body: The body.
        semantic: Replaces the member `semantic`, if it is set.
        exclude: Members to leave out.
    """
    again = body.model_dump(mode="json", exclude_unset=True, by_alias=True, exclude={"semantic", *(exclude or ())})
    if body.semantic is not None and semantic is not None:
        again["semantic"] = semantic.model_dump(mode="json", exclude_defaults=True)
    return again


def request_of(values: Mapping[str, Any]) -> SearchBody:
    """Validate a search request.

    Args:
        values: Members of `SearchBody`; images may be bytes.

    Raises:
        QueryError: A member is unknown or has an invalid value.
    """
    return validated(SearchBody, values)


def search(searcher: Searcher, request: SearchBody) -> ResultPage:
    """Return a page of results.

    Args:
        searcher: Archive and model.
        request: The request; without `q` and `semantic`, items are listed.

    Raises:
        QueryError: The request, its filter or its token is invalid.
        NotFoundError: An example tile is not in the archive.
    """
    question = question_of(searcher, request.q, request.semantic)
    return answer(searcher.archive, query_of_body(request, searcher.max_hits), question)


def query_of_body(body: ItemFilters, max_hits: int) -> ItemQuery:
    """Convert a body to a query.

    Args:
        body: The body.
        max_hits: Maximum number of items per page.

    Raises:
        QueryError: A member is invalid, or two contradict each other.
    """
    more: dict[str, Any] = {}
    if isinstance(body, SearchBody):
        more = {
            "limit": body.limit,
            "token": body.token,
            "order": keys_of((key.field, key.direction == "desc") for key in body.sortby or ()),
            "fields": body.fields.fields() if "fields" in body.model_fields_set else None,
        }
    return item_query(
        max_hits,
        collections=body.collections,
        ids=body.ids,
        box=None if body.bbox is None else LonLatBox.from_sequence(body.bbox),
        intersects=body.intersects,
        datetime=body.datetime,
        filter=cql2_filter(body.filter, body.filter_lang),
        sensors=body.sensors,
        classifiers=body.classifiers,
        **more,
    )
