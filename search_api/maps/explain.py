"""Where in a tile a match lies, as a picture to lay over its thumbnail."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from numpy.typing import NDArray

from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.records import Scene, Tile
from bandsight.errors import QueryError
from bandsight.imagery.model_view import model_view
from bandsight.maps import pictures
from bandsight.search.resolve import Question, resolve_question, terms_of
from bandsight.search.scorers import scores_of
from search_api.etag import cached
from search_api.maps.heatmap import PNG, LookDep, file_answer
from search_api.maps.state import MapState
from search_api.problem_schema import problems
from search_api.service import Service
from search_api.stac.searches import SearchesDep, read_body
from search_api.stac.url_params import reject_unknown_params

router = APIRouter(tags=["Tiles"], dependencies=[Depends(reject_unknown_params)])
# Cells that differ by less are shown as alike: no tile is so even that noise should glow.
_LEAST_SPAN = 0.05


@router.get(
    "/tiles/{tile_id}/explain.png",
    responses=file_answer(PNG) | problems(400, 404, 410),
    response_class=Response,
    summary="Where in a tile the match lies",
)
def explain(
    request: Request,
    searches: SearchesDep,
    look: LookDep,
    tile_id: Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")],
    q: Annotated[str | None, Query(description="What the place looks like; commas for alternatives")] = None,
    search: Annotated[str | None, Query(max_length=100, description="Id of a registered search, instead of q")] = None,
    size: Annotated[int, Query(ge=16, le=1024, description="Pixels")] = 256,
) -> Response:
    """Return an overlay for the tile's thumbnail: the better a part fits, the brighter and the less see-through."""
    service: Service = request.app.state.service
    if (q is None) == (search is None):
        raise QueryError(f"q, search: found {'none' if q is None else 'both'}; pass one of them")
    if q is not None:
        question = resolve_question(service.searcher, terms_of(q))
    else:
        state: MapState = request.app.state.maps
        question = state.question(service, search or "", read_body(searches.get(search or "")))
    tile = service.archive.tile(tile_id)
    scene = service.archive.scene(tile.scene_id)
    given = look.given()

    def make() -> Response:
        cells = cell_scores(service, question, scene, tile)
        low, high = given or (float(cells.min()), max(float(cells.max()), float(cells.min()) + _LEAST_SPAN))
        return Response(pictures.overlay(cells, (low, high), look.colormap, size), media_type=PNG)

    return cached(request, (question.key, scene.key), make, seconds=3600)


def cell_scores(service: Service, question: Question, scene: Scene, tile: Tile) -> NDArray[np.float32]:
    """Return how well each cell of a tile fits a question, shape (rows, columns).

    Raises:
        SceneError: The tile's pixels cannot be read.
    """
    cells = service.encoder.dense(model_view(scene, tile)[None], scene.wavelengths_um)[0]
    rows = cells.reshape(-1, cells.shape[-1])
    scores = scores_of(question.scorer, rows)
    return np.asarray(scores.reshape(cells.shape[:2]), np.float32)
