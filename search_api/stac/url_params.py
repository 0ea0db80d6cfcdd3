"""Parameters in URLs: what they ask for is what the members of a body ask for."""

import inspect
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from bandsight.attributes import datetimes as times
from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.search.items import MAX_CHARS as _TOKEN_CHARS
from bandsight.search.items import Fields, ItemQuery
from bandsight.search.listing import parse_sortby
from bandsight.search.question import MAX_LIST
from bandsight.search.request import CRS84, Crs, Language, cql2_filter, item_query
from search_api.settings import ApiSettings

_EXAMPLE = "2017-01-01T00:00:00Z/.."
_TEXT_CHARS = 20_000


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
    filter_crs: Annotated[Crs, Query(alias="filter-crs")] = CRS84

    def query(self, settings: ApiSettings, **more: Any) -> ItemQuery:
        """Return what the parameters ask.

        Raises:
            QueryError: A parameter cannot be read, or two contradict each other.
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
        return item_query(
            settings.max_hits,
            collections=_names(self.collections, "collections"),
            datetime=self.datetime,
            intersects=_geometry(self.intersects),
            sensors=_names(self.sensors, "sensors"),
            filter=cql2_filter(self.filter, self.filter_lang),
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
