"""Route for highlights: an overlay of the parts of a tile that match a query."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.attributes.fields import MAX_ID
from bandsight.errors import QueryError
from bandsight.maps.highlights import highlight_png
from bandsight.search.question import resolve_question, terms_of
from bandsight.search.saved import request_of_saved
from search_api.dependencies import reject_unknown_params
from search_api.etag import cached
from search_api.maps.answers import PNG, file_answer
from search_api.maps.heatmap import StyleDep
from search_api.maps.state import MapState
from search_api.problem_schema import problems
from search_api.service import Service
from search_api.stac.searches import SearchesDep

router = APIRouter(tags=["Tiles"], dependencies=[Depends(reject_unknown_params)])


@router.get(
    "/tiles/{tile_id}/explain.png",
    responses=file_answer(PNG) | problems(400, 404, 410),
    response_class=Response,
    summary="Highlight what matched",
)
def explain(
    request: Request,
    searches: SearchesDep,
    style: StyleDep,
    tile_id: Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")],
    q: Annotated[str | None, Query(description="Description of the place; commas separate alternatives")] = None,
    search: Annotated[str | None, Query(max_length=100, description="Id of a saved search, instead of q")] = None,
    size: Annotated[int, Query(ge=16, le=1024, description="Width and height in pixels")] = 256,
) -> Response:
    """Return an overlay for the tile's thumbnail; parts that match better are brighter and more opaque."""
    service: Service = request.app.state.service
    if (q is None) == (search is None):
        raise QueryError(f"q, search: found {'none' if q is None else 'both'}; pass one of them")
    if q is not None:
        question = resolve_question(service.searcher, terms_of(q))
    else:
        state: MapState = request.app.state.maps
        question = state.question(service, search or "", request_of_saved(searches.get(search or "")))
    tile = service.archive.tile(tile_id)
    scene = service.archive.scene(tile.scene_id)

    def make() -> Response:
        return Response(highlight_png(service.searcher, question, scene, tile, style, size), media_type=PNG)

    return cached(request, (question.key, scene.key), make, seconds=3600)
