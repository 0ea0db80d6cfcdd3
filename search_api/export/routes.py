"""Routes that export the results of a search, or the current or original hits of a saved search, as a file."""

from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from bandsight.catalog.saved_searches import SavedSearch
from bandsight.errors import QueryError
from bandsight.export.formats import ExportFormat, format_named, formats
from bandsight.export.pages import ResultPages
from bandsight.export.request import DEFAULT_ITEMS, MAX_ITEMS, ExportBody
from bandsight.search.items import ItemQuery
from bandsight.search.request import query_of_body
from bandsight.search.saved import OriginalRanking, original_ids
from bandsight.stac.media_types import JSON
from search_api.dependencies import reject_unknown_params
from search_api.middleware.head import is_head
from search_api.problem_schema import problems
from search_api.request_bodies import add_images, body_of, openapi_body
from search_api.responses import json_response
from search_api.stac import schemas
from search_api.stac.routes import Api, ApiDep
from search_api.stac.searches import SearchesDep, SearchId

GENERATION, SAVED, GONE = "Bandsight-Generation", "Bandsight-Saved-Generation", "Bandsight-Gone"
"""Headers: generation searched, generation at which the search was saved, and number of its original hits that no
longer exist."""
_FORMATS: dict[str, Any] = {
    "type": "object",
    "required": ["formats"],
    "properties": {
        "formats": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "title", "media_type", "suffixes"],
                "properties": {
                    "name": {"type": "string"},
                    "title": {"type": "string"},
                    "media_type": {"type": "string"},
                    "suffixes": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}


Vectors = Annotated[bool, Query(description="Include the vector of each tile as `bandsight:vector`")]


def export_formats() -> Response:
    """Return the export formats, the default first, with media types and file suffixes."""
    rows = [
        {"name": one.name, "title": one.title, "media_type": one.media_type, "suffixes": list(one.suffixes)}
        for one in formats()
    ]
    return json_response({"formats": rows})


def export_router() -> APIRouter:
    """Return the routes, which offer the currently registered formats."""
    router = APIRouter(tags=["Export"], dependencies=[Depends(reject_unknown_params)])
    router.add_api_route(
        "/export-formats",
        export_formats,
        responses=schemas.success(JSON, _FORMATS) | problems(400),
        summary="Export formats",
    )
    _add_search(router)
    _add_saved_search(router)
    return router


def _add_search(router: APIRouter) -> None:
    default = formats()[0].name
    Format = Annotated[str, AfterValidator(_known), _format_query()]  # noqa: N806  (a type)

    @router.post(
        "/search/export",
        responses=_files() | problems(400, 404, 413, 415, 422, 503),
        response_class=Response,
        summary="Export a search",
        openapi_extra=openapi_body(ExportBody),
    )
    def export_search(
        api: ApiDep,
        body: Annotated[ExportBody, Depends(body_of(ExportBody, add_images))],
        format: Format = default,  # noqa: A002  (the parameter's name)
        vectors: Vectors = False,
    ) -> Response:
        """Return all items of a search, up to `limit`, as one file."""
        ranking = api.ranking(api.question(body.q, body.semantic))
        query = query_of_body(body, api.service.settings.max_hits)
        pages = ResultPages(api.archive, query, ranking, api.root, most=body.limit, vectors=vectors)
        return _file(pages, format_named(format), "bandsight", {})


def _add_saved_search(router: APIRouter) -> None:
    default = formats()[0].name
    Format = Annotated[str, AfterValidator(_known), _format_query()]  # noqa: N806  (a type)

    @router.get(
        "/searches/{search_id}/export",
        responses=_files() | problems(400, 404),
        response_class=Response,
        summary="Export a saved search",
    )
    def export_saved_search(
        api: ApiDep,
        searches: SearchesDep,
        search_id: SearchId,
        format: Format = default,  # noqa: A002  (the parameter's name)
        vectors: Vectors = False,
        limit: Annotated[int, Query(ge=1, le=MAX_ITEMS, description="Maximum number of items")] = DEFAULT_ITEMS,
        as_saved: Annotated[
            bool,
            Query(description="Export the hits from when the search was saved, without those that no longer exist"),
        ] = False,
    ) -> Response:
        """Return the hits of a saved search as one file: as they are now, or as they were when it was saved.

        If nothing was committed in between, both are the same. Headers and file give both generations, and how many of
        the original hits no longer exist.
        """
        return _saved_search_file(
            api,
            searches.get(search_id),
            format_named(format),
            limit=limit,
            vectors=vectors,
            as_saved=as_saved,
        )


def _format_query() -> Any:
    """Return the description of the parameter `format`, which lists the registered formats."""
    return Query(
        description=", ".join(one.title for one in formats()),
        json_schema_extra={"enum": [one.name for one in formats()]},
    )


def _saved_search_file(
    api: Api, saved: SavedSearch, chosen: ExportFormat, *, limit: int, vectors: bool, as_saved: bool
) -> Response:
    then = original_ids(api.archive, saved)
    name, ranking = f"search-{saved.id}", api.ranking(None)
    facts: dict[str, Any] = {}
    if then is not None:
        there = api.archive.tiles_by_id(then)
        gone = [tile_id for tile_id in then if tile_id not in there]
        facts = {"saved_generation": saved.generation, "gone": gone}
    if is_head(api.request):
        api.archive.refresh()
        headers = _headers(api.archive.generation, chosen, name, facts)
        return StreamingResponse([], media_type=chosen.media_type, headers=headers)
    if then is not None and as_saved and api.saved is not None and saved.generation is not None:
        ranking = OriginalRanking(api.saved.source(), then, saved.generation)
    pages = ResultPages(api.archive, ItemQuery(), ranking, api.root, most=limit, vectors=vectors, facts=facts)
    return _file(pages, chosen, name, facts)


def _known(name: str) -> str:
    try:
        return format_named(name).name
    except QueryError as error:
        raise ValueError(f"need one of {', '.join(one.name for one in formats())}") from error


def _files() -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a file in each format."""
    content = {}
    for one in formats():
        media_type = one.media_type.partition(";")[0]
        schema = {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
        content[media_type] = {"schema": {"type": "object"} if media_type.endswith("json") else schema}
    header = {"schema": {"type": "integer"}, "description": "The commit that was searched"}
    return {200: {"description": "A file, streamed", "content": content, "headers": {GENERATION: header}}}


def _file(pages: ResultPages, chosen: ExportFormat, name: str, facts: dict[str, Any]) -> Response:
    parts = chosen.stream(pages)
    # An error in the first chunk still becomes a problem document instead of a truncated file.
    first = next(parts, b"")
    headers = _headers(pages.generation, chosen, name, facts)
    return StreamingResponse(chain([first], parts), media_type=chosen.media_type, headers=headers)


def _headers(generation: int, chosen: ExportFormat, name: str, facts: dict[str, Any]) -> dict[str, str]:
    file = f'attachment; filename="{name}{chosen.suffixes[0]}"'
    headers = {"Content-Disposition": file, GENERATION: str(generation)}
    if facts:
        headers |= {SAVED: str(facts["saved_generation"]), GONE: str(len(facts["gone"]))}
    return headers
