"""Routes for a tile by its id: its Item, and similar tiles."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from bandsight.attributes.fields import MAX_ID
from bandsight.search.question import like_tile
from bandsight.stac.items import tile_item
from bandsight.stac.media_types import GEOJSON
from search_api.dependencies import reject_unknown_params
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.stac import schemas
from search_api.stac.routes import ApiDep, FilterParams, inline_depends, page

router = APIRouter(tags=["Tiles"], dependencies=[Depends(reject_unknown_params)])
TileId = Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")]


@router.get("/tiles/{tile_id}", responses=schemas.success(GEOJSON, schemas.ITEM) | problems(400, 404), summary="Tile")
def tile(api: ApiDep, tile_id: TileId) -> Response:
    """Return a tile as an Item."""
    record = api.archive.tile(tile_id)
    return json_response(tile_item(record, api.archive.scene(record.scene_id), api.root), GEOJSON)


@router.get(
    "/tiles/{tile_id}/similar",
    responses=schemas.success(GEOJSON, schemas.ITEMS) | problems(400, 404),
    summary="Similar tiles",
)
def similar(api: ApiDep, tile_id: TileId, params: Annotated[FilterParams, inline_depends(FilterParams)]) -> Response:
    """Return a page of the tiles most similar to a tile; short for a `semantic` search with its id."""
    question = api.question(None, like_tile(tile_id))
    url = api.root.shared(f"/tiles/{tile_id}/similar")
    return page(api, params.query(api.service.settings), api.ranking(question), url)
