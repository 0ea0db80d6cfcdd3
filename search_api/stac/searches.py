"""Routes of saved searches: save, list, delete, and a STAC API for the hits of each."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.archive.saved_searches import SavedSearches
from bandsight.attributes.fields import rfc3339
from bandsight.catalog.saved_searches import SavedSearch
from bandsight.search.request import SaveSearchBody
from bandsight.search.saved import save
from bandsight.stac import documents
from bandsight.stac.items import Root, link
from bandsight.stac.media_types import GEOJSON, JSON
from search_api.dependencies import reject_unknown_params, server_url
from search_api.problem_schema import problems
from search_api.request_bodies import add_images, body_of, openapi_body
from search_api.responses import json_response
from search_api.service import Service
from search_api.stac import collection_routes, routes, schemas
from search_api.stac.routes import ApiDep

router = APIRouter(tags=["Saved searches"], dependencies=[Depends(reject_unknown_params)])
SearchId = Annotated[str, Path(max_length=100, description="Id of a saved search")]
# Maximum size of a page of the list.
_MOST_LISTED = 100
_MOST_BYTES = 2**19
_SEARCH: dict[str, Any] = {"type": "object", "required": ["id", "title", "created", "hits", "search", "links"]}
_LIST: dict[str, Any] = {
    "type": "object",
    "required": ["searches", "links"],
    "properties": {"searches": {"type": "array", "items": _SEARCH}},
}


async def _saved_searches(request: Request) -> SavedSearches:
    service: Service = request.app.state.service
    return service.archive.saved_searches


SearchesDep = Annotated[SavedSearches, Depends(_saved_searches)]


async def _search_id(search_id: SearchId) -> None:
    """Declare the path parameter, which `api_of` reads."""


_of_search = APIRouter(prefix="/searches/{search_id}", dependencies=[Depends(_search_id)])


@router.post(
    "/searches",
    status_code=201,
    responses=schemas.success(JSON, _SEARCH, 201) | problems(400, 404, 413, 415, 422, 503),
    summary="Save a search",
    openapi_extra=openapi_body(SaveSearchBody),
)
def save_search(
    request: Request, body: Annotated[SaveSearchBody, Depends(body_of(SaveSearchBody, add_images))]
) -> Response:
    """Save a semantic search and return the root of the STAC API whose items are its hits."""
    service: Service = request.app.state.service
    shown = _document(save(service.searcher, request.app.state.stac.runs, body), server_url(request))
    response = json_response(shown, status=201)
    response.headers["Location"] = shown["links"][0]["href"]
    return response


@router.get("/searches", responses=schemas.success(JSON, _LIST) | problems(400), summary="Saved searches")
def saved_searches(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED, description="Maximum number of searches")] = _MOST_LISTED,
    before: Annotated[
        str | None, Query(max_length=100, description="Id of the last search on the previous page")
    ] = None,
) -> Response:
    """Return a page of the saved searches, newest first."""
    service: Service = request.app.state.service
    server = server_url(request)
    found = service.archive.saved_searches.newest(limit + 1, before)
    limit = _fitting(found[:limit])
    links = [link("self", f"{server}/searches"), link("root", f"{server}/")]
    if len(found) > limit:
        links.append(link("next", f"{server}/searches?{urlencode({'limit': limit, 'before': found[limit - 1].id})}"))
    return json_response({"searches": [_document(one, server) for one in found[:limit]], "links": links})


@router.delete(
    "/searches/{search_id}", status_code=204, responses=problems(400, 403, 404), summary="Delete a saved search"
)
def delete(request: Request, search_id: SearchId) -> Response:
    """Delete a saved search and its API."""
    service: Service = request.app.state.service
    service.archive.saved_searches.delete(search_id)
    return Response(status_code=204)


@_of_search.get(
    "/", responses=schemas.success(JSON, schemas.CATALOG) | problems(400, 404), summary="Landing page of a saved search"
)
@_of_search.get(
    "", responses=schemas.success(JSON, schemas.CATALOG) | problems(400, 404), summary="Landing page of a saved search"
)
def landing(api: ApiDep) -> Response:
    """Return the landing page of the STAC API whose items are the search's hits."""
    return json_response(documents.landing_page(api.root, api.names()))


_of_search.include_router(collection_routes.router)
_of_search.include_router(routes.router)
router.include_router(_of_search)


def _fitting(searches: Sequence[SavedSearch]) -> int:
    """Return the number of searches that fit on a page, because requests may be large."""
    size = 0
    for count, search in enumerate(searches):
        size += len(orjson.dumps(search.request))
        if size > _MOST_BYTES and count:
            return count
    return len(searches)


def _document(search: SavedSearch, server: str) -> dict[str, Any]:
    root = Root(server=server, search=search)
    return {
        "id": search.id,
        "title": search.title,
        "created": rfc3339(search.created),
        "hits": search.max_hits,
        "search": dict(search.request),
        "links": [
            link("child", root.url, title="STAC API of the hits"),
            link("items", root.at("search"), GEOJSON),
            link("export", root.at("export"), GEOJSON, title="All hits as a file"),
            link("heatmap", root.at("heatmap", "tilejson.json"), title="Heat map tiles"),
            link("root", f"{server}/"),
        ],
    }
