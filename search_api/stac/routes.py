"""Items over STAC API, of the whole archive and, under another prefix, of each saved search.

Query parameters are equivalent to the members of the same name in request bodies.
"""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from bandsight.archive import Archive
from bandsight.attributes.fields import tiles_collection
from bandsight.attributes.filters import MAX_DATETIME_CHARS
from bandsight.errors import NotFoundError, QueryError
from bandsight.geo.box import LonLatBox
from bandsight.search.item_fields import Fields
from bandsight.search.items import (
    MAX_CHARS,
    ItemQuery,
    Language,
    ResultPage,
    answer,
    collection_names,
    cql2_filter,
    item_query,
    one_item,
)
from bandsight.search.limits import MAX_LIST
from bandsight.search.listing import parse_sortby
from bandsight.search.question import Question, Semantic, question_of
from bandsight.search.ranking import Ranking
from bandsight.search.request import CRS84, Crs, SearchBody, echo, query_of_body
from bandsight.search.saved import SavedRanking
from bandsight.stac.collection_stats import Holding, of_hits
from bandsight.stac.items import Root, item_collection, item_of, link
from bandsight.stac.media_types import GEOJSON
from search_api.dependencies import reject_unknown_params, server_url
from search_api.problem_schema import problems
from search_api.request_bodies import add_images, body_of, openapi_body
from search_api.responses import json_response
from search_api.service import Service
from search_api.settings import ApiSettings
from search_api.stac import schemas
from search_api.stac.state import StacState

_MAX_NAME = 1000
CollectionId = Annotated[str, Path(max_length=_MAX_NAME, description="Name of a collection")]
ItemId = Annotated[str, Path(max_length=_MAX_NAME, description="Id of an item: the number of a tile, or scene-N")]
router = APIRouter(tags=["STAC"], dependencies=[Depends(reject_unknown_params)])
MAX_PARAM_CHARS = 20_000
DatetimeParam = Annotated[
    str | None,
    Query(
        max_length=MAX_DATETIME_CHARS,
        description="RFC 3339 date-time or interval, a year, or a month",
        examples=["2017-01-01T00:00:00Z/.."],
    ),
]
FilterParam = Annotated[str | None, Query(description="CQL2 expression, in the language given by filter-lang")]
FilterLangParam = Annotated[Language, Query(alias="filter-lang")]
CollectionsParam = Annotated[
    str | None, Query(max_length=MAX_PARAM_CHARS, description="Names of collections, separated by commas")
]
SensorsParam = Annotated[
    str | None, Query(max_length=MAX_PARAM_CHARS, description="Sensor profiles, separated by commas")
]
_LISTS = schemas.success(GEOJSON, schemas.ITEMS)


@dataclass(kw_only=True)
class ItemListParams:
    """Query parameters of a list of items."""

    bbox: Annotated[
        str | None, Query(max_length=1000, description="west,south,east,north", examples=["12.5,51.5,14.5,52.5"])
    ] = None
    datetime: DatetimeParam = None
    limit: Annotated[
        int,
        Query(ge=1, description="Maximum number of items per page, reduced to the server's limit if it is larger"),
    ] = 10
    token: Annotated[str | None, Query(max_length=MAX_CHARS, description="Page token, from the `next` link")] = None
    sortby: Annotated[
        str | None,
        Query(
            max_length=MAX_PARAM_CHARS,
            description="Properties to sort by, separated by commas; - for descending order",
        ),
    ] = None
    fields: Annotated[
        str | None,
        Query(
            max_length=MAX_PARAM_CHARS, description="Item fields to include, separated by commas; - to exclude a field"
        ),
    ] = None
    filter: FilterParam = None
    filter_lang: FilterLangParam = "cql2-text"
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
            fields=None if self.fields is None else Fields.parse(self.fields),
            filter=cql2_filter(self.filter, self.filter_lang),
            **more,
        )


@dataclass(kw_only=True)
class FilterParams(ItemListParams):
    """Query parameters of Item Search, without a text query."""

    collections: CollectionsParam = None
    ids: Annotated[str | None, Query(max_length=MAX_PARAM_CHARS, description="Item ids, separated by commas")] = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry; cannot be combined with bbox")] = None
    sensors: SensorsParam = None

    def query(self, settings: ApiSettings, **more: Any) -> ItemQuery:
        """Return the query; see `ItemListParams`."""
        return super().query(
            settings,
            collections=names_of(self.collections, "collections"),
            ids=names_of(self.ids, "ids"),
            intersects=geometry_of(self.intersects),
            sensors=names_of(self.sensors, "sensors"),
            **more,
        )


