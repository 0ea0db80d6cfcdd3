"""Requests become questions: the parameters of a URL and the members of a body mean the same."""

import inspect
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.search.listing import Key
from search_api.limits import MAX_KEYS, MAX_TERMS, check_vertices
from search_api.meaning.question import Question
from search_api.meaning.schemas import Semantic
from search_api.schemas import MAX_ID, MAX_LIST
from search_api.settings import ApiSettings
from search_api.stac import filter_language, times
from search_api.stac.fields import Fields
from search_api.stac.query import ItemQuery
from search_api.stac.sorting import keys_of, parse_sortby
from search_api.stac.token import MAX_CHARS as _TOKEN_CHARS

Crs = Literal["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
_CRS84: Crs = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EXAMPLE = "2017-01-01T00:00:00Z/.."
Language = Literal["cql2-text", "cql2-json"]
_NAME_CHARS, _TEXT_CHARS = 1000, 20_000
Name = Annotated[str, Field(min_length=1, max_length=_NAME_CHARS)]


def _said_again(limit: int) -> int:
    """Return a limit as the link to the next page can say it: JSON has no larger integers there."""
    return min(limit, MAX_ID)


class Sort(BaseModel):
    """One key of an order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    field: Name = Field(description="A property, id, datetime or collection", examples=["datetime"])
    direction: Literal["asc", "desc"] = "asc"


class FieldsBody(BaseModel):
    """Which parts of an item are shown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include: list[Name] | None = Field(
        default=None, max_length=100, description="Only these; empty for an Item's least"
    )
    exclude: list[Name] | None = Field(default=None, max_length=100)

    def fields(self) -> Fields:
        """Return what these names mean.

        Raises:
            QueryError: There are too many.
        """
        # `include` that is there and empty: a whole item's least, as the fields extension has it.
        least = "include" in self.model_fields_set and not self.include and bool(self.exclude)
        return Fields.of(self.include or (), self.exclude or (), of_default=least)


class ItemFilters(BaseModel):
    """Which items are asked for; all conditions must hold."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False)

    collections: list[Name] | None = Field(None, max_length=MAX_LIST)
    ids: list[Name] | None = Field(None, max_length=MAX_LIST)
    bbox: list[float] | None = Field(
        None, min_length=4, max_length=6, description="west, south, east, north in degrees; west > east crosses ±180°"
    )
    intersects: dict[str, Any] | None = Field(None, description="GeoJSON geometry; not together with bbox")
    datetime: str | None = Field(
        None, max_length=times.MAX_CHARS, description="RFC 3339 instant, or interval start/end with .. for an open end"
    )
    filter: dict[str, Any] | bool | str | None = Field(None, description="CQL2, as filter-lang says")
    filter_lang: Language = Field("cql2-json", alias="filter-lang")
    filter_crs: Crs = Field(_CRS84, alias="filter-crs")
    sensors: list[Name] | None = Field(None, max_length=MAX_LIST, description="Sensor profiles")


class Filters(ItemFilters):
    """Which items are asked for, and by which question."""

    q: str | Annotated[list[str], Field(max_length=MAX_TERMS)] | None = Field(
        None, description="What the place looks like; a list, or commas, for alternatives"
    )
    semantic: Semantic | None = Field(None, description="A question of many parts, by meaning; not together with q")


class SearchBody(Filters):
    """Item Search, with search by meaning."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"bbox": [12.5, 51.5, 14.5, 52.5], "limit": 5},
                {"q": "a lake surrounded by fields", "datetime": "2015-01-01T00:00:00Z/..", "limit": 5},
            ]
        }
    )

    limit: Annotated[int, AfterValidator(_said_again)] = Field(
        10, ge=1, description="Most items; more than the server's most counts as that"
    )
    token: str | None = Field(None, max_length=_TOKEN_CHARS, description="From the link `next` of a former page")
    sortby: list[Sort] | None = Field(None, max_length=MAX_KEYS)
    fields: FieldsBody = Field(default_factory=FieldsBody)


