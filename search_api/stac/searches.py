"""Routes of registered searches: kept, listed, shown as STAC APIs of their own, deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import ValidationError

from bandsight.attributes.filters import Filter
from bandsight.errors import ArchiveError, QueryError
from bandsight.search.items import answer, filter_of
from bandsight.search.question_ranking import QuestionRanking, Ranking
from bandsight.search.request import Filters, RegisterBody, query_of_body
from bandsight.search.resolve import question_of
from bandsight.search.saved import Hits, Registered, Searches
from bandsight.search.saved_ranking import TopRanking
from bandsight.stac import documents
from bandsight.stac.links import GEOJSON, JSON, Root, link
from search_api.problem_schema import problems
from search_api.request_bodies import body_of, described
from search_api.service import Service
from search_api.stac import schemas
from search_api.stac.routes import Api, json_answer, server_url, stac_router
from search_api.stac.url_params import reject_unknown_params, take_pictures

router = APIRouter(tags=["Registered searches"], dependencies=[Depends(reject_unknown_params)])
SearchId = Annotated[str, Path(max_length=100, description="Id of a registered search")]
_SEARCH: dict[str, Any] = {"type": "object", "required": ["id", "title", "created", "hits", "search", "links"]}
_LIST: dict[str, Any] = {
    "type": "object",
    "required": ["searches", "links"],
    "properties": {"searches": {"type": "array", "items": _SEARCH}},
}


async def _searches(request: Request) -> Searches:
    service: Service = request.app.state.service
    return Searches(service.archive.path)


SearchesDep = Annotated[Searches, Depends(_searches)]


def api_of_search(request: Request, searches: SearchesDep, search_id: SearchId) -> Api:
    """Return the API whose items are a registered search's hits."""
    kept = searches.get(search_id)
    # A former version may have kept what this one does not read.
    body = read_body(kept)
    return Api(request, Root(server=server_url(request), search=kept), lambda: _top(request, kept, body))


@router.post(
    "/searches",
    status_code=201,
    responses=schemas.of(JSON, _SEARCH, 201) | problems(400, 404, 413, 415, 422, 503),
    summary="Register",
    openapi_extra=described(RegisterBody),
)
def register(
    request: Request,
    searches: SearchesDep,
    body: Annotated[RegisterBody, Depends(body_of(RegisterBody, take_pictures))],
) -> Response:
    """Keep a search by meaning, and return the root of the STAC API whose items are its hits."""
    service: Service = request.app.state.service
    question = question_of(service.searcher, body.q, body.semantic)
    if question is None:
        raise QueryError(
            "q, semantic: found neither; a registered search needs a question (a list without one is POST /search)"
        )
    query = query_of_body(body, service.settings.max_hits)
    # What cannot be answered is said now, not to whoever opens it.
    answer(service.archive, query, QuestionRanking(service.searcher, question))
    title = body.title.strip() or ", ".join(question.labels) or "what is unlike its examples"
    made = searches.add(title[:200], body.hits, body.asked(question))
    found = _top(request, made, read_body(made)).page(Filter(), made.hits, None)
    searches.keep_hits(made.id, Hits(generation=found.generation, ids=tuple(hit.tile.id for hit in found.hits)))
    shown = _shown(made, server_url(request))
    response = json_answer(shown, status=201)
    response.headers["Location"] = shown["links"][0]["href"]
    return response


@router.get("/searches", responses=schemas.of(JSON, _LIST) | problems(400), summary="Registered searches")
def registered(request: Request, searches: SearchesDep) -> Response:
    """Return all registered searches, the newest first."""
    server = server_url(request)
    found = [_shown(one, server) for one in searches.all()]
    return json_answer({"searches": found, "links": [link("self", f"{server}/searches"), link("root", f"{server}/")]})


@router.delete(
    "/searches/{search_id}", status_code=204, responses=problems(400, 403, 404), summary="Delete a registered search"
)
def delete(searches: SearchesDep, search_id: SearchId) -> Response:
    """Forget a search; its API is gone with it."""
    searches.delete(search_id)
    return Response(status_code=204)


@router.get(
    "/searches/{search_id}",
    responses=schemas.of(JSON, schemas.CATALOG) | problems(400, 404),
    summary="Its landing page",
)
def landing(api: Annotated[Api, Depends(api_of_search)]) -> Response:
    """Return the landing page of the STAC API whose items are the search's hits."""
    return json_answer(documents.landing_page(api.root, api.names()))


router.include_router(stac_router(api_of_search, landing=True), prefix="/searches/{search_id}")


def read_body(kept: Registered) -> Filters:
    """Return what a registered search asks.

    Raises:
        ArchiveError: This version does not read it.
    """
    try:
        return Filters.model_validate(kept.body)
    except ValidationError as error:
        raise ArchiveError(
            f"search {kept.id}: kept by another version of Bandsight; delete it and register it anew"
        ) from error


def _top(request: Request, kept: Registered, body: Filters) -> TopRanking:
    service: Service = request.app.state.service
    wanted = filter_of(service.searcher, query_of_body(body, service.settings.max_hits))

    def rank() -> Ranking:
        question = question_of(service.searcher, body.q, body.semantic)
        assert question is not None
        return QuestionRanking(service.searcher, question)

    return TopRanking(service.archive, request.app.state.stac.kept, kept, rank, wanted)


def _shown(search: Registered, server: str) -> dict[str, Any]:
    root = Root(server=server, search=search)
    return {
        "id": search.id,
        "title": search.title,
        "created": search.created,
        "hits": search.hits,
        "search": dict(search.body),
        "links": [
            link("child", root.url, title="STAC API of its hits"),
            link("items", root.at("search"), GEOJSON),
            link("export", root.at("export"), GEOJSON, title="All its hits as a file"),
            link("heatmap", root.at("heatmap", "tilejson.json"), title="Map tiles of its scores"),
            link("root", f"{server}/"),
        ],
    }