@dataclass(kw_only=True)
class ItemSearchParams(FilterParams):
    """Query parameters of Item Search."""

    q: Annotated[
        str | None,
        Query(description="Description of the place; commas separate alternatives", examples=["a lake"]),
    ] = None


def names_of(text: str | None, name: str) -> list[str] | None:
    """Return the names in a query parameter, separated by commas.

    Raises:
        QueryError: One is empty, or there are too many.
    """
    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise QueryError(f"{name}: found an empty name in {text[:60]!r}; need names separated by commas")
    if len(names) > MAX_LIST:
        raise QueryError(f"{name}: found {len(names)}; at most {MAX_LIST} are allowed")
    return names


def geometry_of(text: str | None) -> dict[str, Any] | None:
    """Return the GeoJSON geometry in the query parameter `intersects`.

    Raises:
        QueryError: It is not a JSON object.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"intersects: found {text[:60]!r}, which is not JSON; need a GeoJSON geometry") from error
    if not isinstance(value, dict):
        raise QueryError(f"intersects: found {text[:60]!r}; need a GeoJSON geometry")
    return value


def inline_depends(parameters: type) -> Any:
    """Return a dependency that builds a dataclass of query parameters on the event loop.

    FastAPI would build the dataclass in a worker thread, although this does not block; waking a thread takes a tenth of
    the response time.
    """

    async def build(**values: Any) -> Any:
        return parameters(**values)

    build.__signature__ = inspect.signature(parameters)  # type: ignore[attr-defined]
    return Depends(build)


class Api:
    """Context of a route: the archive, its API root, and the ranking of items."""

    def __init__(self, request: Request, root: Root, saved: SavedRanking | None = None) -> None:
        self.request, self.root, self.saved = request, root, saved
        self.service: Service = request.app.state.service
        self.state: StacState = request.app.state.stac

    @property
    def archive(self) -> Archive:
        """The archive."""
        return self.service.archive

    def names(self) -> list[str]:
        """Return the collections of this API; for a saved search, those of its hits."""
        if self.saved is not None:
            return sorted({hit.scene.collection for hit in self.saved.hits()})
        return collection_names(self.archive)

    def held(self) -> dict[str, Holding]:
        """Return the statistics of each tile collection; for a saved search, of its hits only."""
        return self.state.holdings.of(self.archive) if self.saved is None else of_hits(self.saved.hits())

    def holding(self, name: str) -> Holding:
        """Return the statistics of a collection.

        Raises:
            NotFoundError: The collection does not exist in this API.
        """
        own = name if self.root.search is not None else tiles_collection(name) or name
        held = self.held().get(own)
        if held is None:
            raise self.no_collection(name)
        return held

    def need_collection(self, name: str) -> None:
        """Check that a collection exists.

        For a saved search, it may have no hits, because a commit may remove the last one during paging.

        Raises:
            NotFoundError: The collection does not exist.
        """
        if name not in (self.names() if self.root.search is None else self.archive.scene_columns().collection_names()):
            raise self.no_collection(name)

    def no_collection(self, name: str) -> NotFoundError:
        """Return the error for an unknown collection."""
        names = self.names()
        none = "this archive has none yet" if self.root.search is None else "this search has no hits"
        there = f"available: {', '.join(names[:20])}" if names else none
        return NotFoundError(f"collection_id: found {name[:60]!r}; {there}")

    def question(self, q: str | list[str] | None, semantic: Semantic | None) -> Question | None:
        """Return the resolved semantic query, or None if there is none.

        Raises:
            QueryError: There are two queries, or one for a saved search.
        """
        given = [name for name, value in (("q", q), ("semantic", semantic)) if value is not None]
        if given and self.saved is not None:
            raise QueryError(f"{given[0]}: a saved search has a fixed order; narrow it with filters, or POST /search")
        return question_of(self.service.searcher, q, semantic)

    def item(self, collection: str, item: str) -> dict[str, Any]:
        """Return an item of a collection.

        Raises:
            NotFoundError: The collection has no such item.
        """
        row = one_item(self.archive, collection, item, self.ranking(None))
        return item_of(row, self.root, self.archive.model, self.archive.generation)

    def ranking(self, question: Question | None) -> Ranking | None:
        """Return the ranking by a query or a saved search, or None for a listing."""
        return question if self.saved is None else self.saved


async def api_of(request: Request) -> Api:
    """Return the API of a request: of the saved search in the path, or of the whole archive."""
    search_id = request.path_params.get("search_id")
    if search_id is None:
        return Api(request, Root(server=server_url(request)))
    return await run_in_threadpool(_api_of_search, request, search_id)


def _api_of_search(request: Request, search_id: str) -> Api:
    service: Service = request.app.state.service
    saved = service.archive.saved_searches.get(search_id)
    # An invalid saved request is an error on every page.
    ranking = SavedRanking(service.searcher, request.app.state.stac.runs, saved)
    return Api(request, Root(server=server_url(request), search=saved), ranking)


ApiDep = Annotated[Api, Depends(api_of)]


@router.get(
    "/collections/{collection_id}/items", responses=_LISTS | problems(400, 404), summary="Items of a collection"
)
def items(
    api: ApiDep,
    collection_id: CollectionId,
    asked: Annotated[ItemListParams, inline_depends(ItemListParams)],
    collections: Annotated[
        str | None, Query(max_length=_MAX_NAME, description="The name of this collection; pystac-client sends it")
    ] = None,
) -> Response:
    """Return a page of a collection's items."""
    api.need_collection(collection_id)
    if collections not in {None, collection_id}:
        raise QueryError(f"collections: found {str(collections)[:60]!r} in a listing of {collection_id}; use /search")
    query = asked.query(api.service.settings, collections=[collection_id])
    here = api.root.at("collections", collection_id)
    more = [link("collection", here), link("parent", here)]
    return page(api, query, api.ranking(None), f"{here}/items", more)