class RegisterBody(Filters):
    """A search to keep."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a river beside fields", "title": "rivers", "hits": 200}]}
    )

    title: str = Field("", max_length=200, description="For people; the question when empty")
    hits: int = Field(1000, ge=1, le=10_000, description="Most hits that the search has")

    def asked(self, question: Question) -> dict[str, Any]:
        """Return what is kept of it: its pictures as vectors."""
        return said_again(self, question.kept, exclude={"title", "hits"})


def said_again(body: Filters, semantic: Semantic | None, exclude: set[str] | None = None) -> dict[str, Any]:
    """Return a body as JSON values, with another form of its question.

    Args:
        body: The body.
        semantic: Stands in the place of its member `semantic`, if it has one.
        exclude: Members to leave out.
    """
    again = body.model_dump(mode="json", exclude_unset=True, by_alias=True, exclude={"semantic", *(exclude or ())})
    if body.semantic is not None and semantic is not None:
        again["semantic"] = semantic.model_dump(mode="json", exclude_defaults=True)
    return again


def take_pictures(values: dict[str, Any], pictures: list[dict[str, Any]]) -> None:
    """Put a form's pictures into a search's body, as positive examples.

    Raises:
        QueryError: The body has a question of another kind.
    """
    semantic = values.setdefault("semantic", {})
    positive = semantic.setdefault("positive", []) if isinstance(semantic, dict) else None
    if not isinstance(positive, list):
        raise QueryError("semantic: found no object with a list `positive`; need one, or none, beside files")
    positive += [{"image": picture} for picture in pictures]


def query_of_body(settings: ApiSettings, body: ItemFilters) -> ItemQuery:
    """Return what a body asks.

    Raises:
        QueryError: A member cannot be read, or two contradict each other.
    """
    more: dict[str, Any] = {}
    if isinstance(body, SearchBody):
        more = {
            "limit": body.limit,
            "token": body.token,
            "order": keys_of((key.field, key.direction == "desc") for key in body.sortby or ()),
            "fields": body.fields.fields(),
        }
    return _query(
        settings,
        collections=body.collections,
        ids=body.ids,
        box=None if body.bbox is None else LonLatBox.from_sequence(body.bbox),
        intersects=body.intersects,
        datetime=body.datetime,
        filter=_filter(body.filter, body.filter_lang),
        sensors=body.sensors,
        **more,
    )


@dataclass(kw_only=True)
class ListUrl:
    """Parameters of a list of items."""

    bbox: Annotated[
        str | None, Query(max_length=1000, description="west,south,east,north", examples=["12.5,51.5,14.5,52.5"])
    ] = None
    datetime: Annotated[
        str | None, Query(max_length=times.MAX_CHARS, description="RFC 3339 instant or interval", examples=[_EXAMPLE])
    ] = None
    limit: Annotated[int, Query(ge=1, description="Most items; more than the server's most counts as that")] = 10
    token: Annotated[str | None, Query(max_length=_TOKEN_CHARS, description="From the link `next`")] = None
    sortby: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Properties, - for greatest first")] = None
    fields: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Parts of items, - to leave out")] = None
    filter: Annotated[str | None, Query(description="CQL2, as filter-lang says")] = None
    filter_lang: Annotated[Language, Query(alias="filter-lang")] = "cql2-text"
    filter_crs: Annotated[Crs, Query(alias="filter-crs")] = _CRS84

    def query(self, settings: ApiSettings, **more: Any) -> ItemQuery:
        """Return what the parameters ask.

        Raises:
            QueryError: A parameter cannot be read, or two contradict each other.
        """
        return _query(
            settings,
            box=None if self.bbox is None else LonLatBox.from_text(self.bbox),
            datetime=self.datetime,
            limit=self.limit,
            token=self.token,
            order=() if self.sortby is None else parse_sortby(self.sortby),
            fields=Fields() if self.fields is None else Fields.parse(self.fields),
            filter=_filter(self.filter, self.filter_lang),
            **more,
        )


@dataclass(kw_only=True)
class LikeUrl(ListUrl):
    """Parameters of Item Search where the question is said otherwise."""

    collections: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Names, separated by commas")] = None
    ids: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Item ids, separated by commas")] = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry; not together with bbox")] = None
    sensors: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Sensor profiles, by commas")] = None

    def query(self, settings: ApiSettings, **more: Any) -> ItemQuery:
        """Return what the parameters ask; see `ListUrl`."""
        return super().query(
            settings,
            collections=_names(self.collections, "collections"),
            ids=_names(self.ids, "ids"),
            intersects=_geometry(self.intersects),
            sensors=_names(self.sensors, "sensors"),
            **more,
        )


@dataclass(kw_only=True)
class SearchUrl(LikeUrl):
    """Parameters of Item Search."""

    q: Annotated[
        str | None, Query(description="What the place looks like; commas for alternatives", examples=["a lake"])
    ] = None


@dataclass(kw_only=True)
class AskedUrl:
    """A question and filters, where nothing is listed: `bbox` is another matter there."""

    q: Annotated[str, Query(description="What the place looks like; commas for alternatives", examples=["a lake"])]
    collections: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Names, separated by commas")] = None
    datetime: Annotated[
        str | None, Query(max_length=times.MAX_CHARS, description="RFC 3339 instant or interval", examples=[_EXAMPLE])
    ] = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry")] = None
    sensors: Annotated[str | None, Query(max_length=_TEXT_CHARS, description="Sensor profiles, by commas")] = None
    filter: Annotated[str | None, Query(description="CQL2, as filter-lang says")] = None
    filter_lang: Annotated[Language, Query(alias="filter-lang")] = "cql2-text"

    def query(self, settings: ApiSettings) -> ItemQuery:
        """Return what the filters ask.

        Raises:
            QueryError: A parameter cannot be read.
        """
        return _query(
            settings,
            collections=_names(self.collections, "collections"),
            datetime=self.datetime,
            intersects=_geometry(self.intersects),
            sensors=_names(self.sensors, "sensors"),
            filter=_filter(self.filter, self.filter_lang),
        )


def read_at_once(parameters: type) -> Any:
    """Return the dependency that a dataclass of parameters is, without a change of threads.

    As itself it would be made in a worker thread, though nothing in it waits; waking one costs a tenth of an answer.
    """

    async def made(**values: Any) -> Any:
        return parameters(**values)

    made.__signature__ = inspect.signature(parameters)  # type: ignore[attr-defined]
    return Depends(made)


async def reject_unknown_params(request: Request) -> None:
    """Refuse parameters that a route does not have, and those that are given twice.

    Raises:
        QueryError: There is one.
    """
    if not request.scope["query_string"]:
        return
    known = {field.alias for field in _flat(request.scope["route"].dependant)}
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "it takes none"
            raise QueryError(f"{name[:60]}: not a parameter of this route; {there}")
        if name in seen:
            raise QueryError(
                f"{name}: found more than once; give it once, with commas between values where it is a list"
            )
        seen.add(name)


def _flat(dependant: Any) -> list[Any]:
    return [*dependant.query_params, *(field for inner in dependant.dependencies for field in _flat(inner))]


def _query(
    settings: ApiSettings,
    *,
    collections: list[str] | None = None,
    ids: list[str] | None = None,
    box: LonLatBox | None = None,
    intersects: dict[str, Any] | None = None,
    datetime: str | None = None,
    filter: Any = None,  # noqa: A002  (STAC's name)
    sensors: list[str] | None = None,
    limit: int = 10,
    token: str | None = None,
    order: tuple[Key, ...] = (),
    fields: Fields | None = None,
) -> ItemQuery:
    if box is not None and intersects is not None:
        raise QueryError("bbox, intersects: found both; pass one of them")
    area = None if box is None else Area.from_box(box)
    if intersects is not None:
        check_vertices(intersects, "intersects")
        area = Area.from_geojson(intersects)
    start, end = (None, None) if datetime is None else times.interval(datetime)
    said = {
        "collections": sorted(set(collections or ())),
        "ids": sorted(set(ids or ())),
        "area": None if area is None else area.key.hex(),
        "datetime": [None if when is None else when.isoformat() for when in (start, end)],
        "filter": filter,
        "sensors": sorted(set(sensors or ())),
        "order": [[key.name, key.descending] for key in order],
    }
    return ItemQuery(
        wanted=Filter(area=area, start=start, end=end, sensors=tuple(sensors or ())),
        collections=tuple(collections or ()),
        ids=tuple(ids or ()),
        filter=filter,
        limit=min(limit, settings.max_hits),
        token=token,
        order=order,
        fields=fields or Fields(),
        said=said,
    )


def _filter(value: Any, language: Language) -> Any:
    """Return CQL2 JSON of a filter in either language."""
    if value is None:
        return None
    if language == "cql2-json":
        return filter_language.parse_json(value)
    if not isinstance(value, str):
        raise QueryError("filter: found JSON, but filter-lang says cql2-text; drop filter-lang, or pass text")
    return filter_language.parse_text(value)


def _names(text: str | None, name: str) -> list[str] | None:
    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise QueryError(f"{name}: found an empty name in {text[:60]!r}; need names separated by commas")
    if len(names) > MAX_LIST:
        raise QueryError(f"{name}: found {len(names)}; at most {MAX_LIST} are allowed")
    return names


def _geometry(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"intersects: found {text[:60]!r}, no JSON; need a GeoJSON geometry") from error
    if not isinstance(value, dict):
        raise QueryError(f"intersects: found {text[:60]!r}; need a GeoJSON geometry")
    return value
