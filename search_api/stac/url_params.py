"""Query parameters of the STAC routes, equivalent to the members of the same name in request bodies."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from bandsight.attributes.filters import MAX_DATETIME_CHARS
from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.search.items import MAX_CHARS as _TOKEN_CHARS
from bandsight.search.items import Fields, ItemQuery
from bandsight.search.limits import MAX_LIST
from bandsight.search.listing import parse_sortby
from bandsight.search.request import CRS84, Crs, Language, cql2_filter, item_query
from search_api.settings import ApiSettings

_DATETIME_EXAMPLE = "2017-01-01T00:00:00Z/.."
_MAX_CHARS = 20_000


@dataclass(kw_only=True)
class ItemListParams:
    """Query parameters of a list of items."""

    bbox: Annotated[
        str | None, Query(max_length=1000, description="west,south,east,north", examples=["12.5,51.5,14.5,52.5"])
    ] = None
    datetime: Annotated[
        str | None,
        Query(
            max_length=MAX_DATETIME_CHARS,
            description="RFC 3339 date-time or interval, a year, or a month",
            examples=[_DATETIME_EXAMPLE],
        ),
    ] = None
    limit: Annotated[
        int,
        Query(ge=1, description="Maximum number of items per page, reduced to the server's limit if it is larger"),
    ] = 10
    token: Annotated[str | None, Query(max_length=_TOKEN_CHARS, description="Page token, from the `next` link")] = None
    sortby: Annotated[
        str | None,
        Query(max_length=_MAX_CHARS, description="Properties to sort by, separated by commas; - for descending order"),
    ] = None
    fields: Annotated[
        str | None,
        Query(max_length=_MAX_CHARS, description="Item fields to include, separated by commas; - to exclude a field"),
    ] = None
    filter: Annotated[str | None, Query(description="CQL2 expression, in the language given by filter-lang")] = None
    filter_lang: Annotated[Language, Query(alias="filter-lang")] = "cql2-text"
    filter_crs: Annotated[Crs, Query(alias="filter-crs")] = CRS84

    def query(self, settings: ApiSettings, **more: Any) -> ItemQuery:
        """Return the query.

        Raises:
            QueryError: A parameter is invalid, or two contradict each other.
        """
        return item_query(
            settings.max_hits,
            box=None if self.bbox is None else LonLatBox.from_text(self.bbox),
            datetime=self.datetime,
            limit=self.limit,
            token=self.token,
            order=() if self.sortby is None else parse_sortby(self.sortby),
            fields=Fields() if self.fields is None else Fields.parse(self.fields),
            filter=cql2_filter(self.filter, self.filter_lang),
            **more,
        )


@dataclass(kw_only=True)
class FilterParams(ItemListParams):
    """Query parameters of Item Search, without a text query."""

    collections: Annotated[
        str | None, Query(max_length=_MAX_CHARS, description="Names of collections, separated by commas")
    ] = None
    ids: Annotated[str | None, Query(max_length=_MAX_CHARS, description="Item ids, separated by commas")] = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry; cannot be combined with bbox")] = None
    sensors: Annotated[str | None, Query(max_length=_MAX_CHARS, description="Sensor profiles, separated by commas")] = (
        None
    )

    def query(self, settings: ApiSettings, **more: Any) -> ItemQuery:
        """Return the query; see `ItemListParams`."""
        return super().query(
            settings,
            collections=_names(self.collections, "collections"),
            ids=_names(self.ids, "ids"),
            intersects=_geometry(self.intersects),
            sensors=_names(self.sensors, "sensors"),
            **more,
        )


@dataclass(kw_only=True)
class ItemSearchParams(FilterParams):
    """Query parameters of Item Search."""

    q: Annotated[
        str | None,
        Query(description="Description of the place; commas separate alternatives", examples=["a lake"]),
    ] = None


@dataclass(kw_only=True)
class QuestionParams:
    """Query parameters of maps: a text query and filters. `bbox` has a different meaning there."""

    q: Annotated[str, Query(description="Description of the place; commas separate alternatives", examples=["a lake"])]
    collections: Annotated[
        str | None, Query(max_length=_MAX_CHARS, description="Names of collections, separated by commas")
    ] = None
    datetime: Annotated[
        str | None,
        Query(
            max_length=MAX_DATETIME_CHARS,
            description="RFC 3339 date-time or interval, a year, or a month",
            examples=[_DATETIME_EXAMPLE],
        ),
    ] = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry")] = None
    sensors: Annotated[str | None, Query(max_length=_MAX_CHARS, description="Sensor profiles, separated by commas")] = (
        None
    )
    filter: Annotated[str | None, Query(description="CQL2 expression, in the language given by filter-lang")] = None
    filter_lang: Annotated[Language, Query(alias="filter-lang")] = "cql2-text"

    def query(self, settings: ApiSettings) -> ItemQuery:
        """Return the filters.

        Raises:
            QueryError: A parameter is invalid.
        """
        return item_query(
            settings.max_hits,
            collections=_names(self.collections, "collections"),
            datetime=self.datetime,
            intersects=_geometry(self.intersects),
            sensors=_names(self.sensors, "sensors"),
            filter=cql2_filter(self.filter, self.filter_lang),
        )


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
        raise QueryError(f"intersects: found {text[:60]!r}, which is not JSON; need a GeoJSON geometry") from error
    if not isinstance(value, dict):
        raise QueryError(f"intersects: found {text[:60]!r}; need a GeoJSON geometry")
    return value
