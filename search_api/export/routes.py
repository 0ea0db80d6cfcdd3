"""Routes of exports: of a search, and of a registered one as it is now or as it was."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from bandsight.export.geoparquet import geoparquet
from bandsight.export.pages import Walk
from bandsight.export.permalink import AsRegistered, gone_since
from bandsight.export.text import geojson, table
from bandsight.search.items import ItemQuery
from bandsight.search.request import query_of_body
from bandsight.search.saved_ranking import TopRanking
from bandsight.stac import documents
from bandsight.stac.links import GEOJSON
from search_api.export.request import DEFAULT, MOST, ExportBody, Format, Vectors, names_of
from search_api.middleware.head import wants_headers_only
from search_api.problem_schema import problems
from search_api.request_bodies import body_of, described
from search_api.service import Service
from search_api.stac.routes import Api
from search_api.stac.searches import SearchesDep, SearchId, api_of_search
from search_api.stac.tiles import archive_api
from search_api.stac.url_params import reject_unknown_params, take_pictures

router = APIRouter(tags=["Export"], dependencies=[Depends(reject_unknown_params)])
GENERATION, REGISTERED, GONE = "Bandsight-Generation", "Bandsight-Registered-Generation", "Bandsight-Gone"
"""Headers: the commit that was asked, the one a search was registered at, and how many of its hits then are gone."""
_TYPES = {"geojson": GEOJSON, "csv": "text/csv; charset=utf-8", "geoparquet": "application/vnd.apache.parquet"}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file, sent while it is made",
        "content": {
            GEOJSON: {"schema": {"type": "object"}},
            "text/csv": {"schema": {"type": "string"}},
            _TYPES["geoparquet"]: {"schema": {"type": "string", "format": "binary"}},
        },
        "headers": {GENERATION: {"schema": {"type": "integer"}, "description": "The commit that was asked"}},
    }
}


@router.post(
    "/search/export",
    responses=_ANSWERS | problems(400, 404, 413, 415, 422, 503),
    response_class=Response,
    summary="Export a search",
    openapi_extra=described(ExportBody),
)
def export_search(
    api: Annotated[Api, Depends(archive_api)],
    body: Annotated[ExportBody, Depends(body_of(ExportBody, take_pictures))],
    format: Format = "geojson",  # noqa: A002  (the parameter's name)
    vectors: Vectors = False,
) -> Response:
    """Return all items of a search, up to `limit`, as one file."""
    ranking = api.ranking(api.question(body.q, body.semantic))
    query = query_of_body(body, api.service.settings.max_hits)
    walk = Walk(api.archive, query, ranking, api.root, most=body.limit, vectors=vectors)
    return _file(api, walk, format, "bandsight", vectors=vectors)


@router.get(
    "/searches/{search_id}/export",
    responses=_ANSWERS | problems(400, 404),
    response_class=Response,
    summary="Export a registered search",
)
def export_registered(
    api: Annotated[Api, Depends(api_of_search)],
    searches: SearchesDep,
    search_id: SearchId,
    format: Format = "geojson",  # noqa: A002  (the parameter's name)
    vectors: Vectors = False,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Most items")] = DEFAULT,
    as_registered: Annotated[
        bool, Query(description="The hits that it had when it was registered, as far as they are still there")
    ] = False,
) -> Response:
    """Return the hits of a registered search as one file: as they are now, or as they were.

    Where nothing was committed since, both are the same. Header and answer say the generation of now and of then, and
    how many of the hits of then are gone.
    """
    then = searches.hits_of(search_id)
    name, ranking = f"search-{search_id}", api.ranking(None)
    facts: dict[str, Any] = {}
    if then is not None:
        facts = {"registered_generation": then.generation, "gone": gone_since(api.archive, then)}
    if wants_headers_only(api.request):
        api.archive.refresh()
        headers = _headers(api.archive.generation, format, name, facts)
        return StreamingResponse([], media_type=_TYPES[format], headers=headers)
    if then is not None and as_registered and isinstance(ranking, TopRanking):
        ranking = AsRegistered(ranking.rank, then)
    walk = Walk(api.archive, ItemQuery(), ranking, api.root, most=limit, vectors=vectors)
    return _file(api, walk, format, name, vectors=vectors, facts=facts)


def _file(
    api: Api, walk: Walk, kind: str, name: str, *, vectors: bool, facts: dict[str, Any] | None = None
) -> Response:
    said = facts or {}

    def ending() -> dict[str, Any]:
        matched = {} if walk.matched is None else {"numberMatched": walk.matched}
        return {
            **matched,
            **documents.server_facts(api.archive.model, walk.generation),
            **documents.page_facts(walk.nothing_matches),
            **said,
        }

    parts = _parts(api, walk, kind, vectors=vectors, ending=ending)
    # What fails while the first part is made is still an answer of its own, not a file that ends too early.
    service: Service = api.service
    with service.exporting:
        first = next(parts, b"")
    return StreamingResponse(
        chain([first], parts), media_type=_TYPES[kind], headers=_headers(walk.generation, kind, name, said)
    )


def _headers(generation: int, kind: str, name: str, facts: dict[str, Any]) -> dict[str, str]:
    headers = {**names_of(kind, name), GENERATION: str(generation)}
    if facts:
        headers |= {REGISTERED: str(facts["registered_generation"]), GONE: str(len(facts["gone"]))}
    return headers


def _parts(api: Api, walk: Walk, kind: str, *, vectors: bool, ending: Any) -> Iterator[bytes]:
    match kind:
        case "csv":
            return table(walk, api.archive.property_types())
        case "geoparquet":
            return geoparquet(walk, api.archive.model.dim if vectors else None)
        case _:
            return geojson(walk, ending)