@router.get(
    "/collections/{collection_id}/items/{item_id}",
    responses=schemas.success(GEOJSON, schemas.ITEM) | problems(400, 404),
    summary="Item",
)
def item(api: ApiDep, collection_id: CollectionId, item_id: ItemId) -> Response:
    """Return a tile or a scene."""
    api.need_collection(collection_id)
    return json_response(api.item(collection_id, item_id), GEOJSON)


@router.get("/search", responses=_LISTS | problems(400, 404), summary="Item Search")
def search(api: ApiDep, asked: Annotated[ItemSearchParams, inline_depends(ItemSearchParams)]) -> Response:
    """Return a page of items; with `q`, tiles ranked by how well they match."""
    ranking = api.ranking(api.question(asked.q, None))
    return page(api, asked.query(api.service.settings), ranking, api.root.at("search"))


@router.post(
    "/search",
    responses=_LISTS | problems(400, 404, 413, 415, 422, 503),
    summary="Item Search",
    openapi_extra=openapi_body(SearchBody),
)
def search_by_post(api: ApiDep, body: Annotated[SearchBody, Depends(body_of(SearchBody, add_images))]) -> Response:
    """Return a page of items; with `q` or `semantic`, tiles ranked by how well they match."""
    question = api.question(body.q, body.semantic)
    again = echo(body, body.semantic if question is None else question.page_form)
    query = query_of_body(body, api.service.settings.max_hits)
    return page(api, query, api.ranking(question), api.root.at("search"), body=again)


def page(
    api: Api,
    query: ItemQuery,
    ranking: Ranking | None,
    here: str,
    more: Sequence[dict[str, Any]] = (),
    body: dict[str, Any] | None = None,
) -> Response:
    """Return a page of items.

    Args:
        api: The API.
        query: The query.
        ranking: The ranking by meaning, if any.
        here: The page's URL without parameters.
        more: Additional links.
        body: Request body for the next page; None to use URL parameters.
    """
    found = answer(api.archive, query, ranking)
    made = item_collection(found, api.archive.model, api.root, query.fields)
    made["links"] = [link("self", _with_params(api.request, here), GEOJSON), link("root", api.root.url), *more]
    if found.next is not None:
        made["links"].append(_next(api.request, here, found, body))
    return json_response(made, GEOJSON)


def _next(request: Request, here: str, found: ResultPage, body: dict[str, Any] | None) -> dict[str, Any]:
    if body is None:
        asked = urlencode({**request.query_params, "token": found.next})
        return link("next", f"{here}?{asked}", GEOJSON, method="GET")
    return link("next", here, GEOJSON, method="POST", body=body | {"token": found.next}, merge=False)


def _with_params(request: Request, here: str) -> str:
    own = request.scope["query_string"].decode("latin-1")
    return f"{here}?{own}" if own else here
